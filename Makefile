# SPDX-License-Identifier: MIT
# Builds the C modules and runs everything around them; `make help` lists the targets.
# Every source is named once, below. spec/packaging_spec.lua compares these lists with the folders
# and with the rockspecs. Only deps, test, demo, lint, valgrind, rock and contract may install
# anything; the others use what is there.

# ---- sources ---------------------------------------------------------------------------------

# The plain side knows no Lua; .ci/rules proves it on the objects.
PLAIN_NAMES := list url base_url buffer retry pace turns events poller forked receive transport \
  engine crc32c record lines journal seen
TABLE_NAMES := endpoints fields
LUA_SIDE_NAMES := core client options schedule wait binding direct shape query writer names words \
  check json error head answer journal_lua seen_lua
SANDBOX_NAMES := core server rules log

PLAIN_SOURCES := $(PLAIN_NAMES:%=csrc/%.c)
CORE_SOURCES := $(LUA_SIDE_NAMES:%=csrc/%.c) $(TABLE_NAMES:%=csrc/%.c) $(PLAIN_SOURCES)
SANDBOX_SOURCES := $(SANDBOX_NAMES:%=csrc/sandbox/%.c)
RAWSERVER_SOURCES := $(addprefix spec/support/,rawserver.c rawserver_serve.c rawserver_state.c)
PROCESS_SOURCES := spec/support/process.c
PROBE_SOURCES := spec/support/probe.c $(addprefix csrc/,url.c retry.c pace.c buffer.c)
BENCH_SOURCES := $(wildcard bench/*.c)

LUA_FILES := $(addprefix lua/cipherscale/, \
  init.lua bulk.lua csv.lua nearest.lua pages.lua scheduler.lua strict.lua tasks.lua time.lua \
  bulk/apply.lua bulk/followup.lua bulk/guards.lua bulk/job.lua bulk/journal.lua bulk/making.lua \
  bulk/options.lua bulk/patient.lua bulk/people.lua bulk/plan.lua bulk/progress.lua \
  bulk/report.lua bulk/search.lua bulk/state.lua bulk/text.lua bulk/things.lua bulk/verbs.lua \
  sandbox/init.lua sandbox/assumptions.lua sandbox/changes.lua sandbox/command.lua \
  sandbox/contract.lua sandbox/inventions.lua sandbox/json.lua sandbox/kinds.lua \
  sandbox/lists.lua sandbox/misbehaviour.lua sandbox/names.lua sandbox/operations.lua \
  sandbox/people.lua sandbox/picks.lua sandbox/plain.lua sandbox/references.lua \
  sandbox/schema.lua sandbox/seed.lua sandbox/service.lua sandbox/store.lua sandbox/views.lua \
  types.lua)
# The sandbox's own rock: what needs libmicrohttpd, and what that reads.
SANDBOX_DATA := api/openapi.json
SANDBOX_COMMAND := lua/cipherscale/sandbox/command.lua

# ---- what may be set from outside --------------------------------------------------------------

BUILD ?= build
PREFIX ?= /usr/local
INST_LUADIR ?= $(PREFIX)/share/lua/5.4
INST_LIBDIR ?= $(PREFIX)/lib/lua/5.4
INST_BINDIR ?= $(PREFIX)/bin
CFLAGS ?= -O2 -g
BUSTED ?= $(shell command -v busted)
BUSTED_FLAGS ?=
SPEC ?=

find_lua = for lua in lua5.4 lua-5.4 lua54 lua; do $$lua -e 'os.exit(_VERSION == "Lua 5.4")' \
  2>/dev/null && echo $$lua && exit; done; echo lua5.4
LUA ?= $(shell $(find_lua))

# ---- what is found -----------------------------------------------------------------------------

# $(call pkg,--cflags,names…): what pkg-config says of the first name that it knows.
pkg = $(shell for name in $(2); do pkg-config $(1) $$name 2>/dev/null && exit; done)
lua_folders := /usr/include/lua5.4 /usr/include/lua-5.4 /usr/local/include/lua5.4 \
  /usr/local/include /opt/homebrew/include/lua5.4
LUA_INCDIR ?=
LUA_CFLAGS := $(or $(LUA_INCDIR:%=-I%),$(call pkg,--cflags,lua5.4 lua-5.4 lua54),\
  $(patsubst %/lua.h,-I%,$(firstword $(wildcard $(lua_folders:%=%/lua.h)))))
CURL_CFLAGS := $(or $(call pkg,--cflags,libcurl),$(shell curl-config --cflags 2>/dev/null))
CURL_LIBS := $(or $(call pkg,--libs,libcurl),$(shell curl-config --libs 2>/dev/null),-lcurl)
MHD_CFLAGS := $(call pkg,--cflags,libmicrohttpd)
MHD_LIBS := $(or $(call pkg,--libs,libmicrohttpd),-lmicrohttpd)

# ---- flags -------------------------------------------------------------------------------------

# CFLAGS replaces -O2 -g; these stay. No -fvisibility: LuaRocks' own build passes none either, so
# the sources hide their symbols themselves, and the rules under .ci hold in both builds.
NEEDED := -std=c11 -fPIC -Wall -Wextra -Wpedantic -Wshadow -Wconversion $(if $(WERROR),-Werror)
# The module pins itself and libcurl: unloading them with the Lua state frees nothing that matters
# and makes leak checkers report memory that libcurl's own libraries keep.
SHARED := -shared -Wl,-z,nodelete
ifeq ($(shell uname -s),Darwin)
SHARED := -bundle -undefined dynamic_lookup
endif

# SANITIZE=address,undefined: set by the target asan, together with its own BUILD.
ifneq ($(SANITIZE),)
override CFLAGS := -O1 -g -fno-omit-frame-pointer
NEEDED += -fsanitize=$(SANITIZE) -fno-sanitize-recover=all
SHARED += -fsanitize=$(SANITIZE)
ifneq ($(findstring clang,$(shell $(CC) --version 2>/dev/null)),)
SHARED += -shared-libasan
RUNTIME := $(shell $(CC) -print-file-name=libclang_rt.asan-$(shell uname -m).so)
else
RUNTIME := $(shell $(CC) -print-file-name=libasan.so)
endif
override LUA := $(CURDIR)/$(BUILD)/bin/lua5.4
endif

# ---- environment of everything that is run -----------------------------------------------------

MAKEFLAGS += --no-print-directory

# Nothing here may reach a real tenant by accident: only LIVE=1 lets the settings through.
ifneq ($(LIVE),1)
$(foreach name,$(filter CIPHERSCALE_%,$(.VARIABLES)),$(eval unexport $(name)))
endif
# They would go before LUA_PATH and change what the interpreter does.
unexport LUA_INIT LUA_INIT_5_4 LUA_PATH_5_4 LUA_CPATH_5_4

RUN_PATH := ./?.lua;./lua/?.lua;./lua/?/init.lua;$(or $(LUA_PATH_5_4),$(LUA_PATH),;)
RUN_CPATH := ./$(BUILD)/?.so;$(or $(LUA_CPATH_5_4),$(LUA_CPATH),;)
RUN = LUA_PATH='$(RUN_PATH)' LUA_CPATH='$(RUN_CPATH)'

# ---- building ----------------------------------------------------------------------------------

object = $(1:%.c=$(BUILD)/obj/%.o)
CORE := $(BUILD)/cipherscale/core.so
SANDBOX := $(BUILD)/cipherscale/sandbox/core.so
TEST_MODULES := $(addprefix $(BUILD)/spec/support/,rawserver.so process.so probe.so)
BENCH_PROGRAMS := $(BENCH_SOURCES:%.c=$(BUILD)/%)
PLAIN_OBJECTS := $(call object,$(PLAIN_SOURCES))
CORE_OBJECTS := $(call object,$(CORE_SOURCES))
SANDBOX_OBJECTS := $(call object,$(SANDBOX_SOURCES))
ALL_OBJECTS := $(call object,$(sort $(CORE_SOURCES) $(SANDBOX_SOURCES) $(RAWSERVER_SOURCES) \
  $(PROCESS_SOURCES) $(PROBE_SOURCES) $(BENCH_SOURCES)))

.PHONY: all sandbox test-modules bench-programs
all: $(CORE) sandbox
sandbox: $(SANDBOX)
test-modules: $(TEST_MODULES)
bench-programs: $(BENCH_PROGRAMS)

$(CORE): $(CORE_OBJECTS)
$(CORE): LIBRARIES = $(CURL_LIBS)
$(SANDBOX): $(SANDBOX_OBJECTS)
$(SANDBOX): LIBRARIES = $(MHD_LIBS) -pthread
$(BUILD)/spec/support/rawserver.so: $(call object,$(RAWSERVER_SOURCES))
$(BUILD)/spec/support/process.so: $(call object,$(PROCESS_SOURCES))
$(BUILD)/spec/support/rawserver.so $(BUILD)/spec/support/process.so: LIBRARIES = -pthread
$(BUILD)/spec/support/probe.so: $(call object,$(PROBE_SOURCES))

# One short line a command; V=1 shows the commands themselves.
quietly = $(if $(V),,@echo '  $(1)  $@' &&)

$(CORE) $(SANDBOX) $(TEST_MODULES):
	@mkdir -p $(@D)
	$(call quietly,link) $(CC) $(SHARED) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LIBRARIES) \
	  $(LDLIBS)

$(BENCH_PROGRAMS): $(BUILD)/%: $(BUILD)/obj/%.o
	@mkdir -p $(@D)
	$(call quietly,link) $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< $(CURL_LIBS) $(LDLIBS)

# The plain side is compiled without the folder of Lua's headers.
INCLUDES = $(LUA_CFLAGS) $(CURL_CFLAGS) $(MHD_CFLAGS)
$(PLAIN_OBJECTS): INCLUDES = $(CURL_CFLAGS)
$(BUILD)/obj/spec/support/probe.o: INCLUDES += -Icsrc

$(ALL_OBJECTS): $(BUILD)/obj/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call quietly,  cc) $(CC) $(NEEDED) $(CFLAGS) -MMD -MP $(CPPFLAGS) $(INCLUDES) -c -o $@ $<

-include $(ALL_OBJECTS:.o=.d)

# Rewritten when compiler or flags differ from the last build's, which makes all objects stale.
FLAGS = $(CC) $(NEEDED) $(CFLAGS) $(CPPFLAGS) $(LUA_CFLAGS) $(CURL_CFLAGS) $(MHD_CFLAGS) $(LDFLAGS)
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(subst ','"'"',$(FLAGS))' | cmp -s - $@ || echo '$(subst ','"'"',$(FLAGS))' > $@
.PHONY: FORCE
FORCE:

# ---- dependencies ------------------------------------------------------------------------------

# These look once more (by a make of their own) after installing: what is found above may be new.
.PHONY: deps demo-deps lint-deps valgrind-deps rock-deps contract-deps
DEPS = CC='$(CC)' LUA='$(LUA)' INCLUDES='$(CPPFLAGS) $(INCLUDES)' .ci/deps
deps:
	@$(DEPS) build test
demo-deps:
	@$(DEPS) build
lint-deps:
	@$(DEPS) build lint
valgrind-deps:
	@$(DEPS) build test valgrind
rock-deps:
	@$(DEPS) build rock
contract-deps:
	@$(DEPS) build test contract

# ---- trying and testing ------------------------------------------------------------------------

.PHONY: demo test check asan valgrind bench lint
demo: demo-deps
	@$(MAKE) all
	@$(MAKE) demo-run
.PHONY: demo-run
demo-run:
	@$(RUN) $(LUA) examples/demo.lua

test: deps
	@$(MAKE) check

check: all test-modules
	@test -n '$(BUSTED)' || { echo 'busted is not installed: see `make deps`' >&2; exit 1; }
	@$(RUN) $(UNDER) $(LUA) $(BUSTED) $(BUSTED_FLAGS) $(SPEC)

CONSTANTLY := --helper=spec/support/collector.lua

# DIVISOR: the specs under spec/torture do a tenth of their rounds, and say how many.
# Reports go to files, one for each interpreter that the suite starts, so that those of a child
# count as well. UBSan's own go to standard error under gcc; aborting makes ASan write one too.
asan:
	@rm -f build/asan/report.* build/asan/processes
	@$(MAKE) SANITIZE=address,undefined BUILD=build/asan asan-check
.PHONY: asan-check
asan-check: $(BUILD)/bin/lua5.4
	@status=0; \
	ASAN_OPTIONS=detect_leaks=1:handle_abort=1:log_path=$(CURDIR)/$(BUILD)/report \
	UBSAN_OPTIONS=print_stacktrace=1:abort_on_error=1:log_path=$(CURDIR)/$(BUILD)/report \
	PATH="$(CURDIR)/$(BUILD)/bin:$$PATH" \
	DIVISOR=10 $(MAKE) check BUSTED_FLAGS='$(BUSTED_FLAGS) $(CONSTANTLY)' || status=1; \
	.ci/sanitizer_reports $(BUILD) || status=1; exit $$status

# The interpreter with the checker's runtime; what it starts (nginx, curl) runs without.
$(BUILD)/bin/lua5.4: .ci/sanitized_lua $(BUILD)/bin/unload.so $(BUILD)/flags
	@sed 's|@RUNTIME@|$(RUNTIME) $(CURDIR)/$(BUILD)/bin/unload.so|; s|@LUA@|$(shell \
	  command -v $$($(find_lua)))|' $< > $@
	@chmod +x $@
$(BUILD)/bin/unload.so: .ci/unload.c
	@mkdir -p $(@D)
	$(call quietly,link) $(CC) -shared -fPIC -o $@ $<

# What counts is written to files: a status would also come from forked children, which by design
# free nothing that is their parent's.
VALGRIND := valgrind --quiet --log-file=$(BUILD)/valgrind.%p --child-silent-after-fork=yes \
  --num-callers=30 --leak-check=full --show-leak-kinds=definite,possible
valgrind: valgrind-deps
	@rm -f $(BUILD)/valgrind.*
	@status=0; DIVISOR=10 $(MAKE) check UNDER='$(VALGRIND)' || status=1; \
	for report in $(BUILD)/valgrind.*; do \
	  test -s $$report && { cat $$report; status=1; }; \
	done; exit $$status

# Every request of the client, judged by a server that nobody here wrote. Never skipped: without
# Prism it fails.
# Its parts are named, too: the newest that it would take need a newer Node.js than Debian 12 has.
PRISM := $(addprefix @stoplight/prism-,cli@5.14.2 http-server@5.12.2 http@5.12.0)
PRISM_HERE := build/prism/$(notdir $(firstword $(PRISM)))
.PHONY: contract
contract: contract-deps
	@$(MAKE) $(PRISM_HERE)
	@$(MAKE) check SPEC=spec/contract/prism_spec.lua

$(PRISM_HERE):
	@rm -rf $(@D) && mkdir -p $(@D)
	@set -x; npm install --prefix $(@D) --no-save --no-audit --no-fund --ignore-scripts \
	  --loglevel=error $(PRISM)
	@touch $@

bench: all test-modules $(BENCH_PROGRAMS)
	@$(RUN) $(LUA) bench/run.lua $(BENCH)

lint: lint-deps
	@$(MAKE) lint-run
.PHONY: lint-run rock
lint-run:
	@.ci/lint

# What is generated from the table of operations and the contract; lint fails when it is stale.
.PHONY: docs docs-check
docs: all
	@$(RUN) $(LUA) doc/generate.lua
docs-check: all
	@$(RUN) $(LUA) doc/generate.lua --check

# Rewrites the C files as `make lint` wants them.
.PHONY: format
format:
	clang-format -i $(wildcard csrc/*.[ch] csrc/*/*.[ch] spec/support/*.[ch] bench/*.[ch] .ci/*.[ch])

rock: rock-deps
	@.ci/rock

# ---- installing --------------------------------------------------------------------------------

.PHONY: install install-sandbox clean env help
to_lua = $(DESTDIR)$(INST_LUADIR)
to_lib = $(DESTDIR)$(INST_LIBDIR)
install: all install-sandbox
	@set -e; for dir in $(sort $(dir $(LUA_FILES:lua/%=%))); do install -d "$(to_lua)/$$dir"; done
	@set -e; for file in $(LUA_FILES:lua/%=%); do install -m 644 lua/$$file "$(to_lua)/$$file"; done
	@install -m 755 $(CORE) "$(to_lib)/cipherscale/core.so"
	@echo "installed in $(to_lua), $(to_lib) and $(DESTDIR)$(INST_BINDIR)"

# All that the rock cipherscale-sandbox holds; the sandbox's Lua files are in the first rock, since
# LuaRocks' builtin build copies the whole of lua/.
install-sandbox: sandbox
	@install -d "$(to_lua)/cipherscale/sandbox" "$(to_lib)/cipherscale/sandbox" \
	  "$(DESTDIR)$(INST_BINDIR)"
	@install -m 644 $(SANDBOX_DATA) "$(to_lua)/cipherscale/sandbox/"
	@install -m 755 $(SANDBOX) "$(to_lib)/cipherscale/sandbox/core.so"
	@install -m 755 $(SANDBOX_COMMAND) "$(DESTDIR)$(INST_BINDIR)/cipherscale-sandbox"

# The last three are what LuaRocks' builtin build leaves behind.
clean:
	rm -rf build cipherscale csrc/*.o csrc/sandbox/*.o

# For a shell in which lua5.4 and busted find this checkout: eval "$(make -s env)"
env:
	@echo "export LUA_PATH='$(RUN_PATH)' LUA_CPATH='$(RUN_CPATH)'"

# The settings of the client that a recipe sees (spec/packaging_spec.lua).
.PHONY: env-seen
env-seen:
	@env | grep ^CIPHERSCALE_ || true

# make -s print-CORE_SOURCES: one name a line
print-%:
	@printf '%s\n' $($*)

help:
	@sed -n 's/^#? //p' Makefile
#? make            builds everything that `make install` copies
#? make demo       installs what it lacks, builds, shows the main job on real input
#? make test       make deps, then make check
#? make deps       installs what building and testing need, where something is missing
#? make check      builds and runs the specs over loopback; SPEC=file runs one file
#? make lint       formatting, static checks, and the layering on the object files
#? make docs       rewrites doc/api.md and lua/cipherscale/types.lua
#? make asan       the suite under AddressSanitizer and UBSan, the collector always running
#? make valgrind   the suite under valgrind
#? make rock       installs by LuaRocks and by make into empty trees, and tries both
#? make contract   every request of the client against Prism, from npm, into build/
#? make bench      the cost against a bare libcurl loop; one part: BENCH=main, bulk, jobs, pace
#? make install    PREFIX, DESTDIR, INST_LUADIR, INST_LIBDIR, INST_BINDIR
#? make clean      removes build/
#? Settable: CC CFLAGS CPPFLAGS LDFLAGS LUA LUA_INCDIR, WERROR=1, LIVE=1 (keeps CIPHERSCALE_*)
