# make help says what there is.
#
# Variables: BUILD=release|sanitize   NGINX_SRC=dir (an nginx source tree instead of Debian's nginx-dev)
#            T='t/a.t t/b.t' (make test: only these)   ONCE=1 (make demo: stop after the tour)
SHELL := /bin/bash
BUILD ?= release
NGINX_SRC ?= $(or $(NGX_SRC),/usr/share/nginx/src)

ifeq ($(BUILD),release)
DIR := build
else ifeq ($(BUILD),sanitize)
DIR := build-sanitize
CMAKE_OPTIONS := -DSANITIZE=ON
else
$(error BUILD is release or sanitize)
endif

SOURCES = $(shell git ls-files '*.cpp' '*.hpp' '*.c')

.PHONY: all module demo test check format packages clean help

all: $(DIR)/build.ninja ## build the module, apikeyd and apikeyctl into build/
	@ninja -C $(DIR) --quiet

packages: ## install the Debian packages that are missing
	@build-aux/install-packages

$(DIR)/nginx/ngx_auto_config.h: | packages
	@build-aux/configure-nginx "$(NGINX_SRC)" "$(DIR)/nginx"

$(DIR)/build.ninja: CMakeLists.txt cmake/nginx_module.cmake $(DIR)/nginx/ngx_auto_config.h | packages
	@cmake -G Ninja -S . -B $(DIR) --log-level=WARNING -DNGX_SRC="$(realpath $(NGINX_SRC))" \
		-DNGX_OBJS="$(CURDIR)/$(DIR)/nginx" $(CMAKE_OPTIONS)

demo: all ## a private Redis, Postgres, apikeyd and nginx under .run/, and a tour (ONCE=1: stop after it)
	@APIKEY_BUILD=$(DIR) demo/run $(if $(ONCE),--once)

test: all ## every test; the last line says how many passed and failed
	@BUILD=$(BUILD) tests/run $(T)

check: $(DIR)/build.ninja ## clang-format and clang-tidy
	@clang-format-19 --dry-run -Werror $(SOURCES)
	@run-clang-tidy-19 -quiet -p $(DIR) '^$(CURDIR)/(core|ngx_module|sidecar)/.*\.cpp$$' 2> /dev/null

format: ## let clang-format rewrite the sources
	@clang-format-19 -i $(SOURCES)

clean: ## remove what was built
	rm -rf build build-sanitize .run

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile
