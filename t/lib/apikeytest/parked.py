"""Requests that are given up while they wait for Redis, over any version of HTTP. `proxy`: to Redis."""

import time

from .faults import Gate
from .http1 import request_bytes
from .process import wait_for


def is_given_up(t, nginx, proxy, next_key, start, leave, how, status=499):
    """Somebody is parked (start(), for /left), leaves (leave(what start() gave)), and is logged; the one behind him on the link to
    Redis gets his own answer. Redis has been in use."""
    proxy.forget()
    before = len(nginx.wait_requests(1))
    gate = Gate()
    proxy.on("HMGET", gate.hold, nth=1)
    leaver = start()
    wait_for(lambda: proxy.count("HMGET") == 1)
    with nginx.connect() as next_in_line:
        next_in_line.send(request_bytes(key=next_key))
        t.ok(wait_for(lambda: proxy.count("HMGET") == 2), f"{how}: Redis is asked for both")
        leave(leaver)
        logged = [(x["uri"], x["status"]) for x in nginx.wait_requests(before + 1, timeout=10)[before:]]
        t.is_(logged, [("/left", status)], f"{how}: logged as {status} before Redis has answered")
        gate.open()
        t.is_(next_in_line.response().saw("X-User-Id"), [next_key.user], f"{how}: the next in line is himself")
    t.is_(len(nginx.wait_requests(before + 2)), before + 2, f"{how}: both logged once")
    proxy.clear()


def streams_are_themselves(t, client, users, strangers, rounds):
    """Makes len(users) requests at once, in each round; then twenty, of users and strangers in turn."""
    for _ in range(rounds):
        answers = client.wait(*[client.send(path=f"/{key.user}", key=key) for key in users])
        t.is_([(r.json["path"], r.saw("X-User-Id")) for r in answers],
              [(f"/{key.user}", [key.user]) for key in users], "a hundred streams, a hundred users")
    mixed = [key for i in range(10) for key in (users[i], strangers[i])]
    answers = client.wait(*[client.send(key=key) for key in mixed])
    t.is_([r.saw("X-User-Id")[0] if r.status == 200 else r.code for r in answers],
          [name for i in range(10) for name in (users[i].user, "invalid_api_key")], "good and bad ones mixed")


def streams_are_given_up(t, nginx, proxy, client, users, logged, send):
    """A hundred users' requests are parked, by send(number, key), and every second one is reset; then ten come later. `logged`: how
    many requests have been."""
    gate, asked = Gate(), proxy.count("HMGET")
    proxy.on("HMGET", gate.hold, times=1)
    streams = [send(number, key) for number, key in enumerate(users)]
    t.ok(wait_for(lambda: proxy.count("HMGET") == asked + 100), "a hundred more are parked")
    for stream in streams[::2]:
        client.reset(stream)
    t.ok(wait_for(lambda: len(nginx.requests()) == logged + 50), "one that is given up ends before Redis has answered",
         len(nginx.requests()) - logged)
    gate.open()
    answers = client.wait(*streams[1::2])
    t.is_([r.saw("X-User-Id") for r in answers], [[key.user] for key in users[1::2]], "the others get their answers")
    late = [client.send(key=key) for key in users[:10]]
    t.is_([r.saw("X-User-Id") for r in client.wait(*late)], [[key.user] for key in users[:10]],
          "and so do streams that come later")
    statuses = [x["status"] for x in nginx.wait_requests(logged + 110)[logged:]]
    t.is_((len(statuses), statuses.count(499), statuses.count(200)), (110, 50, 60),
          "each is logged once, those given up as 499")


def nobody_is_waited_for(t, nginx):
    """A worker that stops waits for requests that wait for Redis: so this shows whether any is still counted."""
    started = time.monotonic()
    t.ok(nginx.quit(5.0), "nginx stops")
    t.ok(time.monotonic() - started < 3.0, "at once: nobody is waited for", f"{time.monotonic() - started} s")
