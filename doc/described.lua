-- SPDX-License-Identifier: MIT
-- What doc/generate.lua cannot ask the binary or the contract for, said once for both of its
-- outputs: options, errors, tasks, bulk jobs. Types are LuaLS's; a name that ends in `?` may be
-- absent. `needs` keeps an entry out until the module has what it names.

local function class(name, doc, fields, methods)
  return { name = name, doc = doc, fields = fields or {}, methods = methods or {} }
end

-- One row a method: name, parameters (name, type, doc), what it gives (type, name), sentence.
local function method(name, parameters, gives, doc)
  return { name = name, parameters = parameters, gives = gives, doc = doc }
end

local ERR = { "cipherscale.Error?", "err" }
local GIVEN = { "options?", "cipherscale.ApplyOptions", "Of the run." }
local PATH = { "path", "string", "Of the journal." }

local M = {}

M.call_options = class("CallOptions", "Options of one call, the last argument of each.", {
  { "timeout?", "number", "Seconds for one attempt." },
  { "total_timeout?", "number",
    "Seconds for the call with all its retries and waits, for its turn, too." },
  { "max_retries?", "integer", "Attempts after the first, 429s aside; 0 for none." },
  { "max_retry_wait?", "number", "The longest Retry-After that is waited for, in seconds." },
  { "response?", "cipherscale.Response|table", "Filled on success and on failure." },
})

M.response = class("Response", "What `response = t` is filled with.", {
  { "status?", "integer", "The HTTP status, should there be an answer." },
  { "headers?", "table<string, string>", "By lower-case name." },
  { "request_id?", "string", "The service's own, from a header." },
  { "attempts", "integer", "How often it was tried." },
  { "elapsed", "number", "Seconds for all of it." },
  { "repeated?", "boolean", "True when a repeat was told that it is already so." },
  { "problem?", "string", "Why a change that was made gave no answer to read." },
})

M.error = class("Error", "A failed operation: `nil, err`. `tostring(err)` is a sentence.", {
  { "kind", "'network'|'timeout'|'tls'|'http'|'decode'|'too_large'|'cancelled'|'closed'"
    .. "|'unresolved'|'refused'|'journal'|'shifted'", "What went wrong." },
  { "message?", "string", "The API's own where it sent one." },
  { "operation?", "string", "\"users.invite\"." },
  { "method?", "string", "\"POST\"." },
  { "path?", "string", "As it was sent." },
  { "status?", "integer", "The HTTP status, should there be an answer." },
  { "code?", "string|integer", "The API's own." },
  { "attempts?", "integer", "How often it was tried." },
  { "retry_after?", "number", "Seconds that the service asks to wait." },
  { "request_id?", "string", "The service's own, from a header." },
  { "body?", "string", "The first 4 KiB of the answer." },
  { "ambiguous?", "boolean", "True when the service may have done the work." },
  { "hint?", "string", "What may help." },
  { "partial?", "boolean", "True when one page of several came where everything is promised." },
  { "unresolved?", "table[]", "Of a bulk job: everything that is not known." },
})

