-- SPDX-License-Identifier: MIT
--
-- Invented people and fixed ids: the same for every start, so that a script can be run twice and
-- its output compared.

local M = {}

-- Name and its form in an e-mail address.
local FIRST = {
  "Ada", "Alan", "Barbara", "Claude", "Dorothy", "Edsger", "Frances", "Grace", "Hedy", "Ida",
  "Jean", "Katherine", "Leslie", "Margaret", "Niklaus", "Olga", "Peter", "Radia", "Shafi", "Tim",
  { "Zoë", "zoe" }, { "André", "andre" }, { "Søren", "soren" }, { "Łukasz", "lukasz" },
  { "Ñuria", "nuria" },
}

local LAST = {
  "Abbott", "Baker", "Carver", "Dietrich", "Eastwood", "Fischer", "Granger", "Hopper", "Ivanova",
  "Jansen", "Keller", "Lamarr", "Marchetti", "Nakamura", "Okafor", "Perlman", "Quint", "Rossi",
  "Svensson", "Turner", { "Müller", "mueller" }, { "O'Brien", "obrien" }, { "Çelik", "celik" },
}

local KINDS = {
  user = 1, role = 2, group = 3, device = 4, gateway = 5, resource = 6, address = 7, protocol = 8,
  rule = 9, policy = 10,
}

local function pick(list, n)
  local name = list[(n - 1) % #list + 1]
  if type(name) == "table" then return name[1], name[2] end
  return name, name:lower()
end

--- A UUID (version 4 by its shape) that tells what it names: kind and number.
function M.id(kind, n)
  return ("%08x-%04x-4000-8000-%012x"):format(n, KINDS[kind], n)
end

--- A time of the year 2024, one minute later for each number.
function M.time(n)
  return os.date("!%Y-%m-%dT%H:%M:%S.000Z", 1704067200 + n * 60)
end

--- The n-th person: first name, last name, e-mail address. The number is in the address once all
--- pairs of names are used up.
function M.person(n)
  local first, first_address = pick(FIRST, n)
  local last, last_address = pick(LAST, n + math.floor((n - 1) / (#FIRST * #LAST)))
  local number = n > #FIRST * #LAST and tostring(n) or ""
  return first, last, ("%s.%s%s@example.com"):format(first_address, last_address, number)
end

return M
