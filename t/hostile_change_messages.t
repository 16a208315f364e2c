#!/usr/bin/python3
# Whatever anybody publishes as a change that is none is counted and ignored, and what is cached stays cached; a message of a
# megabyte costs the subscription, which is made again. "Any key may have changed" a thousand times a second empties
# the cache ten times a second at most, and nobody is refused.
# Hazards: R22, X19

import secrets
import threading
import time

from lib.apikeytest import Test, wait_for
from lib.apikeytest.applied import Applied

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    access_log off;
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=5s;
    api_key_cache valid=1h invalid=1h;
    keepalive_requests 1000000;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; empty_gif; }
        location = /metrics { api_key_metrics; }
    }
}
"""
FOUND, HITS = 'lookups_total{outcome="found"}', 'cache_requests_total{result="hit"}'
FLUSH_EVERY = 0.1                          # seconds
FLOOD = 3.0                                # seconds
RECEIPT = 4711


def no_changes(key):
    """Things that are no change of it, though some are nearly one."""
    good = key.hash
    return ["", " ", "*", "* ", " * 0", "*  0", "** 0", "* x", "* -1", "* 0 ", "* 0\n", "* 18446744073709551616", "* 1e3", "* 0 0",
            good, f"{good} ", f" {good} 0", f"{good}  0", f"{good} 0 ", f"{good}\t0", f"{good}0 0", f"{good[:-1]} 0", f"{good[:-2]} 0",
            f"{good[:-1]}g 0", f"{good.upper()} 0", f"{good} x", f"{good} +1", f"{good} 0x10", f"{good} {'9' * 5000}",
            f"{good},{good} 0", f"{good}\0 0", f"{good} \0", f"{good} 0\0", "\0" * 67, b"\xff" * 67, b"* 0\0", b"\0* 0",
            "$67\r\n" + good, "*3\r\n$7\r\nmessage\r\n", f"0x{good[2:]} 0", "a" * 66, "f" * 7000, "DEL apikey:k:*", '{"hash":"*"}',
            *(secrets.token_bytes(n) + b"\xff" for n in (1, 63, 64, 65, 1000))]


def is_cached():
    """Is alice served, by what the worker has cached?"""
    before = nginx.metrics()
    if nginx.get("/", alice).status != 200:
        return False
    return bool(wait_for(lambda: nginx.metrics()[HITS] == before[HITS] + 1, 1)) and nginx.metrics()[FOUND] == before[FOUND]


def use(client):
    while not stop.is_set():
        statuses.append(client.request(key=alice).status)


with Test() as t:
    alice = t.key(user="alice")
    redis = t.redis(keys=[alice])
    nginx, heard = t.nginx(CONF, redis=redis), Applied(redis)
    t.ok(nginx.wait_watching(1), "the worker hears of changes")
    nginx.get("/", alice)
    t.ok(wait_for(is_cached), "alice is in the cache")
    before, messages, publisher = nginx.metrics(), no_changes(alice), redis.client()

    # What is no change.
    t.is_({publisher("PUBLISH", "apikey:changed", message) for message in messages}, {1}, "the worker is told many things")
    t.ok(wait_for(lambda: nginx.metrics()["changes_malformed_total"] == len(messages)), f"{len(messages)} that are none: counted",
         nginx.metrics()["changes_malformed_total"])
    for channel in ("apikey:change", "apikey:changed2", "apikey:CHANGED", "apikey:applied", "apikey:*", "apikey:k:" + alice.hash):
        publisher("PUBLISH", channel, f"{alice.hash} 0")
        publisher("PUBLISH", channel, "* 0")
    publisher.pipeline([["PUBLISH", "apikey:changed", "x"] for _ in range(20_000)])
    t.ok(wait_for(lambda: nginx.metrics()["changes_malformed_total"] == len(messages) + 20_000, 20), "20,000 more: counted")
    t.ok(is_cached(), "alice is in the cache as before")
    after = nginx.metrics()
    t.is_([after[name] - before[name] for name in ('changes_total{kind="key"}', 'changes_total{kind="all"}', "subscription_failures_total",
                                                   'confirmations_total{result="taken"}')], [0, 0, 0, 0], "nothing else has happened")
    lines = [line for line in nginx.log().splitlines() if "publishes at" in line]
    t.is_(len(lines), 1, "the log has one line", *lines)
    t.like(lines[0], r"\[warn\].*somebody publishes at .* as a change what is none; it is ignored", "that says so")

    # A megabyte.
    for size in (1 << 20, 9000):
        failures = nginx.metrics()["subscription_failures_total"]
        publisher("PUBLISH", "apikey:changed", "a" * size)
        t.ok(wait_for(lambda: nginx.metrics()["subscription_failures_total"] > failures), f"{size} bytes: too much, it hangs up")
        t.is_(nginx.get("/", alice).status, 200, "alice is served")
        t.ok(nginx.wait_watching(1), "it hears of changes again")
        t.ok(wait_for(is_cached), "and alice is in the cache again")

    # Changes of all keys, as fast as they can be published.
    stop, statuses, before, published = threading.Event(), [], nginx.metrics(), 0
    users = [threading.Thread(target=use, args=(nginx.connect(),)) for _ in "12"]
    begun = time.monotonic()
    for user in users:
        user.start()
    while time.monotonic() < begun + FLOOD:
        publisher.pipeline([["PUBLISH", "apikey:changed", "* 0"]] * 20)
        published += 20
    redis.announce(receipt=RECEIPT)
    t.ok(heard.wait(RECEIPT, 1), "a change behind the flood is confirmed")
    stop.set()
    for user in users:
        user.join()
    after, seconds = nginx.metrics(), time.monotonic() - begun
    t.is_(after['changes_total{kind="all"}'] - before['changes_total{kind="all"}'], published + 1, f"{published} times all keys")
    t.is_(set(statuses), {200}, "alice is served all the time", len(statuses))
    looked_up = after[FOUND] - before[FOUND]
    t.ok(2 <= looked_up <= seconds / FLUSH_EVERY + 2, "and looked up after each flush, ten times a second at most", looked_up, seconds)
    t.ok(after[HITS] - before[HITS] > 0, "in between from the cache")
    t.note(f"{published} in {seconds:.1f} s: {looked_up:.0f} lookups, {len(statuses)} requests")
    t.is_(after["subscription_failures_total"], before["subscription_failures_total"], "the subscription lived on")