local options = {
  { "api_key?", "string|fun(): string", "The key, or a function that is called once for it." },
  { "api_key_env?", "string", "The variable that holds it: CIPHERSCALE_API_KEY." },
  { "api_key_file?", "string", "A file that holds it, which others may not read." },
  { "base_url?", "string",
    "CIPHERSCALE_BASE_URL, else the documented address. https, or http to loopback." },
  { "timeout?", "number", "Seconds for one attempt: 30." },
  { "connect_timeout?", "number", "Seconds for its connecting: 10." },
  { "total_timeout?", "number", "Seconds for a call with all its retries and waits: 300." },
  { "max_retries?", "integer", "Attempts after the first, 429s aside: 3." },
  { "max_retry_wait?", "number", "The longest Retry-After that is waited for: 120 seconds." },
  { "rate?", "number", "Upper bound, requests a second." },
  { "max_in_flight?", "integer", "Requests, and tasks, at a time: 32." },
  { "max_response_bytes?", "integer", "After decompression: 16 MiB." },
  { "http_version?", "'1.1'|'2'", "\"1.1\"." },
  { "ca_file?", "string", "Certificates to trust; the system's." },
  { "ca_path?", "string", "The same, a folder." },
  { "proxy?", "string", "The environment's; never used for loopback." },
  { "no_proxy?", "string", "The environment's." },
  { "app?", "string", "Added to the User-Agent: \"hr-sync/1.2\"." },
  { "read_only?", "boolean", "Refuses whatever changes something." },
  { "protect?", "string[]", "People, by id or e-mail, whom no bulk job changes." },
  { "validate?", "boolean", "False lets bodies and queries pass unchecked.", needs = "validate" },
  { "on_event?", "fun(event: cipherscale.Event)", "Called with a record of each attempt." },
}
M.options = class("Options", "Options of `cipherscale.new`.", options)

M.event = class("Event", "One attempt, as `on_event` gets it. The key is in none.", {
  { "operation", "string", "\"users.invite\"." }, { "method", "string", "\"POST\"." },
  { "path", "string", "The template; ids do not belong in logs." },
  { "status?", "integer", "The HTTP status." }, { "kind?", "string", "Of the failure." },
  { "attempt", "integer", "From 1 on." }, { "elapsed", "number", "Seconds." },
  { "next", "'again'|'end'", "What happens next." },
  { "delay?", "number", "Seconds before the next attempt." },
  { "reason", "string", "Why, in words." },
})

M.client = class("Client", "A client.", {
  { "base_url", "string", "The address that it talks to." },
  { "protect", "string[]", "As it was given." },
  { "bulk", "cipherscale.Bulk", "Changes for many people at once." },
}, {
  method("close", {}, {}, "Ends what is under way. Idempotent."),
  method("run", { { "fn", "fun(tasks: cipherscale.Tasks): ...", "What runs." } },
    { { "any", "..." } },
    "Runs `fn` and all tasks that it spawns; gives what `fn` returns when all have ended."),
})

-- `client:request`, once the client has it; what it takes for `method` and `repeat_class`.
function M.request(methods, classes)
  local reads = methods:find "HEAD" and "GET and HEAD" or "GET"
  return class("Request", "A request that has no method yet.", {
    { "method", methods, "The HTTP method." },
    { "path", "string", "Below the base URL, as in a URL: ids in it are percent-encoded." },
    { "query?", "table", "Its parameters, and a filter." },
    { "body?", "table", ("Is sent as JSON; not with %s."):format(reads) },
    { "repeat_class?", classes, ("READ for %s, else ONCE. %s"):format(reads,
      "What a second sending does: nothing, the same again, something more.") },
  })
end

-- The operators of a filter, with what they take.
M.filter_type = "table<string, string|number|boolean|cipherscale.Conditions>"
local VALUE, LIST = "string|number|boolean", "(string|number|boolean)[]"
M.operators = {
  { "eq", VALUE, "Is the value, as without an operator." },
  { "ne", VALUE, "Is another." },
  { "gt", VALUE, "Is greater." },
  { "gte", VALUE, "Is greater, or the value." },
  { "lt", VALUE, "Is less." },
  { "lte", VALUE, "Is less, or the value." },
  { "ilike", VALUE, "Is like the value, whatever the case; `%` stands for anything." },
  { "in", LIST, "Is one of the list, which is not empty and whose values have no commas." },
  { "nin", LIST, "Is none of such a list." },
}

