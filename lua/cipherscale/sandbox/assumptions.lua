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
    "Deactivating a user or a device that is deactivated already: as it is, or 400." },
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
  { "create_without_group", "accept", { "accept", "reject" },
    "Creating a user with an empty list of groups: done, or 400, as for last_group." },
  { "create_answer", "same", { "same", "list" },
    "What POST users answers: an object for one and a list for a list, or always a list." },
  { "bulk_create", "all", { "all", "partial" },
    "POST users with a list in which one cannot be created: nobody is, or those before it are; "
    .. "refused either way." },
  { "duplicate_email", "conflict", { "conflict", "bad_request" },
    "Creating a user with an e-mail that is taken (in any case of letters): 409 or 400." },
  { "email_format", "checked", { "checked", "any" },
    "Creating a user with a text that is no e-mail address: 400, or done." },
  { "new_user_roles", "none", { "none", "default" },
    "The direct roles of a created user: none, or the one of type DEFAULT." },
  { "owner_delete", "reject", { "reject", "accept" },
    "Deleting the owner: 403, or done." },
  { "left_out", "keep", { "keep", "clear" },
    "A field that an update leaves out: kept, or cleared." },
  { "unknown_relation", "not_found", { "not_found", "bad_request" },
    "A body names a role, group, user, device, resource, gateway, protocol or rule that does not "
    .. "exist: 404 or 400; nothing at all is changed." },
  { "duplicate_name", "accept", { "accept", "reject" },
    "A name that another one of the same kind has: accepted, or 409." },
  { "built_in", "reject", { "reject", "accept" },
    "Deleting a group that is not deleteable, deleting or changing a protocol or an admission rule "
    .. "that is not CUSTOM: 403, or done." },
  { "in_use", "detach", { "detach", "reject" },
    "Deleting a gateway, resource, protocol or admission rule that others use: it is gone from "
    .. "them too, or 409." },
  { "unassign_absent", "not_found", { "not_found", "accept" },
    "Taking a role from a user who does not hold it directly, or a gateway from a resource that "
    .. "is not connected: 404, or accepted." },
  { "devices_of_deactivated", "refused", { "refused", "untouched" },
    "The devices of a deactivated user: inactive until the user is reactivated, or as before." },
  { "owner_connection", "created", { "created", "absent" },
    "lastConnection of a device's user, required there but not on users, before the first one: "
    .. "the user's createdAt, or left out." },
  { "policy_max_devices", "effective", { "effective", "null" },
    "maxDevices of a policy's user who has no limit, where null is not documented: the largest of "
    .. "the groups, or null." },
  { "second_relay", "unchanged", { "unchanged", "reject" },
    "Enabling or disabling a relay that is so already: the gateway as it is, or 400." },
  { "same_address", "accept", { "accept", "reject" },
    "Creating a resource with an address that exists: another record of it, or 409." },
  { "orphan_addresses", "delete", { "delete", "keep" },
    "Addresses that only a deleted resource had: deleted too, or kept." },
  { "policy_without_rule", "accept", { "accept", "default", "reject" },
    "Creating a policy without a rule: none, the built-in one of its action, or 400." },
  { "deny_rule", "accept", { "accept", "reject" },
    "A policy that denies, with a custom rule: accepted, or 400 since an article says that it "
    .. "takes the default one only." },
  { "policy_order", "last", { "last", "first" },
    "Where a created policy stands: after all others, or before them." },
  { "id_format", "any", { "any", "uuid" },
    "An id that is not a UUID where the contract says uuid: simply unknown (404), or 400." },
  { "unexpected_body", "reject", { "reject", "ignore" },
    "A body where the contract shows none: 400, or it is not looked at." },
  { "wrong_method", "not_found", { "not_found", "not_allowed" },
    "A method that a known path does not have: 404 (as its framework does), or 405 with Allow." },
  { "sort", "ignored", { "ignored", "reject", "applied" },
    "The sort parameter of users, devices and groups, whose syntax is not documented: accepted "
    .. "without effect, 400, or as it is for resources, by any field." },
  { "sort_syntax", "both", { "both", "colon", "dash" },
    "How a descending order is written, of which the documentation shows two: name:desc, -name, or "
    .. "either." },
  { "filters", "any", { "any", "listed" },
    "GET resources with a filter that the documentation does not list: any field with any of the "
    .. "operators it names, or 400." },
  { "other_filters", "reject", { "reject", "accept", "ignore" },
    "Filters on users, devices and groups, where none is listed: 400, as for resources, or "
    .. "everything comes." },
  { "unknown_filter", "reject", { "reject", "ignore" },
    "A filter on a field or with an operator that does not exist: 400, or it has no effect." },
  { "plain_lists", "list", { "list", "single", "page" },
    "What the lists without documented pages answer (gateways, addresses, protocols, roles, their "
    .. "users, rules, policies): a list, a bare object when there is just one, or pages." },
  { "delete_status", "ok", { "ok", "no_content" },
    "The code of a deletion, where the documentation hides it: 200 or 204." },
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
