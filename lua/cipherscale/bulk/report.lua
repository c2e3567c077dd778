-- SPDX-License-Identifier: MIT
--
-- What became of everybody in a plan. The counts are right at any moment, also while the job runs
-- and when it was stopped by an error; the rows come from the journal, so a report can be had long
-- after, without a connection.

local csv = require "cipherscale.csv"
local journal = require "cipherscale.bulk.journal"
local strict = require "cipherscale.strict"
local text = require "cipherscale.bulk.text"

local M = {}

local SHOWN_FAILURES = 20

-- What a fate counts as. `in_doubt`: sent, but nobody knows whether it was done.
local COUNTS = {
  changed = "changed", verified = "changed", failed = "failed", in_doubt = "failed",
  conflict = "skipped", withheld = "skipped", unknown = "skipped", unchanged = "unchanged",
}

local Report = { __name = "cipherscale.report" }
strict.class(Report, "field or method of a report", "changed complete elapsed failed journal note "
  .. "pending resume_at rows skipped started stopped to_csv total unchanged", "book")

--- The report of what a journal tells so far.
function M.new(case)
  local story, header = case.story, case.story.header
  local planned, ended = story.planned, story.ended or {}
  local report = setmetatable({
    total = planned.total, to_change = planned.to_change,
    changed = 0, unchanged = planned.unchanged, failed = 0, pending = planned.to_change,
    skipped = planned.total - planned.to_change - planned.unchanged,
    note = header.note, journal = case.path, started = story.begun or os.time(),
    elapsed = story.elapsed, stopped = ended.stopped, resume_at = ended.resume_at,
    -- Whether the canary found something else than was planned; how many failed earlier, and how
    -- many calls may have been done and are not sent again.
    alarm = ended.alarm or false, to_retry = 0, in_doubt = 0,
    header = header, book = not case.path and case.book or nil,
  }, Report)
  for _, outcome in pairs(story.outcomes) do
    M.count(report, outcome.fate)
    if outcome.fate == "failed" then report.to_retry = report.to_retry + 1 end
  end
  report:judge()
  return report
end

function Report:judge()
  self.complete = self.failed == 0 and self.skipped == 0 and self.pending == 0 and not self.alarm
end

--- Counts one more fate, in the place of an earlier one if there was one.
function M.count(report, fate, earlier)
  local name, before = COUNTS[fate], earlier and COUNTS[earlier] or "pending"
  report[before] = report[before] - 1
  report[name] = report[name] + 1
  if fate == "in_doubt" and earlier ~= fate then report.in_doubt = report.in_doubt + 1 end
  if report.pending == 0 then report:judge() end
end

--- Another run begins.
function Report:go_on() self.stopped, self.resume_at, self.alarm = nil, nil, false end

--- A person with their fate, as on_result and rows() give it.
--- @param cause? table what else is known of the error: status, code, attempts, request_id
function M.row(person, fate, delta, err, cause)
  local row = text.row(person)
  row.added = text.label_list(delta and delta.add or {})
  row.removed = text.label_list(delta and delta.remove or {})
  row.fate, row.error, row.again, row.cells = fate, err, person.again, person.cells
  if type(cause) == "table" then
    row.status, row.code, row.attempts = cause.status, cause.code, cause.attempts
    row.request_id = cause.request_id
  end
  return row
end

local function fate_of(person, outcome)
  if outcome then return outcome.fate end
  if person.withheld then return "withheld" end
  if person.unknown then return "unknown" end
  return person.change.nothing and not person.again and "unchanged" or "pending"
end

--- Iterates over every entry of the input, in its order: { user =, email =, line =, add =,
--- remove =, before =, added =, removed =, fate =, error =, again = }. `fate` is "changed",
--- "verified" (found as planned after an unclear answer), "unchanged", "failed", "in_doubt",
--- "conflict", "withheld", "unknown" or "pending"; `error` says why.
function Report:rows()
  local book = self.book or assert(journal.read(self.journal))
  local story = assert(journal.story(book, self.journal))
  local next_person = journal.people(book, story.header)
  local without_outcome = {}
  return function()
    local person = next_person()
    if not person then
      if not self.book then book:close() end
      return nil
    end
    local outcome = story.outcomes[person.n]
    local fate = fate_of(person, outcome)
    -- Entries that name somebody again share the fate of the first.
    if person.again then
      fate = without_outcome[person.n] or fate
    elseif not outcome and fate ~= "pending" then
      without_outcome[person.n] = fate
    end
    local err = outcome and outcome.error or person.withheld or person.unknown
    return M.row(person, fate, outcome, err, outcome)
  end
