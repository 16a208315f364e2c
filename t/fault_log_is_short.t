#!/usr/bin/python3
# Faults that come hundreds of times a second, and faults that come and go, make few lines: each kind and cause once in ten
# seconds, with how often it came.
# Hazards: X19, R9, R14

import re
import time

from lib.apikeytest import Test, close, drop, replace, wait_for

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=200ms;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; empty_gif; }
    }
}
"""


def lines():
    return [line for line in nginx.log().splitlines() if "api_key: " in line]


def ask(times, key):
    """Asks so often; how many answers were 503."""
    with nginx.connect() as client:
        return sum(client.request(key=key).status == 503 for _ in range(times))


with Test() as t:
    alice, broken = t.key(user="alice"), t.key(user="")
    redis = t.redis(keys=[alice, broken])
    proxy = t.redis_proxy(redis, record=False)
    nginx = t.nginx(CONF, redis=proxy)
    t.ok(wait_for(lambda: nginx.get("/", alice).status == 200), "Redis is in use")
    t.is_(lines(), [], "nothing to say")

    faults = ask(200, broken)
    t.is_(faults, 200, "a broken record, asked for again and again")
    t.is_(len(lines()), 1, "one line", *lines())

    redis("DEL", "apikey:epoch")
    faults, before = ask(200, alice), len(lines())
    t.is_(faults, 200, "an epoch that is not there")
    t.is_(len(lines()) - before + 1, 1, "one line", *lines())
    t.like(lines()[-1], r"\[warn\].*has not been filled by apikeyd", "that says what to do")
    redis.trust()
    wait_for(lambda: nginx.get("/", alice).status == 200)

    # The connection breaks all the time, for three reasons in turn, and works in between.
    before, begun, breaks = len(lines()), time.monotonic(), proxy.kinds["lookups"]
    while time.monotonic() - begun < 4:
        for fault in (close(), replace(b"-BUSY x\r\n"), drop()):
            proxy.on("HMGET", fault, nth=1)
            nginx.get("/", alice)
            proxy.clear()
            wait_for(lambda: nginx.get("/", alice).status == 200)
    breaks = proxy.kinds["lookups"] - breaks
    new = lines()[before:]
    t.ok(breaks > 10, "a connection that comes and goes", breaks)
    t.ok(2 <= len(new) <= 12, "few lines", *new)
    causes = [re.sub(r".*\d: ", "", re.sub(r" \(and \d+ times.*", "", line)) for line in new if "[error]" in line]
    t.is_(len(causes), len(set(causes)), "each cause once", *causes)
    t.ok(any(re.search(r"\(and \d+ times since the last such line\)", line) for line in new), "with how often it came", *new)
    t.ok(sum("in use again" in line for line in new) <= len(causes), "the end of a fault is said only where its beginning was",
         *new)
    t.note(f"{breaks} breaks, {len(new)} lines")