M.tasks = class("Tasks", "What the function of `client:run` is given.", {}, {
  method("spawn", { { "fn", "fun(...): ...", "What the task runs." },
                    { "...", "any", "Its arguments." } },
    { { "cipherscale.Task", "task" } },
    "Starts `fn(...)` as a task, and waits first while max_in_flight tasks are under way."),
  method("wait", { { "task?", "cipherscale.Task", "One, or all that this one has spawned." } },
    { { "any", "..." } },
    "Waits, and gives what the task returned; one that was cancelled gives nil and an error."),
  method("cancel", { { "task?", "cipherscale.Task", "One, or all others of this run." } }, {},
    "Cancels: a pending call returns nil and an error, a later one raises it."),
  method("map", { { "items", "table|fun(): any", "A list or an iterator." },
                  { "fn", "fun(item: any): any, any", "Is called for each." } },
    { { "fun(): any, any, any", "iterator" } },
    "Runs `fn(item)` for every item at once; gives item, value and err in the items' order."),
})
M.task = class("Task", "A task.")

M.change = class("Change", "What a plan would change for one person.", {
  { "user", "string", "Id." }, { "email?", "string", "" },
  { "line?", "integer", "Of the input." }, { "add", "string[]", "" },
  { "remove", "string[]", "" },
  { "before", "string[]", "Those of the named things that are held directly." },
})

M.plan = class("Plan", "What a bulk job would change. `tostring(plan)` shows it.", {
  { "total", "integer", "People of the input." }, { "to_change", "integer", "" },
  { "unchanged", "integer", "Are as asked already." },
  { "withheld", "table[]", "People whom a guard rail keeps out, with the reason." },
  { "unknown", "table[]", "People who are nobody in the tenant, with the reason." },
  { "requests", "integer", "What applying it will send." },
  { "reads", "integer", "What making it has sent." },
  { "seconds", "number", "How long applying it will take, about." },
  { "note?", "string", "" }, { "journal?", "string", "Where it is kept." },
  { "report?", "cipherscale.Report", "Once it is applied." },
}, {
  method("changes", {}, { { "fun(): cipherscale.Change?", "iterator" } },
    "Iterates over the changes."),
  method("to_csv", { { "path", "string", "Of the file to write." } },
    { { "boolean?", "ok" }, { "string?", "problem" } }, "Writes the changes to a CSV file."),
  method("refusals", {},
    { { "string[]", "sentences" } }, "Why the plan may not be applied."),
  method("apply", { GIVEN }, { { "cipherscale.Report?", "report" }, ERR },
    "Sends the changes; once. Gives nil and an error only if nothing was sent."),
})

M.row = class("ReportRow", "One entry of the input with its fate.", {
  { "user?", "string", "Id." }, { "email?", "string", "" },
  { "line?", "integer", "Of the input." },
  { "fate", "'changed'|'verified'|'unchanged'|'failed'|'in_doubt'|'conflict'|'withheld'"
    .. "|'unknown'|'pending'", "" },
  { "add?", "string[]", "Was to be added." }, { "remove?", "string[]", "Was to be removed." },
  { "before?", "string[]", "Was held directly." }, { "added?", "string[]", "" },
  { "removed?", "string[]", "" }, { "error?", "string", "Why." },
  { "status?", "integer", "" }, { "code?", "string", "The API's own, of the error." },
  { "attempts?", "integer", "" }, { "request_id?", "string", "" },
  { "again?", "boolean", "An earlier entry names the same person." },
  { "cells?", "table<integer, string>", "Of the input, where that is a CSV file." },
})

