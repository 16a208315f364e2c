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


def ask_for(seconds, key):
    """Asks all the time; how many answers were 503."""
    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        with nginx.connect() as client:
            count += sum(client.request(key=key).status == 503 for _ in range(20))
    return count


with Test() as t:
    alice, broken = t.key(user="alice"), t.key(user="")
    redis = t.redis(keys=[alice, broken])
    proxy = t.redis_proxy(redis, record=False)
    nginx = t.nginx(CONF, redis=proxy)
    t.ok(wait_for(lambda: nginx.get("/", alice).status == 200), "Redis is in use")
    t.is_(lines(), [], "nothing to say")

    faults = ask_for(1, broken)
    t.ok(faults > 50, "a broken record, asked for again and again", faults)
    t.is_(len(lines()), 1, "one line", *lines())

    redis("DEL", "apikey:epoch")
    faults, before = ask_for(1, alice), len(lines())
    t.ok(faults > 50, "an epoch that is not there", faults)
    t.is_(len(lines()) - before + 1, 1, "one line", *lines())
    t.like(lines()[-1], r"\[warn\].*has not been filled by apikeyd", "that says what to do")
    redis.trust()
    wait_for(lambda: nginx.get("/", alice).status == 200)

    # The connection breaks all the time, for three reasons in turn, and works in between.
    before, begun, breaks = len(lines()), time.monotonic(), proxy.connections
    while time.monotonic() - begun < 4:
        for fault in (close(), replace(b"-BUSY x\r\n"), drop()):
            proxy.on("HMGET", fault, nth=1)
            nginx.get("/", alice)
            proxy.clear()
            wait_for(lambda: nginx.get("/", alice).status == 200)
    breaks = proxy.connections - breaks
    new = lines()[before:]
    t.ok(breaks > 10, "a connection that comes and goes", breaks)
    t.ok(2 <= len(new) <= 12, "few lines", *new)
    causes = [re.sub(r".*\d: ", "", re.sub(r" \(and \d+ times.*", "", line)) for line in new if "[error]" in line]
    t.is_(len(causes), len(set(causes)), "each cause once", *causes)
    t.ok(any(re.search(r"\(and \d+ times since the last such line\)", line) for line in new), "with how often it came", *new)
    t.ok(sum("in use again" in line for line in new) <= len(causes), "the end of a fault is said only where its beginning was",
         *new)
    t.note(f"{breaks} breaks, {len(new)} lines")
