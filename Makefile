# make help says what there is.
#
# Variables: BUILD=release|sanitize|thread   NGINX_SRC=dir (an nginx source tree instead of Debian's nginx-dev)
#            T='t/a.t t/b.t' (make test: only these)   ONCE=1 (make demo: stop after the tour)
#            ROWS='cached redis' SECONDS=5 ROUNDS=5 REVOCATIONS=1000 (make bench: see bench/README.md)
#            NUMBERS='R3 N1' (make hazards: only these)
#            SECONDS=60 TARGETS='bearer settings' (make fuzz: for each of these)   SECONDS=60 SEEDS='1 2 3' COUNT=20 (make chaos)
#            REQUESTS=1000000 SEED=hex (make oracle)   SECONDS=600 SEED=hex (make soak)
SHELL := /bin/bash
BUILD ?= release
DEBIAN_SRC := /usr/share/nginx/src
NGINX_SRC ?= $(or $(NGX_SRC),$(DEBIAN_SRC))

# Another nginx gets a folder of its own: what was built for one must not be loaded into another.
ifeq ($(NGINX_SRC),$(DEBIAN_SRC))
DIR := build
else
NGINX_VERSION := $(shell sed -n 's/^.define NGINX_VERSION *"\(.*\)"/\1/p' '$(NGINX_SRC)/src/core/nginx.h')
$(if $(NGINX_VERSION),,$(error NGINX_SRC=$(NGINX_SRC) is no source tree of nginx: it has no src/core/nginx.h))
DIR := build-nginx-$(NGINX_VERSION)
BUILT_NGINX := $(realpath $(NGINX_SRC)/objs/nginx)
endif

PREPARE_NGINX := build-aux/configure-nginx
ifeq ($(BUILD),release)
else ifeq ($(BUILD),sanitize)
DIR := $(DIR)-sanitize
CMAKE_OPTIONS := -DSANITIZE=address
ifdef NGINX_VERSION
# Never the nginx that was built in the tree, but one that has the sanitizer as well.
BUILT_NGINX := $(CURDIR)/$(DIR)/nginx/nginx
PREPARE_NGINX := build-aux/build-nginx
endif
else ifeq ($(BUILD),thread)
# Threads are the sidecar's: nginx loads the module of the release.
MODULE := release_module
DIR := $(DIR)-thread
CMAKE_OPTIONS := -DSANITIZE=thread -DPARTS=sidecar
else
$(error BUILD is release, sanitize or thread)
endif

# Where ngx_auto_config.h is: a tree in which nginx was built has the one of that very binary.
NGINX_OBJS := $(if $(BUILT_NGINX),$(dir $(BUILT_NGINX)),$(CURDIR)/$(DIR)/nginx/)
NGINX_HEADERS := $(if $(MODULE),,$(NGINX_OBJS)ngx_auto_config.h)

# The harness of the end-to-end tests takes these from its environment.
export APIKEY_BUILD ?= $(CURDIR)/$(DIR)
export BUILD
ifdef BUILT_NGINX
export TEST_NGINX_BINARY ?= $(BUILT_NGINX)
endif

SOURCES = $(shell git ls-files '*.cpp' '*.hpp' '*.c')

.PHONY: all dashboard demo test screenshots hazards outages bench oracle soak fuzz check format packages clean help choice_of_nginx testable_nginx release_module benchable packages-node

all: $(MODULE) $(DIR)/build.ninja ## build the module, apikeyd and apikeyctl into build/
	@ninja -C $(DIR) --quiet

release_module:
	@$(MAKE) --no-print-directory BUILD=release all

# The tests' HTTP/3 client is built where that nginx has HTTP/3.
HTTP3_PACKAGES := $(if $(shell grep -s 'define NGX_HTTP_V3 ' '$(NGINX_OBJS)ngx_auto_config.h'),packages-http3)

packages: ## install the Debian packages that are missing
	@build-aux/install-packages packages $(HTTP3_PACKAGES)

$(CURDIR)/$(DIR)/nginx/ngx_auto_config.h: $(DIR)/nginx_tree | packages
	@$(PREPARE_NGINX) "$(NGINX_SRC)" "$(DIR)/nginx"

# Changes when the folder is to be built for another tree, or for another build in that tree.
$(DIR)/nginx_tree: choice_of_nginx
	@mkdir -p $(DIR)
	@echo "$(realpath $(NGINX_SRC)) $(NGINX_OBJS)" | cmp -s - $@ || echo "$(realpath $(NGINX_SRC)) $(NGINX_OBJS)" > $@

$(DIR)/build.ninja: CMakeLists.txt cmake/nginx_module.cmake $(DIR)/nginx_tree $(NGINX_HEADERS) | packages
	@cmake -G Ninja -S . -B $(DIR) --log-level=WARNING -DNGX_SRC="$(realpath $(NGINX_SRC))" \
		-DNGX_OBJS="$(NGINX_OBJS:/=)" $(CMAKE_OPTIONS)

