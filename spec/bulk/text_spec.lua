-- SPDX-License-Identifier: MIT
--
-- The words of plans, reports and messages: pure functions, no service.

local nearest = require "cipherscale.nearest"
local text = require "cipherscale.bulk.text"

describe("bulk text", function()
  it("groups the digits of a number", function()
    local written = {}
    for n, number in ipairs { 0, 7, 999, 1000, 12345, 1234567 } do
      written[n] = text.number(number)
    end
    assert.same({ "0", "7", "999", "1,000", "12,345", "1,234,567" }, written)
  end)

  it("says durations as people do", function()
    local said = {}
    for n, seconds in ipairs { 0.8239, 9.5, 42.9, 119, 200, 7199, 7500 } do
      said[n] = text.duration(seconds)
    end
    assert.same({ "0.82 s", "9.50 s", "42 s", "119 s", "3 min 20 s", "119 min 59 s", "2 h 05 min" },
      said)
  end)

  it("aligns columns by letters, not by bytes", function()
    local lines = { "Towns:" }
    text.list(lines, nil, { { "Łódź", "a" }, { "Bonn", "b" } }, 2)
    assert.same({ "Towns:", "  Łódź  a", "  Bonn  b" }, lines)
  end)

  it("lists the first, and says how many there are beside them", function()
    local lines = {}
    text.list(lines, "Towns:", { "Bonn", "Rome", "Oslo" }, 2, function(town) return { town } end)
    text.list(lines, "Rivers:", {}, 2)
    text.list(lines, "Lakes:", { { "Como" } }, 1, nil, 1001)
    assert.same({ "Towns:", "  Bonn", "  Rome", "  and 1 more", "Lakes:", "  Como",
      "  and 1,000 more" }, lines)
  end)
end)

describe("the nearest known name", function()
  local roles = { "ADMIN", "AUDITOR", "BASIC", "BILLING", "SUPPORT" }

  it("is found whatever the case, with a letter wrong, missing or too many", function()
    for _, name in ipairs { "auditor", "AUDITER", "AUDITR", "AUDITORS", "UADITOR" } do
      assert.same({ "AUDITOR" }, nearest.find(name, roles))
    end
  end)

  it("is every one of up to three that are equally near, in order", function()
    assert.same({ "u1@x", "u2@x", "u3@x" }, nearest.find("u@x", { "u4@x", "u3@x", "u2@x", "u1@x" }))
  end)

  it("is none at all when nothing is near", function()
    assert.same({}, nearest.find("OWNER", roles))
    assert.same({}, nearest.find("AUDITOR", {}))
  end)

  it("is named in the sentence about an unknown one, else all are", function()
    assert.equal("unknown option 'ad' (did you mean 'add'?)",
      nearest.unknown("option", "ad", { "users", "add" }))
    assert.equal("unknown option 'journal' (known: users, add)",
      nearest.unknown("option", "journal", { "users", "add" }))
    assert.equal("unknown option '1' (known: users, add)",
      nearest.unknown("option", 1, { "users", "add" }))
    assert.is_nil(nearest.unknown("option", "add", { "users", "add" }))
  end)
end)
