-- SPDX-License-Identifier: MIT
--
-- What the sandbox guesses about the real service, in one table. No stored page of the API's
-- documentation answers these questions; each guess can be switched at start, so that a script
-- can be tried against the other answer too. A behaviour that is documented has no row here.

local names = require "cipherscale.sandbox.names"

local M = {}

--- The table: name, default, the values it can take ("number" for any whole number from 1 on).
M.list = {
  { "second_add", "accept", { "accept", "reject" },
    "PATCH roles adds a role that the user already holds directly: accepted silently, or 400." },
  { "remove_absent", "accept", { "accept", "reject" },
    "PATCH roles removes a role that the user does not hold directly (also one that a group "
    .. "gives): accepted silently without effect, or 400." },
  { "owner_add", "reject", { "reject", "accept" },
    "PATCH roles adds OWNER: 403, since the help center says that it cannot be assigned." },
  { "owner_remove", "reject", { "reject", "accept" },
    "PATCH roles removes OWNER: 403, as for adding." },
  { "unknown_role", "not_found", { "not_found", "bad_request" },
    "PATCH roles names a role id that does not exist: 404 or 400; nothing at all is changed." },
  { "both_sides", "reject", { "reject", "accept" },
    "PATCH roles names a role in both lists: 400, or it is removed first and then added." },
  { "patch_answer", "empty", { "empty", "roles", "user" },
    "What a successful PATCH roles answers: nothing, the user's roles, or the user." },
  { "direct_roles", "beside", { "beside", "instead" },
    "A role held directly: counts beside those of groups, or replaces them, so that these count "
    .. "for nobody who holds any role directly (and show up only with groupsOnly)." },
  { "role_flags", "honoured", { "honoured", "ignored" },
    "rolesOnly and groupsOnly limit GET roles to direct and to inherited ones, or do nothing." },
  { "both_flags", "all", { "all", "none", "reject" },
    "GET roles with both flags true: all roles, an empty list, or 400." },
  { "role_held_twice", "once", { "once", "twice" },
    "A role held both directly and through a group shows up once or twice among all roles." },
  { "role_list", "list", { "list", "single", "page" },
    "What GET roles of a user answers: a list, a bare object when there is just one, or a page." },
  { "role_users", "direct", { "direct", "all" },
    "GET users of a role without the flag groups: who holds it directly, or also who has it from "
    .. "a group." },
  { "second_deactivate", "unchanged", { "unchanged", "reject" },
    "Deactivating a user who is deactivated already: the user as it is, or 400." },
  { "reactivate_active", "unchanged", { "unchanged", "reject" },
    "Reactivating a user who is not deactivated: the user as it is, or 400." },
  { "invite_not_pending", "reject", { "reject", "accept" },
    "Inviting a user whose invitation is not pending: 400, or the e-mail goes out." },
  { "invite_expired", "accept", { "accept", "reject" },
    "Inviting a user whose invitation has expired: it is pending again, or 400." },
  { "invite_answer", "sentence", { "sentence", "json", "empty" },
    "What a successful invite answers with its 201: a sentence as plain text, "
    .. "an object with a message, or nothing." },
  { "second_join", "accept", { "accept", "reject" },
    "POST groups for a user who is in the group already: accepted silently, or 409." },
  { "last_group", "accept", { "accept", "reject" },
    "DELETE of a user's only membership: done, or 400, since the help center says that everybody "
    .. "is in at least one group." },
  { "id_format", "any", { "any", "uuid" },
    "An id that is not a UUID where the contract says uuid: simply unknown (404), or 400." },
  { "unexpected_body", "reject", { "reject", "ignore" },
    "A body where the contract shows none: 400, or it is not looked at." },
  { "wrong_method", "not_found", { "not_found", "not_allowed" },
    "A method that a known path does not have: 404 (as its framework does), or 405 with Allow." },
  { "sort", "ignored", { "ignored", "reject" },
    "The sort parameter, whose syntax is not documented: accepted without effect, or 400." },
  { "page_limit", 10, "number",
    "The page size when none is asked for." },
  { "page_cap", 100, "number",
    "The largest page." },
  { "over_cap", "cap", { "cap", "reject" },
    "A page size over the cap: the cap is used, or 400." },
}

--- The values in force: the defaults, changed by what the user switched. Raises on unknown ones.
function M.resolve(switched)
  local known, values = {}, {}
  for _, row in ipairs(M.list) do
    known[row[1]], values[row[1]] = row, row[2]
  end
  names.check(switched, known, "assume", "assumption")
  for name, value in pairs(switched) do
    local allowed, what = known[name][3], "assume." .. name
    values[name] = allowed == "number" and names.number(value, 1, what, true)
      or names.word(value, allowed, what)
  end
  return values
end

return M
