"""Where the programs under test are."""

import functools
import os
import pathlib
import re
import subprocess

REPO = pathlib.Path(__file__).resolve().parents[3]
SANITIZED = os.environ.get("BUILD") == "sanitize"
BUILD = pathlib.Path(os.environ.get("APIKEY_BUILD", REPO / ("build-sanitize" if SANITIZED else "build"))).resolve()
NGINX = os.environ.get("TEST_NGINX_BINARY", "/usr/sbin/nginx")
MODULE = os.path.abspath(os.environ.get("APIKEY_MODULE", BUILD / "ngx_http_api_key_module.so"))
OTHER_LAYOUT = str(BUILD / "tests/other_layout/ngx_http_api_key_module.so")     # of the zone
REDIS_SERVER = os.environ.get("TEST_REDIS_SERVER", "/usr/bin/redis-server")
MIGRATIONS = REPO / "db" / "migrations"
PARAMS = REPO / "conf" / "api_key_params"
HTTP3_CLIENT = BUILD / "http3_client"
MAKE_HINT = "run `make" + (" BUILD=sanitize" if SANITIZED else "") + "` first"


@functools.cache
def nginx_version():
    """Of the nginx under test, as (1, 22, 1)."""
    told = subprocess.run([NGINX, "-v"], capture_output=True, text=True, check=True).stderr
    return tuple(map(int, re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", told).groups()))


@functools.cache
def nginx_has(module):
    """Whether the nginx under test was configured with this one: "http_v3"."""
    told = subprocess.run([NGINX, "-V"], capture_output=True, text=True, check=True).stderr
    return f"--with-{module}_module" in told


def sanitizer_env():
    """What nginx, which was not built with a sanitizer, needs to load a module that was."""
    if not SANITIZED:
        return {}
    found = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    return {"LD_PRELOAD": os.path.realpath(found.stdout.strip()), "ASAN_OPTIONS": "detect_leaks=0"}


# nginx hands its environment to the binary that takes its place (USR2) only where it is told to.
KEPT_ENV = "env LD_PRELOAD; env ASAN_OPTIONS; " if SANITIZED else ""