# The page is made of JavaScript, which only needs to be built to be seen.
DASHBOARD := $(DIR)/dashboard/page.js

dashboard: $(DASHBOARD) ## build the dashboard into build/dashboard/

$(DASHBOARD): $(wildcard dashboard/src/*) dashboard/build.mjs dashboard/package-lock.json | packages-node
	@build-aux/npm-packages dashboard
	@node dashboard/build.mjs $(DIR)/dashboard

packages-node:
	@command -v npm > /dev/null || build-aux/install-packages packages-node

demo: all dashboard ## a private Redis, Postgres, apikeyd and nginx under .run/, and a tour (ONCE=1: stop after it)
	@demo/run $(if $(ONCE),--once)

test: testable_nginx all dashboard ## every test; the last line says how many passed and failed (BUILD=sanitize, BUILD=thread: under sanitizers)
	@command -v chromium > /dev/null || build-aux/install-packages packages-browser
	@tests/run $(T)

screenshots: testable_nginx all dashboard ## take the pictures of docs/img/ again
	@command -v chromium > /dev/null || build-aux/install-packages packages-browser
	@tests/screenshots

hazards: testable_nginx all dashboard ## what docs/hazards.md lists: a table of scenario, tests and result (NUMBERS='R3 N1': only these)
	@command -v chromium > /dev/null || build-aux/install-packages packages-browser
	@tests/hazards $(NUMBERS)

testable_nginx: $(NGINX_HEADERS)
	@$(if $(NGINX_VERSION),build-aux/check-nginx "$(NGINX_SRC)" "$(TEST_NGINX_BINARY)")

bench: benchable all packages-node ## measure beside bare nginx, Lua, auth_request, HAProxy and bare libpq: one table
	@build-aux/install-packages packages-bench
	@ninja -C $(DIR) --quiet bench_raw_usage bench_raw_sync bench_constant_rate
	@bench/run $(if $(ROWS),--rows "$(ROWS)") $(if $(SECONDS),--seconds $(SECONDS)) $(if $(ROUNDS),--rounds $(ROUNDS)) \
		$(if $(REVOCATIONS),--revocations $(REVOCATIONS))

benchable:
	@$(if $(filter-out build,$(DIR)),echo "make bench knows only the release build for Debian's nginx: its peer is Debian's Lua" >&2; exit 1)

chaos: all ## usage while everything is killed, restarted and cut off, by seeds: SECONDS=60 for each of SEEDS='1 2 3', or COUNT=20
	@APIKEY_BUILD=$(CURDIR)/$(DIR) CHAOS_SECONDS=$(or $(SECONDS),60) COUNT=$(or $(COUNT),5) tests/chaos $(SEEDS)

oracle: all ## no request under another's identity, out of REQUESTS=1000000, while all that can happen happens, by a SEED
	@ninja -C $(DIR) --quiet bulk_client
	@APIKEY_BUILD=$(CURDIR)/$(DIR) SECONDS= tests/oracle

soak: all ## the same for SECONDS=600, where only Redis and Postgres are killed: memory stays flat
	@ninja -C $(DIR) --quiet bulk_client
	@APIKEY_BUILD=$(CURDIR)/$(DIR) SECONDS=$(or $(SECONDS),600) tests/oracle

outages: all ## usage for SECONDS=600 with Redis down for half of it, Postgres for the other half: memory stays flat
	@APIKEY_BUILD=$(CURDIR)/$(DIR) SECONDS=$(or $(SECONDS),600) tests/outages

fuzz: packages ## every target of tests/fuzz (TARGETS='bearer settings': these) for SECONDS=60, with libFuzzer and sanitizers
	@build-aux/install-packages packages-fuzz
	@cmake -G Ninja -S . -B build-fuzz --log-level=WARNING -DPARTS=fuzz -DCMAKE_C_COMPILER=clang-19 -DCMAKE_CXX_COMPILER=clang++-19
	@ninja -C build-fuzz --quiet $(TARGETS:%=%_fuzz)
	@tests/fuzz/run build-fuzz $(or $(SECONDS),60) $(TARGETS)

check: $(DIR)/build.ninja ## clang-format and clang-tidy
	@clang-format-19 --dry-run -Werror $(SOURCES)
	@run-clang-tidy-19 -quiet -p $(DIR) '^$(CURDIR)/(core|ngx_module|sidecar)/.*\.cpp$$' 2> /dev/null

format: ## let clang-format rewrite the sources
	@clang-format-19 -i $(SOURCES)

clean: ## remove what was built
	rm -rf build build-sanitize build-thread build-fuzz build-nginx-* .run t/node/node_modules bench/node/node_modules dashboard/node_modules

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile
