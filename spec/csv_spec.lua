-- SPDX-License-Identifier: MIT
--
-- What a CSV file means to cipherscale.csv. Every case writes its bytes to a file of its own and
-- reads them back, since where the chunks of a file end is part of what can go wrong.

local csv = require "cipherscale.csv"
local scratch = require "spec.support.scratch"

describe("cipherscale.csv", function()
  local path

  before_each(function() path = scratch.path ".csv" end)

  local function write(bytes)
    scratch.write(path, bytes)
    return path
  end

  local function open(bytes, options) return assert(csv.open(write(bytes), options)) end

  local function rows(bytes)
    local all = {}
    for row in open(bytes) do all[#all + 1] = row end
    return all
  end

  local function lines(bytes)
    local all = {}
    for _, line in open(bytes) do all[#all + 1] = line end
    return all
  end

  -- The message with the file's name taken off.
  local function without_path(problem)
    return (problem:gsub(path:gsub("%p", "%%%0"), "FILE"))
  end

  local function header_problem(bytes, options)
    local reader, problem = csv.open(write(bytes), options)
    assert.is_nil(reader)
    return without_path(problem)
  end

  local function row_problem(bytes)
    local reader = open(bytes)
    local ok, problem = pcall(function() for _ in reader do end end)
    assert.is_false(ok)
    return without_path(problem)
  end

  describe("a record", function()
    it("is a table keyed by the names in the header", function()
      assert.same({ { email = "a@example.com", name = "Ann" } },
        rows("email,name\na@example.com,Ann\n"))
    end)

    it("keeps empty fields as empty strings", function()
      assert.same({ { a = "", b = "", c = "" } }, rows("a,b,c\n,,\n"))
    end)

    it("keeps the spaces around a value", function()
      assert.same({ { a = " x ", b = "y" } }, rows("a,b\n x ,y\n"))
    end)

    it("may end at the end of the file, without a line end", function()
      assert.same({ { a = "1", b = "2" } }, rows("a,b\n1,2"))
    end)

    it("may have commas, doubled quotes and line breaks in quotes", function()
      assert.same({ { a = "x, y", b = 'the "Duke"', c = "one\r\ntwo\nthree" } },
        rows('a,b,c\r\n"x, y","the ""Duke""","one\r\ntwo\nthree"\r\n'))
    end)

    it("may be a quoted empty field alone", function()
      assert.same({ { a = "" } }, rows('a\n""\n'))
    end)

    it("keeps text in every script", function()
      assert.same({ { name = "Łucja Øster", city = "Αθήνα" }, { name = "李小龍", city = "𐍈 🙂" } },
        rows("name,city\nŁucja Øster,Αθήνα\n李小龍,𐍈 🙂\n"))
    end)
  end)

  describe("a file", function()
    it("may end its lines with CRLF, LF or CR", function()
      for _, line_end in ipairs { "\r\n", "\n", "\r" } do
        local text = table.concat({ "a,b", "1,2", "3,4", "" }, line_end)
        assert.same({ { a = "1", b = "2" }, { a = "3", b = "4" } }, rows(text))
      end
    end)

    it("may begin with a byte order mark", function()
      assert.same({ { email = "x" } }, rows("\239\187\191email\nx\n"))
    end)

    it("may have empty lines, which are skipped but counted", function()
      assert.same({ 4, 6 }, lines("\r\na,b\r\n\r\n1,2\r\n   \r\n3,4\r\n\r\n"))
    end)

    it("may have a header and nothing else", function()
      assert.same({}, rows("email,name\n"))
    end)

    it("may separate by comma, semicolon or tab, which its header shows", function()
      for _, separator in ipairs { ",", ";", "\t" } do
        local reader = open('email' .. separator .. 'name\na' .. separator .. '"b,c;d"\n')
        assert.equal(separator, reader.separator)
        assert.same({ email = "a", name = "b,c;d" }, (reader()))
      end
    end)

    it("has its separator found outside the header's quotes", function()
      assert.same({ { ["a;b;c"] = "1", d = "2" } }, rows('"a;b;c",d\n1,2\n'))
    end)

    it("may be of any length: where a chunk ends does not matter", function()
      -- Every alignment of a CRLF, of a quote pair and of a three-byte character with 64 KiB.
      for shift = 0, 12 do
        local filler = ("x"):rep(64 * 1024 - 10 - shift)
        local text = "a,b\r\n" .. filler .. ',"€""\r\n"\r\nlast,€\r\n'
        assert.same({ { a = filler, b = '€"\r\n' }, { a = "last", b = "€" } }, rows(text))
        assert.same({ 2, 4 }, lines(text))
      end
    end)

    it("is read as it is asked for, not as a whole", function()
      local reads = 0
      local source = {
        read = function()
          reads = reads + 1
          if reads == 1 then return "a\n" end
          return reads < 1000 and ("line\n"):rep(1000) or nil
        end,
      }
      local reader = assert(csv.open(source))
      reader()
      assert.is_true(reads < 5)
    end)
  end)

  describe("the line number", function()
    it("is the second value at each step, and that of the record's first line", function()
      assert.same({ 2, 5, 6 }, lines('a,b\n"one\ntwo\nthree",x\n1,2\n3,4\n'))
    end)

    it("counts a CRLF once", function()
      assert.same({ 2, 4 }, lines('a,b\r\n"one\r\ntwo",x\r\n1,2\r\n'))
    end)
  end)

  describe("the header", function()
    it("is there as `columns`, in order and without white space around names", function()
      assert.same({ "email", "first name" }, open(" email ,first name\t\n").columns)
    end)

    it("must have the columns that are asked for, else lists those found", function()
      assert.equal("FILE, line 1: column missing: email, id (found: E-Mail, name)",
        header_problem("E-Mail;name\n", { columns = { "email", "name", "id" } }))
    end)

    it("must not name a column twice", function()
      assert.equal("FILE, line 1: the column 'a' is there twice", header_problem("a,b, a\n"))
    end)

    it("must name every column", function()
      assert.equal("FILE, line 1: column 3 has no name", header_problem("a,b,\n"))
    end)

    it("must be there", function()
      assert.equal("FILE, line 1: no header: the file is empty", header_problem("\r\n\n"))
    end)
  end)

  describe("a malformed record", function()
    it("with too few or too many fields is named by line", function()
      assert.equal("FILE, line 3: 2 fields expected, as in the header, got 1",
        row_problem("a,b\n1,2\n3\n"))
      assert.equal("FILE, line 2: 2 fields expected, as in the header, got 3",
        row_problem("a,b\n1,2,\n"))
    end)

    it("with a quote that is never closed is named by the line where it begins", function()
      assert.equal("FILE, line 3: a quoted field has no closing quote",
        row_problem('a,b\n1,2\n3,"four\n5,6\n7,8\n'))
    end)

    it("with a stray quote does not swallow the rest of a large file", function()
      local reads = 0
      local reader = assert(csv.open {
        read = function()
          reads = reads + 1
          if reads == 1 then return 'a,b\n1,"two\n' end
          return reads < 100 and ("5,6\n"):rep(16 * 1024) or nil
        end,
      })
      local _, problem = pcall(reader)
      assert.equal("CSV input, line 2: a quoted field has no closing quote", problem)
      assert.is_true(reads < 30)
    end)

    it("with a quote inside an unquoted field is named", function()
      assert.equal("FILE, line 2: a quote inside a field that is not quoted; quote the whole field",
        row_problem('a,b\n1,the "Duke"\n'))
    end)

    it("with text after a closing quote is named", function()
      local advice = "; a quote inside a quoted field is doubled"
      assert.equal("FILE, line 2: text after a closing quote" .. advice,
        row_problem('a,b\n"x"y,2\n'))
    end)

    it("ends reading for good: the next step fails the same way", function()
      local reader = open("a,b\n1\n2,3\n")
      local _, first = pcall(reader)
      local ok, second = pcall(reader)
      assert.is_false(ok)
      assert.equal(first, second)
    end)
  end)

  describe("text that is not UTF-8", function()
    local advice = "; save the file as UTF-8"

    it("is named by its line, also inside a field with line breaks", function()
      assert.equal("FILE, line 3: not valid UTF-8 (byte 0xE9)" .. advice,
        row_problem("a,b\n1,2\nAndr\233,4\n"))
      assert.equal("FILE, line 4: not valid UTF-8 (byte 0xFC)" .. advice,
        row_problem('a,b\r\n"x\r\n\r\nM\252ller",2\r\n'))
    end)

    it("is refused in each of its forms", function()
      local forms = {
        "\128", "\192\128", "\193\191", "\194", "\224\159\191", "\237\160\128", "\240\143\191\191",
        "\244\144\128\128", "\245\128\128\128", "\226\130", "\0",
      }
      for _, bytes in ipairs(forms) do
        local _, count = row_problem("a\nx" .. bytes .. "y\n"):gsub("line 2: not valid UTF%-8", "")
        assert.equal(1, count)
      end
    end)

    it("is called UTF-16 when its byte order mark says so", function()
      assert.equal("FILE, line 1: this is UTF-16" .. advice,
        header_problem("\255\254a\0,\0b\0\n\0"))
    end)
  end)

  describe("where it reads from", function()
    it("is a path; one that cannot be opened gives nil and the reason", function()
      local reader, problem = csv.open(path .. ".missing")
      assert.is_nil(reader)
      assert.equal(path .. ".missing: No such file or directory", problem)
    end)

    it("is not a folder", function()
      local reader, problem = csv.open("spec")
      assert.is_nil(reader)
      assert.equal("spec: Is a directory", problem)
    end)

    it("may be an open file, which it leaves open", function()
      local file = assert(io.open(write("a\n1\n"), "rb"))
      for row in assert(csv.open(file)) do assert.same({ a = "1" }, row) end
      assert.equal("file", io.type(file))
      file:close()
    end)

    it("cannot be anything else", function()
      assert.has_error(function() csv.open(42) end,
        "bad argument #1 to 'csv' (path or open file expected, got number)")
      local file = assert(io.open(write("a\n"), "rb"))
      file:close()
      assert.has_error(function() csv.open(file) end,
        "bad argument #1 to 'csv' (path or open file expected, got closed file)")
    end)

    it("can be closed before its end, and then gives no more rows", function()
      local reader = open("a\n1\n2\n")
      reader()
      reader:close()
      local ok, problem = pcall(reader)
      assert.is_false(ok)
      assert.equal("FILE: the reader is closed", without_path(problem))
    end)
  end)

  it("refuses an option that it does not know", function()
    assert.has_error(function() csv.open(write("a\n"), { column = { "a" } }) end,
      "bad argument #2 to 'csv' (unknown option 'column'; known: columns)")
    assert.has_error(function() csv.open(write("a\n"), { columns = "a" }) end,
      "bad argument #2 to 'csv' (columns: list of names expected, got string)")
  end)
end)
