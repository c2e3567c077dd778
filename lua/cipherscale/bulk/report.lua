-- SPDX-License-Identifier: MIT
--
-- What became of everybody in a plan. The counts are right at any moment, also while the job runs
-- and when it was stopped by an error; the rows come from the journal, so a report can be had long
-- after, without a connection.

local journal = require "cipherscale.bulk.journal"
local state = require "cipherscale.bulk.state"
local strict = require "cipherscale.strict"
local text = require "cipherscale.bulk.text"

local M = {}

local SHOWN_FAILURES = 20
-- What columns say of what became of a row.
local RESULT = { "user", "fate", "added", "removed", "error", "status", "attempts", "request_id" }

-- What a fate counts as. `in_doubt`: sent, but nobody knows whether it was done.
local COUNTS = {
  changed = "changed", verified = "changed", failed = "failed", in_doubt = "failed",
  conflict = "skipped", withheld = "skipped", unknown = "skipped", unchanged = "unchanged",
  pending = "pending",
}

local Report = { __name = "cipherscale.report" }
strict.class(Report, "field or method of a report", "alarm changed complete elapsed failed "
  .. "journal note pending resume_at rows skipped started stopped to_csv total unchanged",
  "begun_by book")

--- The report of what a journal tells so far.
function M.new(case)
  local story, header = case.story, case.story.header
  local planned, ended = story.planned, story.ended or {}
  local begun = story.opened and story.opened.first
  local report = setmetatable({
    total = planned.total, to_change = planned.to_change,
    changed = 0, unchanged = planned.unchanged, failed = 0, pending = planned.to_change,
    skipped = planned.total - planned.to_change - planned.unchanged,
    note = header.note, journal = case.path,
    started = begun and begun.at, begun_by = begun and begun.by,
    elapsed = story.elapsed, stopped = ended.stopped, resume_at = ended.resume_at,
    -- Whether the canary found something else than was planned; and how many calls may have been
    -- done and are not sent again.
    alarm = ended.alarm or false, in_doubt = 0,
    header = header, book = not case.path and case.book or nil,
  }, Report)
  for _, outcome in pairs(story.outcomes) do M.count(report, outcome.fate) end
  report:judge()
  return report
end

function Report:judge()
  self.complete = self.failed == 0 and self.skipped == 0 and self.pending == 0 and not self.alarm
end

--- Counts one more fate, in the place of an earlier one if there was one.
function M.count(report, fate, earlier)
  local name, before = COUNTS[fate], COUNTS[earlier or "pending"]
  report[before] = report[before] - 1
  report[name] = report[name] + 1
  if fate == "in_doubt" and earlier ~= fate then report.in_doubt = report.in_doubt + 1 end
  if report.pending == 0 then report:judge() end
end

--- How many would be tried by another run.
function Report:left() return self.pending + self.failed - self.in_doubt end

--- A run begins.
function Report:begin()
  if not self.started then self.started, self.begun_by = os.time(), journal.user() end
  self.stopped, self.resume_at, self.alarm = nil, nil, false
  self.waiting = self:left() -- how many are still to be tried in this run
end

--- A person with their fate, as on_result and rows() give it.
--- @param cause? table what else is known of the error: status, code, attempts, request_id
function M.row(person, fate, delta, err, cause)
  local row, known = text.row(person), type(cause) == "table" and cause or {}
  row.added, row.removed = state.each(delta.add, "label"), state.each(delta.remove, "label")
  row.fate, row.error, row.again, row.cells = fate, err, person.again, person.cells
  row.status, row.code = known.status, known.code
  row.attempts, row.request_id = known.attempts, known.request_id
  return row
end

