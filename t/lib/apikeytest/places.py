"""Where the programs under test are."""

import functools
import os
import pathlib
import re
import subprocess

REPO = pathlib.Path(__file__).resolve().parents[3]
KIND = os.environ.get("BUILD", "release")
SANITIZED = KIND == "sanitize"              # with AddressSanitizer and UndefinedBehaviorSanitizer
THREADS = KIND == "thread"                  # the sidecar with ThreadSanitizer
SLOW = SANITIZED or THREADS                 # and large: figures say little
BUILD = pathlib.Path(os.environ.get("APIKEY_BUILD", REPO / ("build" if KIND == "release" else f"build-{KIND}"))).resolve()
NGINX = os.environ.get("TEST_NGINX_BINARY", "/usr/sbin/nginx")
FOR_NGINX = BUILD.with_name(BUILD.name.removesuffix("-thread"))      # nginx is not watched by ThreadSanitizer
MODULE = os.path.abspath(os.environ.get("APIKEY_MODULE", FOR_NGINX / "ngx_http_api_key_module.so"))
OTHER_LAYOUT = str(FOR_NGINX / "tests/other_layout/ngx_http_api_key_module.so")     # of the zone
REDIS_SERVER = os.environ.get("TEST_REDIS_SERVER", "/usr/bin/redis-server")
MIGRATIONS = REPO / "db" / "migrations"
PARAMS = REPO / "conf" / "api_key_params"
HTTP3_CLIENT = FOR_NGINX / "http3_client"
MAKE_HINT = "run `make" + (f" BUILD={KIND}" if KIND != "release" else "") + "` first"
if THREADS:
    os.environ.setdefault("TSAN_OPTIONS", "second_deadlock_stack=1")


@functools.cache
def nginx_description():
    """What the nginx under test says of itself: its version and how it was configured."""
    return subprocess.run([NGINX, "-V"], capture_output=True, text=True, check=True).stderr


def nginx_version():
    """Of the nginx under test, as (1, 22, 1)."""
    return tuple(map(int, re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", nginx_description()).groups()))


def nginx_has(module):
    """Whether the nginx under test was configured with this one: "http_v3"."""
    return f"--with-{module}_module" in nginx_description()


def sanitizer_env():
    """What nginx needs to load a module that was built with a sanitizer: when it was not, the sanitizer's library before all."""
    if not SANITIZED:
        return {}
    if "-fsanitize=address" in nginx_description():
        return {"ASAN_OPTIONS": "detect_leaks=0"}
    found = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    return {"LD_PRELOAD": os.path.realpath(found.stdout.strip()), "ASAN_OPTIONS": "detect_leaks=0"}


# nginx hands its environment to the binary that takes its place (USR2) only where it is told to.
KEPT_ENV = "env LD_PRELOAD; env ASAN_OPTIONS; " if SANITIZED else ""
