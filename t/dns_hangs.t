#!/usr/bin/python3
# DNS that does not answer keeps nobody waiting: nginx starts, serves, finds a Redis that was restarted, reloads and quits as
# if there were no DNS.
# Hazards: R24, N20

import threading
import time

from lib.apikeytest import Test, wait_for

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    resolver         %DNS% valid=1s;
    resolver_timeout %RESOLVER_TIMEOUT%;
    api_key_zone     keys:1m;
    api_key_redis    redis://localhost:%REDIS_PORT%/0;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; include %API_KEY_PARAMS%; proxy_pass http://%UPSTREAM%; }
        location /public { return 204; }
    }
}
"""


class Visitor(threading.Thread):
    """Asks for something that needs no Redis, again and again, and remembers the slowest answer."""

    def __init__(self):
        super().__init__(daemon=True)
        self.slowest, self.count, self.done = 0.0, 0, threading.Event()
        self.start()

    def run(self):
        with nginx.connect() as connection:
            while not self.done.wait(0.01):
                begun = time.monotonic()
                connection.request(path="/public")
                self.slowest, self.count = max(self.slowest, time.monotonic() - begun), self.count + 1

    def end(self):
        self.done.set()
        self.join()


def is_served():
    return nginx.get("/", alice).status == 200


def seconds_of(action, name):
    begun = time.monotonic()
    t.ok(action(), name, nginx.log()[-600:])
    return time.monotonic() - begun


with Test() as t:
    alice = t.key(user="alice")
    redis = t.redis(keys=[alice], port=True)
    dns = t.dns()
    dns.mode = "silent"
    nginx = t.nginx(CONF, dns=dns, redis_port=redis.port, resolver_timeout="30s", upstream=t.upstream())
    took = seconds_of(lambda: wait_for(is_served, 5), "nginx starts and serves")
    t.ok(took < 1, "at once", f"{took:.2f} s")
    t.ok(dns.queries, "although it asks a DNS that is silent")

    visitor = Visitor()
    for _ in range(3):
        redis.restart(kill=True)
        redis.add(alice)
        redis.trust()
        took = seconds_of(lambda: wait_for(is_served, 5), "Redis dies and comes back: served")
        t.ok(took < 1.5, "at once", f"{took:.2f} s")
    visitor.end()
    t.ok(visitor.slowest < 0.5, "nobody else waited, either", f"{visitor.slowest:.3f} s")
    t.note(f"{visitor.count} other requests, the slowest took {visitor.slowest:.3f} s")
    t.ok(len(dns.queries) <= 8, "one question is under way at a time", dns.queries)

    took = seconds_of(lambda: nginx.reload(timeout=5), "a reload: the old worker ends with its question open")
    t.ok(took < 2, "at once", f"{took:.2f} s")
    t.ok(is_served(), "and the new one serves")
    took = seconds_of(lambda: nginx.quit(5), "nginx quits")
    t.ok(took < 2, "at once", f"{took:.2f} s")

    # In the middle of a connection attempt, too, and when Redis is away.
    redis.kill()
    nginx.start()
    t.ok(wait_for(lambda: nginx.get("/", alice).status == 503), "Redis is away")
    took = seconds_of(lambda: nginx.quit(5), "nginx quits")
    t.ok(took < 2, "at once", f"{took:.2f} s")
    t.unlike(nginx.log(), "open socket|could not cancel", "with nothing left open")

    redis.start()
    redis.add(alice)
    redis.trust()
    nginx.write_config(resolver_timeout="1s")
    nginx.start()
    t.ok(wait_for(is_served), "a short resolver_timeout: served")
    said = (r'\[warn\] .*api_key: the resolver has no answer for "localhost" \(Operation timed out\); Redis is still looked '
            r"for at 127\.0\.0\.1:")
    t.ok(nginx.wait_log(said), "the log says that DNS is silent, and what is used instead", nginx.log()[-600:])
    t.ok(is_served(), "nobody was troubled")
    asked = len(dns.queries)
    dns["localhost"], dns.mode = ["127.0.0.1"], "answer"
    redis("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    t.ok(wait_for(lambda: len(dns.queries) > asked), "at the next connection DNS is asked again")
    t.ok(wait_for(is_served), "served")