-- Iterates over every entry, or those with one fate, as rows.
local function rows(report, only)
  local book = report.book or assert(journal.read(report.journal))
  local story, fates = assert(journal.story(book, report.journal)), {}
  return journal.people(book, story.header, function(person)
    local n, outcome = person.n, story.outcomes[person.n]
    -- Entries that name somebody again share the fate of the first.
    local fate = outcome and outcome.fate or fates[n] or person.withheld and "withheld"
      or person.unknown and "unknown" or person.change.nothing and "unchanged" or "pending"
    if not outcome then fates[n] = fate end
    if only and fate ~= only then return nil end
    local err = outcome and outcome.error or person.withheld or person.unknown
    return M.row(person, fate, outcome or state.NOTHING, err, outcome)
  end, report.journal)
end

--- Iterates over every entry of the input, in its order: { user =, email =, line =, add =,
--- remove =, before =, added =, removed =, fate =, error =, again = }. `fate` is "changed",
--- "verified" (found as planned after an unclear answer), "unchanged", "failed", "in_doubt",
--- "conflict", "withheld", "unknown" or "pending"; `error` says why.
function Report:rows() return rows(self) end

-- The columns of a CSV file, and what a row calls them: those of the input, whose cells it has by
-- position, then ours. What stands under our names in the input is of an earlier report, and comes
-- anew.
local function columns_of(input)
  local columns, fields = {}, {}
  for _, field in ipairs(RESULT) do fields["bulk_" .. field] = field end
  for n, name in ipairs(input or { "line", "id", "email" }) do
    if not fields[name] then
      columns[#columns + 1], fields[name] = name, input and n or name == "id" and "user" or name
    end
  end
  for _, field in ipairs(RESULT) do columns[#columns + 1] = "bulk_" .. field end
  return columns, fields
end

--- Writes every entry with its fate to a CSV file: first the columns of the input, then bulk_user,
--- bulk_fate, bulk_added, bulk_removed, bulk_error, bulk_status, bulk_attempts and bulk_request_id.
--- It can be planned from again.
--- @param only? string a fate: these rows alone, "failed" say
--- @return boolean|nil ok
--- @return string|nil problem
function Report:to_csv(path, only)
  if only ~= nil and not COUNTS[only] then
    error(("bad argument #2 to 'to_csv' (unknown fate '%s')"):format(tostring(only)), 2)
  end
  return text.to_csv(path, rows(self, only), columns_of(self.header.columns))
end

-- The first of those who are not as asked.
local function problems(report)
  local first = {}
  if report.failed + report.skipped == 0 then return first end
  for row in rows(report) do
    local count = COUNTS[row.fate]
    if (count == "failed" or count == "skipped") and not row.again and #first < SHOWN_FAILURES then
      first[#first + 1] = row
    end
  end
  return first
end

-- What to do next.
local function verdict(report)
  if report.complete then return "Complete: done for everybody." end
  local how = report.alarm and "look at what stopped it"
    or report:left() == 0 and (report.in_doubt == 0 and "look at those skipped"
      or "ask those in doubt: nothing is sent to them again")
    or report.journal and ("go on with client.bulk:resume %q"):format(report.journal)
    or "a new plan takes up what is left"
  return ("NOT complete: %s."):format(how)
end

function Report:__tostring()
  local lines = {
    ("Report: %s for %s"):format(self.header.asked, text.people(self.total)),
    ("  %s changed, %s unchanged, %s failed, %s skipped, %s pending"):format(
      text.number(self.changed), text.number(self.unchanged), text.number(self.failed),
      text.number(self.skipped), text.number(self.pending)),
    ("  planned %s, %s"):format(text.time(self.header.at, self.header.by), self.started
      and ("begun %s, took %s"):format(text.time(self.started, self.begun_by),
        text.duration(self.elapsed)) or "not begun"),
  }
  if self.note then lines[#lines + 1] = "  note: " .. text.clean(self.note) end
  if self.stopped then lines[#lines + 1] = "  stopped: " .. text.clean(self.stopped) end
  text.list(lines, "Not as asked:", problems(self), SHOWN_FAILURES, function(row)
    return { text.place(self, row), text.who(row), row.fate, text.short(row.error) }
  end, self.failed + self.skipped)
  lines[#lines + 1] = verdict(self)
  return table.concat(lines, "\n")
end

strict.methods(Report, "report")

return M
