-- SPDX-License-Identifier: MIT
-- What a 2xx answer becomes where a list or a page is promised: generous with the shape, but a part
-- of a list is never believed whole.

local cipherscale = require "cipherscale"
local setting = require "spec.support.setting"

local client

setting.install(after_each, function(a_client) client = a_client end)

local function serve(body)
  setting.start { type(body) == "table" and body or { body = body } }
end

local function list(body)
  serve(body)
  return client.roles:list()
end

-- One of those that do not go on where the service sends pages; what `list` does: pages_spec.
local function holders(body)
  serve(body)
  return client.roles:users "r1"
end

local function page(body)
  serve(body)
  return client.users:page()
end

local function refused(value, err)
  assert.is_nil(value)
  assert.equal("decode", err.kind)
  assert.is_nil(err.ambiguous)
  return err.message
end

describe("a list", function()
  it("is an array", function()
    assert.same({ { id = "r1" }, { id = "r2" } }, list '[{"id":"r1"},{"id":"r2"}]')
    assert.same({}, list "[]")
    assert.same({ { id = "r1" }, cipherscale.null }, list '[{"id":"r1"},null]')
  end)

  it("is of one where the answer is a single object", function()
    assert.same({ { id = "r1", name = "x" } }, list '{"id":"r1","name":"x"}')
    assert.same({ { id = "r1", data = "x" } }, list '{"id":"r1","data":"x"}')
  end)

  it("is empty where the answer is an empty object", function()
    assert.same({}, list "{}")
    assert.same({}, list ' {"x":null} ')
  end)

  it("is what a whole page holds", function()
    local one = { { id = "r1" } }
    assert.same(one, list '{"data":[{"id":"r1"}],"total":1,"page":0,"limit":10,"hasNext":false}')
    assert.same(one, list '{"data":[{"id":"r1"}],"hasNext":false,"hasPrevious":false}')
    assert.same(one, list '{"data":[{"id":"r1"}],"total":1}')
    assert.same(one, list '{"data":[{"id":"r1"}],"total":null,"hasNext":null}')
    assert.same(one, list '{"data":[{"id":"r1"}]}')
    assert.same({}, list '{"data":[],"total":0}')
    assert.same({}, list '{"data":[]}')
  end)

  it("is never one page of several", function()
    for _, rest in ipairs { '"total":2', '"total":2.0', '"total":1000000', '"hasNext":true',
                            '"total":1,"hasNext":true', '"hasPrevious":true', '"page":1',
                            '"page":1,"limit":1,"hasNext":false' } do
      local message = refused(holders(('{"data":[{"id":"r1"}],%s}'):format(rest)))
      assert.is_truthy(message:find("one page of several", 1, true), rest .. ": " .. message)
    end
    refused(holders '{"data":[],"total":3}')
    refused(holders '{"data":[],"hasNext":true}')
  end)

  it("is no full page that does not say whether others follow", function()
    for _, rest in ipairs { '"limit":2', '"limit":"2"', '"limit":1', '"limit":2,"page":0',
                            '"limit":2,"total":null,"hasNext":null', '"limit":2,"next":null',
                            '"offset":1,"limit":10', '"skip":0,"offset":"1"', '"next":"/x"',
                            '"next":2,"limit":10', '"page":0,"pageCount":3', '"pageCount":"2"',
                            '"totalPages":2', '"totalPages":2,"hasNext":false,"limit":10' } do
      local message = refused(holders(('{"data":[{"id":"r1"},{"id":"r2"}],%s}'):format(rest)))
      assert.is_truthy(message:find("one page of several", 1, true), rest .. ": " .. message)
    end
    refused(holders '{"data":[],"next":"/x"}')
    serve '{"data":[{"id":"r1"}],"offset":1,"limit":1}'
    refused(client.users:roles "u1")
  end)

  it("is a full page that says that no other follows, and one that is not full", function()
    for _, rest in ipairs { '"limit":2,"total":2', '"limit":2,"hasNext":false', '"limit":3',
                            '"limit":2,"hasNext":"false"', '"limit":2,"pageCount":1',
                            '"limit":2,"totalPages":1', '"limit":0', '"limit":null', '"limit":{}',
                            '"next":null,"limit":10', '"next":"","limit":10', '"next":false',
                            '"offset":0,"limit":10' } do
      local roles, err = list(('{"data":[{"id":"r1"},{"id":"r2"}],%s}'):format(rest))
      assert.same({ { id = "r1" }, { id = "r2" } }, roles, rest .. ": " .. tostring(err))
    end
    assert.same({}, list '{"data":[],"limit":0}')
    assert.same({}, list '{"data":[],"pageCount":0}')
  end)

  it("is never made up from a page without items", function()
    for _, body in ipairs { '{"data":null,"total":0}', '{"data":null,"total":5,"hasNext":true}' } do
      serve(body)
      local value, err = client.roles:list()
      if value then assert.same({}, value) else assert.equal("decode", err.kind) end
    end
  end)

  it("is never an object that only looks like a list", function()
    for _, body in ipairs { '{"data":{"id":"r1"}}', '{"data":{"id":"r1"},"total":1}' } do
      serve(body)
      local value, err = client.roles:list()
      if value then assert.equal(1, #value) else assert.equal("decode", err.kind) end
    end
  end)

  it("is nothing else", function()
    for _, body in ipairs { '"r1"', "5", "null", "true", "", "[", "OK", "<html>" } do
      refused(list(body))
    end
    refused(list { status = 204 })
  end)

  it("is the same for the roles of a user", function()
    serve '{"data":[{"id":"r1"}],"total":1}'
    assert.same({ { id = "r1" } }, client.users:roles "u1")
    serve '{"id":"r1"}'
    assert.same({ { id = "r1" } }, client.users:roles("u1", { rolesOnly = true }))
    serve '{"data":[{"id":"r1"}],"total":2}'
    refused(client.users:roles "u1")
  end)
end)

describe("a page", function()
  it("is the API's own, with its metadata", function()
    assert.same({ data = { { id = "u1" } }, total = 9, page = 0, limit = 1, hasNext = true },
      page '{"data":[{"id":"u1"}],"total":9,"page":0,"limit":1,"hasNext":true}')
    assert.same({ data = {}, total = 0, new = { 1 } }, page '{"data":[],"total":0,"new":[1]}')
    assert.same({ data = { { id = "u1" } } }, page '{"data":[{"id":"u1"}]}')
  end)

  it("has only data where the answer is an array", function()
    assert.same({ data = { { id = "u1" } } }, page '[{"id":"u1"}]')
    assert.same({ data = {} }, page "[]")
    assert.same({ data = {} }, page "{}")
  end)

  it("is no other object", function()
    for _, body in ipairs { '{"id":"u1"}', '{"data":"x"}', '{"data":5,"total":1}',
                            '{"items":[{"id":"u1"}]}' } do
      refused(page(body))
    end
  end)

  it("never has data that only looks like a list", function()
    serve '{"data":{"id":"u1"},"total":1}'
    local value, err = client.users:page()
    if value then assert.equal(1, #value.data) else assert.equal("decode", err.kind) end
  end)

  it("is nothing else", function()
    for _, body in ipairs { '"u1"', "5", "null", "", "[", "OK", "<html>" } do
      refused(page(body))
    end
  end)
end)
