-- SPDX-License-Identifier: MIT
--
-- What became of everybody in a plan. A report counts as the job goes, so it is right at any
-- moment, also when the job was stopped by an error: plan.report is it.

local text = require "cipherscale.bulk.text"

local M = {}

local SHOWN_FAILURES = 20

local Report = { __name = "cipherscale.report" }
Report.__index = Report

--- A report on which nothing has been done yet.
function M.new(plan)
  return setmetatable({
    total = plan.total, changed = 0, unchanged = plan.unchanged, failed = 0, skipped = 0,
    pending = plan.to_change, complete = plan.to_change == 0, stopped = nil,
    started = os.time(), elapsed = 0,
    plan = plan, fates = {}, errors = {},
  }, Report)
end

--- Notes the fate of the n-th person of the plan: "changed" or "failed".
function Report:settle(n, fate, err)
  self.fates[n], self.errors[n] = fate, err
  self[fate] = self[fate] + 1
  self.pending = self.pending - 1
  self.complete = self.failed == 0 and self.skipped == 0 and self.pending == 0
end

local function labels(things)
  local list = {}
  for n, thing in ipairs(things) do list[n] = thing.label end
  return list
end

--- One person as plans and reports show it.
function M.row(person)
  local change = person.change
  return {
    user = person.id, email = person.email, line = person.line,
    add = labels(change.add), remove = labels(change.remove), before = labels(change.before),
  }
end

--- The row of the n-th person of the plan, with `fate` and, where there is one, `error`.
function Report:row(n)
  local person = self.plan.people[n]
  local row = M.row(person)
  row.fate = self.fates[n] or (person.change.nothing and "unchanged" or "pending")
  row.error = self.errors[n]
  return row
end

--- Iterates over everybody: { user =, email =, line =, add =, remove =, before =, fate =, error = }
--- where `fate` is "changed", "unchanged", "failed" or "pending".
function Report:rows()
  local n = 0
  return function()
    n = n + 1
    if self.plan.people[n] then return self:row(n) end
    return nil
  end
end

local function failures(report)
  local rows = {}
  for n, person in ipairs(report.plan.people) do
    if #rows == SHOWN_FAILURES then break end
    if report.fates[n] == "failed" then
      rows[#rows + 1] = {
        ("%s %d"):format(report.plan.word, person.line), text.who(person),
        text.clean(report.errors[n]),
      }
    end
  end
  return rows
end

local function verdict(report)
  if report.complete then return "Complete: everybody is as asked." end
  local open = {}
  if report.failed > 0 then open[#open + 1] = text.number(report.failed) .. " failed" end
  if report.pending > 0 then open[#open + 1] = text.number(report.pending) .. " not tried" end
  return ("NOT complete: %s. A new plan takes up what is left."):format(table.concat(open, ", "))
end

function Report:__tostring()
  local plan = self.plan
  local lines = {
    ("Report: %s for %s"):format(text.change(plan.asked), text.people(self.total)),
    ("  %s changed, %s unchanged, %s failed, %s pending"):format(text.number(self.changed),
      text.number(self.unchanged), text.number(self.failed), text.number(self.pending)),
    ("  begun %s, took %s"):format(os.date("!%Y-%m-%d %H:%M:%S UTC", self.started),
      text.duration(self.elapsed)),
  }
  if self.stopped then lines[#lines + 1] = "  stopped: " .. text.clean(self.stopped) end
  if self.failed > 0 then
    lines[#lines + 1] = "Failed:"
    for _, line in ipairs(text.columns(failures(self))) do lines[#lines + 1] = line end
    lines[#lines + 1] = text.more(SHOWN_FAILURES, self.failed)
  end
  lines[#lines + 1] = verdict(self)
  return table.concat(lines, "\n")
end

return M