M.report = class("Report", "What became of a bulk job. `tostring(report)` shows it.", {
  { "total", "integer", "changed + unchanged + failed + skipped + pending." },
  { "changed", "integer", "" }, { "unchanged", "integer", "" }, { "failed", "integer", "" },
  { "skipped", "integer", "" }, { "pending", "integer", "" },
  { "complete", "boolean", "Nobody failed, was skipped or is pending." },
  { "alarm", "boolean", "The canary found something else than was planned." },
  { "stopped?", "string", "Why it ended early." },
  { "resume_at?", "number", "When the service wants to be asked again." },
  { "started?", "number", "A time." }, { "elapsed", "number", "Seconds." },
  { "note?", "string", "" }, { "journal?", "string", "Where it is kept." },
}, {
  method("rows", {}, { { "fun(): cipherscale.ReportRow?", "iterator" } },
    "Iterates over every entry of the input, in its order."),
  method("to_csv", { { "path", "string", "Of the file to write." },
                     { "fate?", "string", "Rows of this fate alone." } },
    { { "boolean?", "ok" }, { "string?", "problem" } }, "Writes the rows to a CSV file."),
})

-- Bulk options by name: type and sentence. Which of them a job, its running and its undoing take is
-- asked of cipherscale.bulk.options.
M.bulk_options = {
  journal = { "string", "Path of a new file that keeps the job." },
  note = { "string", "A text that plan, journal and report show." },
  on_unknown = { "'skip'", "Leaves unknown people out." },
  direct_roles = { "'assume'", "Does not prove that direct roles are told from inherited ones." },
  on_progress = { "fun(progress: table)", "Called at most ten times a second." },
  on_result = { "fun(row: cipherscale.ReportRow)", "Called with each person's row." },
  should_stop = { "fun(): boolean", "Asked before each person." },
  canary = { "boolean", "False: the first change is not read back." },
  recheck = { "number|false", "Seconds after which a plan's people are read again: 300." },
  max_duration = { "number", "Seconds after which nobody else is begun." },
}

-- The guards' options: the same.
M.guard_options = {
  allow_owner = { "boolean", "OWNER may be given and taken." },
  protect = { "string[]", "These people are kept out, by id or e-mail." },
  allow_empty = { "boolean", "A job may have nobody in it." },
  max_changes = { "number|string", "People to change, or a share (\"10%\"): 500." },
  max_removal_percent = { "number", "Of a role's holders, who may lose it: 20." },
  min_admins = { "number", "Administrators that must be left: 2." },
  max_failures = { "number|string", "People who may fail, or a share: 25 or 10%." },
  max_unreachable = { "number", "People in a row whom the service could not be reached for: 10." },
}

-- What a verb's sides are.
M.sides = {
  add = { "string[]", "Ids or names to give." },
  remove = { "string[]", "Ids or names to take." },
  set = { "string[]", "Exactly these." },
  replace = { "table<string, string>", "{ old = new }." },
}
M.users = { "users", "(string|table)[]|fun(): string|table|nil, integer?",
  "Ids or e-mails, tables with one of them, an iterator of these, or a CSV reader." }

-- The methods that take a journal.
M.of_journal = {
  method("load", { PATH }, { { "cipherscale.Plan?", "plan" }, ERR }, "The plan that is in it."),
  method("resume", { PATH, GIVEN }, { { "cipherscale.Report?", "report" }, ERR },
    "Goes on with the job, or begins it."),
  method("undo", { PATH, { "options?", "cipherscale.UndoOptions", "Of the new job." } },
    { { "cipherscale.Plan?", "plan" }, ERR }, "The plan that takes back what the job did."),
  method("verify", { PATH }, { { "table[]?", "differences" }, ERR },
    "Reads everybody back; the list of those who are not as planned."),
  method("report", { PATH }, { { "cipherscale.Report?", "report" }, ERR },
    "What became of everybody so far; needs no connection."),
}

M.csv = class("CsvReader", "Gives a row, keyed by column, and its line number at each call.", {
  { "columns", "string[]", "" }, { "separator", "string", "" },
}, { method("close", {}, {}, "Ends reading early.") })

-- What the methods of pages.lua give, by name; `%s` is the item.
M.whole_lists = {
  list = { gives = "%s[]", result = "LIST" },
  each = { gives = "fun(): %s?", result = "EACH", raises = true },
  find = { gives = "%s", result = "VALUE" },
}

return M
