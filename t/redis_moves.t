#!/usr/bin/python3
# Redis moves: its name gets another address in DNS, and nginx follows without a reload, with both connections of every
# worker. An old address that refuses or swallows everything does not keep it from that.
# Hazards: R24

import socket
import time

from lib.apikeytest import Test, wait_for

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    resolver      %DNS% valid=1s; %TIMEOUT%
    api_key_zone  keys:1m;
    api_key_redis redis://localhost:%REDIS_PORT%/0 %OPTIONS%;
    server {
        listen 127.0.0.1:%PORT% reuseport;
        location / { api_key "test"; include %API_KEY_PARAMS%; proxy_pass http://%UPSTREAM%; }
        location = /metrics { api_key_metrics; }
    }
}
"""
NGINX_REMEMBERS = 2                        # seconds: valid=1s, and nginx's clock has whole ones


def user():
    answer = nginx.get("/", alice)
    return answer.saw("X-User-Id")[0] if answer.status == 200 else answer.status


def seconds_until_served_by(redis, name):
    """By both workers, which hear of its changes, too."""
    begun = time.monotonic()
    t.ok(wait_for(lambda: user() == name, 20), f"{name} serves", nginx.log()[-600:])
    took = time.monotonic() - begun
    t.ok(wait_for(lambda: {user() for _ in range(10)} == {name}), "whichever worker is asked")
    t.ok(wait_for(lambda: len(redis.workers()) == 2), "and both workers are registered there", redis.workers())
    return took


def filled(redis, name):
    redis.add(alice, user=name)
    redis.trust()
    return redis


def redis_at(address, name):
    return filled(t.redis(port=port, options={"bind": address}), name)


def started_again(redis, name):
    redis.start()
    return filled(redis, name)


class Swallower:
    """Listens at an address and accepts nobody: whoever connects waits."""

    def __init__(self, address):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((address, port))
        self.socket.listen(0)
        self.crowd = [socket.socket() for _ in range(4)]
        for one in self.crowd:
            one.setblocking(False)
            one.connect_ex((address, port))

    def close(self):
        for one in [self.socket, *self.crowd]:
            one.close()


def restart_nginx(options):
    nginx.stop()
    open(nginx.error_log, "w", encoding="ascii").close()
    nginx.write_config(options=options, timeout="")
    nginx.start()


with Test() as t:
    alice = t.key(user="alice")
    one = filled(t.redis(port=True), "one")
    port = one.port
    dns = t.dns(localhost=["127.0.0.1"])
    nginx = t.nginx(CONF, dns=dns, redis_port=port, options="", timeout="resolver_timeout 1s;", upstream=t.upstream())
    seconds_until_served_by(one, "one")
    t.ok({kind for _, kind in dns.queries} == {"A", "AAAA"}, "DNS was asked at the beginning", dns.queries)
    asked, baseline = len(dns.queries), nginx.fds()
    time.sleep(NGINX_REMEMBERS)
    t.is_(user(), "one", "what it said is what the system had said")
    t.unlike(nginx.log(), "has no answer", "a question that was answered is over")
    t.is_(len(dns.queries), asked, "and it is not asked again as long as the connections hold")

    two = redis_at("127.0.0.2", "two")
    dns["localhost"] = ["127.0.0.2"]
    time.sleep(0.5)
    t.is_(user(), "one", "connections that hold stay where they are")
    one.kill()
    took = seconds_until_served_by(two, "two")
    t.ok(took < NGINX_REMEMBERS + 2, "as soon as nginx has forgotten the old address", f"{took:.2f} s")
    t.like(nginx.log(), rf'\[notice\] .*api_key: Redis "localhost" is now at 127.0.0.2:{port}$', "the log says where it is")

    # Some addresses, and the first ones lead nowhere.
    three = redis_at("127.0.0.3", "three")
    dns["localhost"] = ["127.0.0.9", "127.0.0.8", "127.0.0.3"]
    two.kill()
    took = seconds_until_served_by(three, "three")
    t.ok(took < NGINX_REMEMBERS + 2, "of several addresses each is tried", f"{took:.2f} s")
    t.fds_return(nginx, baseline)

    # The old address accepts nobody any more. That costs one connect_timeout where nginx has just asked ...
    dns["localhost"] = ["127.0.0.3"]
    restart_nginx("connect_timeout=3s")
    seconds_until_served_by(three, "three")
    started_again(one, "one")
    dns["localhost"] = ["127.0.0.1"]
    three.kill()
    nobody = Swallower("127.0.0.3")
    took = seconds_until_served_by(one, "one")
    t.ok(took < 3 + 2, "a black hole costs one connect_timeout", f"{took:.2f} s")
    t.note(f"black hole: served after {took:.2f} s, connect_timeout 3 s")
    nobody.close()

    # ... and ends when DNS says so, whatever connect_timeout is; nginx repeats a question after 5 seconds.
    restart_nginx("connect_timeout=60s")
    seconds_until_served_by(one, "one")
    time.sleep(NGINX_REMEMBERS)
    started_again(two, "two")
    dns["localhost"], dns.mode = ["127.0.0.2"], "silent"
    one.kill()
    nobody = Swallower("127.0.0.1")
    time.sleep(1)                          # longer than the longest pause between two attempts
    dns.mode = "answer"
    took = seconds_until_served_by(two, "two")
    t.ok(took < 5 + 2, "an attempt at an address that DNS does not know any more ends", f"{took:.2f} s")
    nobody.close()