end

-- The columns that say what became of a row.
local RESULT = { "user", "fate", "added", "removed", "error", "status", "attempts", "request_id" }
local IS_RESULT = {}
for _, name in ipairs(RESULT) do IS_RESULT[name] = true end

-- The columns of the input that are kept, by position, and the names of all columns. An input that
-- is a report itself gets its results anew; names that clash otherwise are told apart.
local function columns_of(header)
  local input, own, names, taken = header.columns or { "line", "id", "email" }, {}, {}, {}
  for _, name in ipairs(input) do taken[name] = true end
  local is_report = taken.fate and taken.added and taken.removed
  for n, name in ipairs(input) do
    if not (is_report and IS_RESULT[name]) then own[#own + 1], names[#names + 1] = n, name end
  end
  for _, name in ipairs(RESULT) do
    names[#names + 1] = taken[name] and not is_report and "job_" .. name or name
  end
  return own, names
end

--- Writes every entry with its fate to a CSV file: first the columns of the input, then user,
--- fate, added, removed, error, status, attempts and request_id ("job_status" where the input has
--- a column "status"). It can be planned from again.
--- @param only? string a fate: these rows alone, "failed" say
--- @return boolean|nil ok
--- @return string|nil problem
function Report:to_csv(path, only)
  text.check_csv_path(path, self.journal)
  if only ~= nil and not COUNTS[only] and only ~= "pending" then
    error(("bad argument #2 to 'to_csv' (unknown fate '%s')"):format(tostring(only)), 2)
  end
  local own, columns = columns_of(self.header)
  local next_row = self:rows()
  local function cells_of(row)
    local input, cells = row.cells or { row.line, row.user or "", row.email or "" }, {}
    for n, at in ipairs(own) do cells[n] = input[at] end
    for _, cell in ipairs {
      row.user or "", row.fate, table.concat(row.added, ", "), table.concat(row.removed, ", "),
      row.error or "", row.status or "", row.attempts or "", row.request_id or "",
    } do
      cells[#cells + 1] = cell
    end
    return cells
  end
  return csv.write(path, columns, function()
    while true do
      local row = next_row()
      if not row then return nil end
      if not only or row.fate == only then return cells_of(row) end
    end
  end)
end

-- Who is not as asked, and why: the first of them, and how many there are.
local function problems(report)
  local rows, count = {}, 0
  if report.failed + report.skipped == 0 then return rows, count end
  for row in report:rows() do
    if row.error and row.fate ~= "verified" and not row.again then
      count = count + 1
      if count <= SHOWN_FAILURES then
        rows[count] = {
          ("%s %d"):format(report.header.word, row.line), text.who(row), row.fate,
          text.short(row.error),
        }
      end
    end
  end
  return rows, count
end

local function verdict(report)
  if report.complete then return "Complete: everybody is as asked." end
  local open = {}
  for _, each in ipairs { "failed", "skipped", "pending" } do
    local words = ("%s %s"):format(text.number(report[each]), each)
    if report[each] > 0 then open[#open + 1] = words:gsub("pending", "not tried") end
  end
  if report.alarm then open[#open + 1] = "not as planned" end
  local left = report.pending + report.failed - report.in_doubt
  local how = report.alarm and "Look at what stopped it."
    or left == 0 and (report.in_doubt == 0 and "Look at those skipped."
      or "Ask those in doubt: nothing is sent to them again.")
    or report.journal and ("Go on with client.bulk:resume %q."):format(report.journal)
    or "A new plan takes up what is left."
  return ("NOT complete: %s. %s"):format(table.concat(open, ", "), how)
end

function Report:__tostring()
  local lines = {
    ("Report: %s for %s"):format(self.header.asked, text.people(self.total)),
    ("  %s changed, %s unchanged, %s failed, %s skipped, %s pending"):format(
      text.number(self.changed), text.number(self.unchanged), text.number(self.failed),
      text.number(self.skipped), text.number(self.pending)),
    ("  begun %s%s, took %s"):format(text.time(self.started),
      self.header.by and " by " .. text.clean(self.header.by) or "", text.duration(self.elapsed)),
  }
  if self.note then lines[#lines + 1] = "  note: " .. text.clean(self.note) end
  if self.stopped then lines[#lines + 1] = "  stopped: " .. text.clean(self.stopped) end
  text.list(lines, "Not as asked:", problems(self))
  lines[#lines + 1] = verdict(self)
  return table.concat(lines, "\n")
end

return M
