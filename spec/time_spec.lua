-- SPDX-License-Identifier: MIT
-- cipherscale.time: ISO 8601 dates as UTC seconds.

local cipherscale = require "cipherscale"

local function each(cases, check)
  for _, case in ipairs(cases) do check(case[1], case[2]) end
end

local function gives(cases)
  each(cases, function(text, expected)
    local seconds = cipherscale.time(text)
    assert.equal(expected, seconds, text)
    assert.equal(math.type(expected), math.type(seconds), text)
  end)
end

local function refuses(texts)
  for _, text in ipairs(texts) do
    local values = table.pack(cipherscale.time(text))
    assert.equal(1, values.n)
    assert.is_nil(values[1], ("%q"):format(text))
  end
end

describe("cipherscale.time", function()
  it("counts from the epoch", function()
    gives {
      { "1970-01-01T00:00:00Z", 0 }, { "1970-01-01T00:00:01Z", 1 },
      { "1969-12-31T23:59:59Z", -1 }, { "2001-09-09T01:46:40Z", 1000000000 },
      { "2038-01-19T03:14:08Z", 2147483648 }, { "2026-11-25T13:59:40Z", 1795615180 },
      { "0001-01-01T00:00:00Z", -62135596800 }, { "9999-12-31T23:59:59Z", 253402300799 },
      { "0000-01-01T00:00:00Z", -62167219200 }, { "0000-03-01T00:00:00Z", -62162035200 },
    }
  end)

  it("agrees with another calendar on each day of four centuries", function()
    local expected = cipherscale.time "1900-01-01"
    for year = 1900, 2300 do
      for month = 1, 12 do
        local last = tonumber(os.date("!%d", os.time { year = 2000 + year % 400, month = month + 1,
                                                       day = 0, hour = 12 }))
        for day = 1, last do
          local text = ("%04d-%02d-%02d"):format(year, month, day)
          if cipherscale.time(text) ~= expected then assert.equal(expected, text) end
          expected = expected + 86400
        end
        assert.is_nil(cipherscale.time(("%04d-%02d-%02d"):format(year, month, last + 1)))
      end
    end
  end)

  it("takes a date alone for its midnight in UTC", function()
    gives { { "1970-01-02", 86400 }, { "2024-02-29", 1709164800 } }
  end)

  it("takes a time without seconds", function()
    gives { { "1970-01-01T01:02Z", 3720 }, { "1970-01-01T01:02+01:02", 0 } }
  end)

  it("takes any offset, in each spelling", function()
    gives {
      { "1970-01-01T01:00:00+01:00", 0 }, { "1970-01-01T01:00:00+0100", 0 },
      { "1970-01-01T01:00:00+01", 0 }, { "1969-12-31T19:00:00-05:00", 0 },
      { "1969-12-31T19:00:00-05", 0 }, { "1970-01-01T05:30:00+05:30", 0 },
      { "1970-01-01T05:45:00+0545", 0 }, { "1969-12-31T20:30:00-03:30", 0 },
      { "1970-01-01T14:00:00+14:00", 0 }, { "1970-01-01T23:59:00+23:59", 0 },
      { "1970-01-01T00:00:00-00:00", 0 }, { "1970-01-01T00:00:00+00", 0 },
      { "2026-01-01T00:30:00+01:00", 1767223800 }, { "2025-12-31T23:30:00Z", 1767223800 },
    }
  end)

  it("takes t and z as well", function()
    gives { { "1970-01-01t00:00:10z", 10 }, { "1970-01-01T00:00:10z", 10 } }
  end)

  it("gives a float where there is a fraction, and an integer where it is zero", function()
    gives {
      { "1970-01-01T00:00:00.5Z", 0.5 }, { "1970-01-01T00:00:00,25Z", 0.25 },
      { "1970-01-01T00:00:01.000Z", 1 }, { "1969-12-31T23:59:59.750Z", -0.25 },
      { "2026-11-25T13:59:40.125+00:00", 1795615180.125 },
      { "1970-01-01T00:00:00." .. ("0"):rep(20) .. "1Z", 0 },
      { "1970-01-01T00:00:00.5" .. ("0"):rep(5000) .. "Z", 0.5 },
    }
    local most = cipherscale.time("1970-01-01T00:00:00." .. ("9"):rep(5000) .. "Z")
    assert.is_true(most > 0.999 and most <= 1)
  end)

  it("knows leap years", function()
    gives { { "2000-02-29", 951782400 }, { "2024-02-29", 1709164800 } }
    refuses { "1900-02-29", "2100-02-29", "2023-02-29", "2024-02-30", "2025-02-29T00:00:00Z" }
  end)

  it("knows the lengths of months", function()
    refuses { "2026-04-31", "2026-06-31", "2026-09-31", "2026-11-31", "2026-01-32", "2026-12-32",
              "2026-01-00", "2026-00-01", "2026-13-01", "2026-99-99" }
  end)

  it("takes 24:00 for the end of the day, and nothing behind it", function()
    gives { { "1969-12-31T24:00:00Z", 0 }, { "1969-12-31T24:00Z", 0 },
            { "1969-12-31T24:00:00.000Z", 0 }, { "2024-02-29T24:00:00+01:00", 1709247600 } }
    refuses { "2026-01-01T24:00:01Z", "2026-01-01T24:01:00Z", "2026-01-01T24:00:00.1Z",
              "2026-01-01T25:00:00Z", "2026-01-31T24:59Z" }
  end)

  it("takes a leap second where there can be one", function()
    gives { { "2016-12-31T23:59:60Z", 1483228800 }, { "2015-06-30T23:59:60Z", 1435708800 },
            { "2017-01-01T08:59:60+09:00", 1483228800 },
            { "2016-12-31T15:59:60.5-08:00", 1483228800.5 } }
    refuses { "2016-12-31T23:58:60Z", "2016-12-30T23:59:60Z", "2016-12-31T22:59:60Z",
              "2016-12-31T23:59:60+01:00", "2016-12-31T23:59:61Z" }
  end)

  it("gives nil for what is out of range", function()
    refuses { "2026-01-01T23:60:00Z", "2026-01-01T23:00:99Z", "2026-01-01T00:00:00+24:00",
              "2026-01-01T00:00:00+00:60", "2026-01-01T00:00:00-99", "2026-01-01T00:00:00+9999" }
  end)

  it("gives nil for a clock time without an offset, which could be any", function()
    refuses { "2026-01-01T12:00:00", "2026-01-01T12:00", "2026-01-01T12:00:00.5" }
  end)

  it("gives nil for whatever else is written", function()
    refuses {
      "", " ", "now", "2026", "2026-01", "2026-1-1", "26-01-01", "02026-01-01", "+2026-01-01",
      "-2026-01-01", "2026/01/01", "20260101", "20260101T000000Z", "2026-W01-1", "2026-001",
      "01.02.2026", "2026-01-01T", "2026-01-01Z", "2026-01-01+01:00", "2026-01-01T1:00:00Z",
      "2026-01-01T12Z", "2026-01-01T12:00:Z", "2026-01-01T12:00:0Z", "2026-01-01T12:00:00.Z",
      "2026-01-01T12:00.5Z", "2026-01-01T120000Z", "2026-01-01 12:00:00Z", "2026-01-01T12:00:00 Z",
      " 2026-01-01", "2026-01-01 ", "2026-01-01\n", "2026-01-01\0", "2026-01-01T12:00:00Z\0",
      "2026-01-01T12:00:00ZZ", "2026-01-01T12:00:00Z+01:00", "2026-01-01T12:00:00+1",
      "2026-01-01T12:00:00+1:00", "2026-01-01T12:00:00+01:0", "2026-01-01T12:00:00+01:00:00",
      "2026-01-01T12:00:00\u{2212}01:00", "2026-01-01T12:00:00UTC", "2026-01-01T-1:00:00Z",
      "2026-01-01T0x:00:00Z", "2026-01-0a", "1e10-01-01", "\u{662}026-01-01", ("9"):rep(1e6),
      "Wed, 25 Nov 2026 13:59:40 GMT", "1795615180",
    }
  end)

  it("gives nil for what is no string, absent fields and null among it", function()
    for _, value in ipairs { 0, 1795615180, true, {}, print, cipherscale.null } do
      assert.is_nil(cipherscale.time(value))
    end
    assert.is_nil(cipherscale.time(nil))
    assert.is_nil((cipherscale.time()))
    assert.is_nil(cipherscale.time(setmetatable({}, { __tostring = function()
      return "2026-01-01"
    end })))
  end)

  it("does not depend on the machine's time zone or language", function()
    local helper = require "spec.support.helper"
    local script = [[
      os.setlocale "de_DE.UTF-8"
      local time = require("cipherscale").time
      print(time "2026-07-01T12:00:00Z", time "2026-07-01", time "1970-01-01T00:00:00.5Z" * 2)
    ]]
    local expected = helper.run_lua(script)
    assert.equal("1782907200\t1782864000\t1.0\n", expected)
    for _, zone in ipairs { "America/New_York", "Asia/Kolkata", "XYZ-13:45" } do
      assert.equal(expected, helper.run_lua(script, { TZ = zone }))
    end
  end)
end)
