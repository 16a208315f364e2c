#!/usr/bin/python3
# The invariants at the end of a test bite: keys in a log or in Redis, dead workers, alerts and lost processes are seen.

import os
import signal
import subprocess
import sys

from lib.apikeytest import NEVER, Test, wait_for

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    server { listen 127.0.0.1:%PORT%; location / { return 200; } }
}
"""


def key_in_log(t):
    t.nginx(CONF, module=False).get(f"/{t.key().key}")


def half_a_key_in_log(t):
    t.nginx(CONF, module=False).get(f"/{t.key().key[:30]}")


def digest_in_log(t):
    t.nginx(CONF, module=False).get(f"/{t.key().hash.upper()}")


def foreign_key_in_log(t):
    t.nginx(CONF, module=False).get("/" + t.secret("an-old-key-of-another-make"))


def key_in_redis(t):
    t.redis()("XADD", "stream", "*", "field", t.key().key)


def dead_worker(t):
    nginx = t.nginx(CONF, module=False)
    old = nginx.workers()
    os.kill(old[0], signal.SIGSEGV)
    wait_for(lambda: nginx.workers() not in ([], old))


def dead_redis(t):
    redis = t.redis()
    os.kill(redis.process.pid, signal.SIGKILL)
    wait_for(lambda: not redis.process.alive())


def exception(_t):
    raise ValueError("on purpose")


def nothing(t):
    nginx, key = t.nginx(CONF, module=False), t.key()
    old = nginx.workers()
    nginx.kill_worker(old[0])
    wait_for(lambda: nginx.workers() not in ([], old))
    t.redis([key]).kill()
    t.ok(True, "fine")


CASES = [key_in_log, half_a_key_in_log, digest_in_log, foreign_key_in_log, key_in_redis, dead_worker, dead_redis,
         exception, nothing]

if len(sys.argv) > 1:
    with Test() as inner:
        globals()[sys.argv[1]](inner)

with Test() as t:
    for case in CASES:
        done = subprocess.run([sys.executable, __file__, case.__name__], capture_output=True, text=True, timeout=60,
                              check=False)
        failed = [line for line in done.stdout.splitlines() if line.startswith("not ok")]
        if case is nothing:
            t.is_((done.returncode, failed), (0, []), "a good test passes")
        else:
            status = 1 if case is exception else NEVER
            t.is_((done.returncode, len(failed)), (status, 1), f"{case.__name__} fails one check", done.stdout)
