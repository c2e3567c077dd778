-- SPDX-License-Identifier: MIT
-- `luarocks make` at the root of the checkout finds this rockspec alone; the sandbox's is one
-- folder down. Lists are compared with the Makefile's by spec/packaging_spec.lua.
rockspec_format = "3.0"
package = "cipherscale"
version = "scm-1"
-- Never looked at by `luarocks make`, which builds the checkout it is called in.
source = { url = "git+https://example.invalid/lua-cipherscale.git" }
description = {
  summary = "A client for Cipherscale's REST API: users, roles, groups, one by one and in bulk",
  detailed = [[
    An unofficial client over libcurl: the same call blocks, or runs beside a thousand others in
    tasks; retries never do twice what may be done once; bulk role changes are planned, looked at
    and then applied. Not affiliated with the vendor.
  ]],
  license = "MIT",
}
supported_platforms = { "linux" }
dependencies = { "lua >= 5.4, < 5.5", "lua-cjson >= 2.1" }
-- No `header`: Debian keeps curl's in a folder that the compiler knows and LuaRocks does not.
external_dependencies = { CURL = { library = "curl" } }
build = {
  type = "builtin",
  -- The sandbox's Lua files too: LuaRocks copies the whole of lua/, listed or not. They need the
  -- rock cipherscale-sandbox, which brings the server itself.
  modules = {
    ["cipherscale"] = "lua/cipherscale/init.lua",
    ["cipherscale.bulk"] = "lua/cipherscale/bulk.lua",
    ["cipherscale.csv"] = "lua/cipherscale/csv.lua",
    ["cipherscale.nearest"] = "lua/cipherscale/nearest.lua",
    ["cipherscale.pages"] = "lua/cipherscale/pages.lua",
    ["cipherscale.scheduler"] = "lua/cipherscale/scheduler.lua",
    ["cipherscale.strict"] = "lua/cipherscale/strict.lua",
    ["cipherscale.tasks"] = "lua/cipherscale/tasks.lua",
    ["cipherscale.time"] = "lua/cipherscale/time.lua",
    ["cipherscale.bulk.apply"] = "lua/cipherscale/bulk/apply.lua",
    ["cipherscale.bulk.followup"] = "lua/cipherscale/bulk/followup.lua",
    ["cipherscale.bulk.guards"] = "lua/cipherscale/bulk/guards.lua",
    ["cipherscale.bulk.job"] = "lua/cipherscale/bulk/job.lua",
    ["cipherscale.bulk.journal"] = "lua/cipherscale/bulk/journal.lua",
    ["cipherscale.bulk.making"] = "lua/cipherscale/bulk/making.lua",
    ["cipherscale.bulk.options"] = "lua/cipherscale/bulk/options.lua",
    ["cipherscale.bulk.patient"] = "lua/cipherscale/bulk/patient.lua",
    ["cipherscale.bulk.people"] = "lua/cipherscale/bulk/people.lua",
    ["cipherscale.bulk.plan"] = "lua/cipherscale/bulk/plan.lua",
    ["cipherscale.bulk.progress"] = "lua/cipherscale/bulk/progress.lua",
    ["cipherscale.bulk.report"] = "lua/cipherscale/bulk/report.lua",
    ["cipherscale.bulk.search"] = "lua/cipherscale/bulk/search.lua",
    ["cipherscale.bulk.state"] = "lua/cipherscale/bulk/state.lua",
    ["cipherscale.bulk.text"] = "lua/cipherscale/bulk/text.lua",
    ["cipherscale.bulk.things"] = "lua/cipherscale/bulk/things.lua",
    ["cipherscale.bulk.verbs"] = "lua/cipherscale/bulk/verbs.lua",
    ["cipherscale.sandbox"] = "lua/cipherscale/sandbox/init.lua",
    ["cipherscale.sandbox.assumptions"] = "lua/cipherscale/sandbox/assumptions.lua",
    ["cipherscale.sandbox.changes"] = "lua/cipherscale/sandbox/changes.lua",
    ["cipherscale.sandbox.command"] = "lua/cipherscale/sandbox/command.lua",
    ["cipherscale.sandbox.contract"] = "lua/cipherscale/sandbox/contract.lua",
    ["cipherscale.sandbox.inventions"] = "lua/cipherscale/sandbox/inventions.lua",
    ["cipherscale.sandbox.json"] = "lua/cipherscale/sandbox/json.lua",
    ["cipherscale.sandbox.kinds"] = "lua/cipherscale/sandbox/kinds.lua",
    ["cipherscale.sandbox.lists"] = "lua/cipherscale/sandbox/lists.lua",
    ["cipherscale.sandbox.misbehaviour"] = "lua/cipherscale/sandbox/misbehaviour.lua",
    ["cipherscale.sandbox.names"] = "lua/cipherscale/sandbox/names.lua",
    ["cipherscale.sandbox.operations"] = "lua/cipherscale/sandbox/operations.lua",
    ["cipherscale.sandbox.people"] = "lua/cipherscale/sandbox/people.lua",
    ["cipherscale.sandbox.picks"] = "lua/cipherscale/sandbox/picks.lua",
    ["cipherscale.sandbox.plain"] = "lua/cipherscale/sandbox/plain.lua",
    ["cipherscale.sandbox.references"] = "lua/cipherscale/sandbox/references.lua",
    ["cipherscale.sandbox.schema"] = "lua/cipherscale/sandbox/schema.lua",
    ["cipherscale.sandbox.seed"] = "lua/cipherscale/sandbox/seed.lua",
    ["cipherscale.sandbox.service"] = "lua/cipherscale/sandbox/service.lua",
    ["cipherscale.sandbox.store"] = "lua/cipherscale/sandbox/store.lua",
    ["cipherscale.sandbox.views"] = "lua/cipherscale/sandbox/views.lua",
    ["cipherscale.types"] = "lua/cipherscale/types.lua",
    ["cipherscale.core"] = {
      sources = {
        "csrc/core.c",
        "csrc/client.c",
        "csrc/options.c",
        "csrc/schedule.c",
        "csrc/wait.c",
        "csrc/binding.c",
        "csrc/direct.c",
        "csrc/shape.c",
        "csrc/query.c",
        "csrc/writer.c",
        "csrc/names.c",
        "csrc/words.c",
        "csrc/check.c",
        "csrc/json.c",
        "csrc/error.c",
        "csrc/journal_lua.c",
        "csrc/seen_lua.c",
        "csrc/head.c",
        "csrc/answer.c",
        "csrc/endpoints.c",
        "csrc/fields.c",
        "csrc/list.c",
        "csrc/url.c",
        "csrc/base_url.c",
        "csrc/buffer.c",
        "csrc/retry.c",
        "csrc/pace.c",
        "csrc/turns.c",
        "csrc/events.c",
        "csrc/poller.c",
        "csrc/receive.c",
        "csrc/forked.c",
        "csrc/journal.c",
        "csrc/seen.c",
        "csrc/transport.c",
        "csrc/engine.c",
        "csrc/crc32c.c",
        "csrc/record.c",
        "csrc/lines.c",
      },
      incdirs = { "$(CURL_INCDIR)" },
      libdirs = { "$(CURL_LIBDIR)" },
      libraries = { "curl" },
    },
  },
}
