-- SPDX-License-Identifier: MIT
--
-- A report as CSV: the rows of the input with what became of each, to be read by people and planned
-- from again.

local cipherscale = require "cipherscale"
local tenant = require "spec.bulk.tenant"

describe("a report as CSV", function()
  local path
  tenant.with_journal(before_each, after_each, function(unused) path = unused end)

  local function csv_rows(name)
    local rows = {}
    for row in assert(cipherscale.csv(name)) do rows[#rows + 1] = row end
    return rows
  end

  it("has every entry once, in the input's own format, and can be planned from again", function()
    tenant.start { users = tenant.users(5, { { roles = { "AUDITOR" } } }) }
    local input, output = tenant.unused_path(".csv"), tenant.unused_path(".csv")
    local file = assert(io.open(input, "w"))
    file:write('email;name\nu1@example.com;-5\nu2@example.com;"=1+1"\nu2@example.com;Twice\n'
      .. "u3@example.com;\"Cy; Di\"\n")
    file:close()
    local made = tenant.plan { users = assert(cipherscale.csv(input)), add = { "AUDITOR" },
      journal = path }
    tenant.server:misbehave { match = { method = "PATCH", path = "/u3/" },
      fail = { status = 422 } }
    local report = assert(made:apply())
    assert(report:to_csv(output))
    local rows = csv_rows(output)
    assert.equal(4, #rows)
    assert.same({ "u1@example.com", "'-5", "unchanged", "" },
      { rows[1].email, rows[1].name, rows[1].bulk_fate, rows[1].bulk_added })
    assert.same({ "u2@example.com", "'=1+1", "changed", "AUDITOR" },
      { rows[2].email, rows[2].name, rows[2].bulk_fate, rows[2].bulk_added })
    assert.same({ "u2@example.com", "Twice", "changed" }, { rows[3].email, rows[3].name,
      rows[3].bulk_fate })
    assert.same({ "u3@example.com", "Cy; Di", "failed", "422" },
      { rows[4].email, rows[4].name, rows[4].bulk_fate, rows[4].bulk_status })
    assert(report:to_csv(output, "failed"))
    assert.equal(1, #csv_rows(output))
    tenant.server:misbehave {}
    local again = tenant.plan { users = assert(cipherscale.csv(output)), add = { "AUDITOR" } }
    assert.equal("u3", tenant.changed_ids(again))
    os.remove(input)
    os.remove(output)
  end)
end)
