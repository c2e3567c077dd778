-- SPDX-License-Identifier: MIT
-- run.lua pace [CHANGES]: plan:apply of a bulk job at the limit of a sandbox, by a client that has
-- to find the limit and by one that knows it (option `rate`). The plan is made before that, without
-- a limit; apply has its defaults, so the canary is in it, and a plan this young is not rechecked.
-- Prints the share of requests that were refused, and the time as a ratio. A small bucket that is
-- refilled fast is the worst of them: it tells its limit only by a second refusal, and by a third
-- when the canary's reads came out of the same bucket; each is a wait of a whole second in ten.
-- The same styles, simulated for hours: spec/pace_limits_spec.lua.

local cipherscale = require "cipherscale"
local core = require "cipherscale.core"
local limited = require "spec.support.limited"
local sandbox = require "cipherscale.sandbox"

-- A client that is never refused does not see how it would be told: `rate` once for those.
local STYLES = {
  { "200 a second, in windows", { per_second = 200 }, rate = 195 },
  { "the same, decimal Retry-After", { per_second = 200, retry_after = "decimal" } },
  { "the same, Retry-After as a date", { per_second = 200, retry_after = "date" } },
  { "the same, no Retry-After", { per_second = 200, retry_after = "missing" } },
  { "a bucket of 200, 200 a second", { style = "bucket", per_second = 200 }, rate = 200 },
  { "a bucket of 10, 200 a second", { style = "bucket", burst = 10, per_second = 200 },
    rate = 195 },
  -- Everybody is read before the change.
  { "200 reads, 200 writes a second", { per_second = 200, split = true }, rate = 390,
    apply = { recheck = 0 } },
  { "20 in 3 seconds, in windows", { requests = 20, seconds = 3 }, rate = 6.5, part = 0.1 },
}

local LONG = {
  { "20 a minute, in windows", { per_minute = 20 }, rate = 1 / 3 },
  { "60 a minute, in windows", { per_minute = 60 }, rate = 1 },
  { "a bucket of 20, one in 15 s", { style = "bucket", burst = 20, requests = 1, seconds = 15 },
    rate = 1 / 15 },
}

local function line(name, sent, refused, seconds, ideal)
  print(("  %-34s %6d  %5d  %5.1f %%  %9.2f  %5.3f"):format(name, sent, refused,
    100 * refused / sent, seconds, seconds / ideal))
end

local function job(style, changes, rate)
  local server = sandbox.start { users = changes }
  local client, ids = server:client { rate = rate }, {}
  for i, user in ipairs(server:state().users) do ids[i] = user.id end
  local plan = cipherscale.assert(client.bulk:roles {
    users = ids, add = { "AUDITOR" }, max_changes = changes,
  })
  assert(plan.to_change == changes)
  server:misbehave { limit = style[2] }
  server:clear_requests()
  local started = core.now()
  local report = cipherscale.assert(plan:apply(style.apply))
  local seconds, sent, refused = core.now() - started, 0, 0
  assert(report.complete, tostring(report))
  for _, request in ipairs(server:requests()) do
    sent = sent + 1
    if request.status == 429 then refused = refused + 1 end
  end
  client:close()
  server:stop()
  return seconds, sent, refused
end

return function(changes)
  print(("%d changes by plan:apply with its canary; ratio to the client that knows the limit")
    :format(changes))
  print(("  %-34s %6s  %5s  %7s  %9s  %5s"):format("", "sent", "refused", "", "wall, s", "ratio"))
  local ideal
  for _, style in ipairs(STYLES) do
    local n = math.ceil(changes * (style.part or 1))
    if style.rate then ideal = job(style, n, style.rate) end
    local seconds, sent, refused = job(style, n)
    line(style[1], sent, refused, seconds, ideal)
  end
  print "single calls, simulated, 20 ms a round trip; ratio to a client that is never refused"
  for _, style in ipairs(LONG) do
    local result = limited.run { limit = style[2], calls = changes }
    line(style[1], result.sent, result.refused, result.seconds, changes / style.rate)
  end
end
