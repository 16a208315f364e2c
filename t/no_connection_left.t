#!/usr/bin/python3
# Clients take every connection that a worker has (worker_connections), or every file: who is parked or connected then is
# answered cleanly, and when they have left Redis is reached again without help.
# Hazards: N29, X20

import time

from lib.apikeytest import Test, wait_for

CONF = """
%GLOBALS%
worker_processes 1;
worker_rlimit_nofile %FILES%;
events { worker_connections %CONNECTIONS%; }
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


class Busy:
    """A client that has always begun its next request: nginx closes idle connections when it runs out of them."""

    def __init__(self):
        self.connection = nginx.connect()
        self.connection.send(b"GET / HTTP/1.1\r\n")

    def ask(self, key):
        self.connection.send(f"Host: localhost\r\nAuthorization: Bearer {key.key}\r\n\r\nGET / HTTP/1.1\r\n")
        return self.connection.response().status

    def close(self):
        self.connection.close()


def statuses():
    return busy.ask(alice), busy.ask(stranger)


def fill(name, says, full):
    """Redis is away, and clients come until there is no room; then Redis is back."""
    proxy.refuse()
    proxy.close_all()
    t.ok(wait_for(lambda: statuses() == (503, 503)), f"{name}: Redis is away")
    crowd = []
    while not nginx.wait_log(full, 0.02) and len(crowd) < 200:
        crowd.append(Busy())               # one by one: nginx closes those that it has not read from yet
    t.like(nginx.log(), full, f"{name}: clients have taken all of them")
    proxy.accept()
    t.ok(nginx.wait_log(says), f"{name}: Redis is back and cannot be reached; the log says why", nginx.log()[-600:])
    t.is_({statuses() for _ in range(20)}, {(503, 503)}, f"{name}: 503, and nothing worse")
    before = len(nginx.log().splitlines())
    time.sleep(1)
    ours = [line for line in nginx.log().splitlines()[before:] if "api_key" in line]
    t.ok(len(ours) <= 10, f"{name}: in few lines", *ours)
    for client in crowd:
        client.close()
    t.ok(wait_for(lambda: statuses() == (200, 401), 10), f"{name}: they leave, and Redis is reached again")
    t.fds_return(nginx, baseline)


with Test() as t:
    t.allow_log(r"\[alert\] .* worker_connections are not enough")
    t.allow_log(r"\[(alert|crit)\] .*(accept4?|socket)\(\).* failed \(24: Too many open files\)")
    # nginx, told to quit within half a second after that: it tries to accept again on what it has closed.
    t.allow_log(r"\[alert\] .* accept4?\(\) failed \(9: Bad file descriptor\)")
    alice, stranger = t.key(user="alice"), t.key()
    proxy = t.redis_proxy(t.redis(keys=[alice]))

    nginx = t.nginx(CONF, redis=proxy, connections=32, files=1024)
    busy = Busy()
    t.ok(wait_for(lambda: statuses() == (200, 401)), "Redis is in use")
    baseline = nginx.fds()
    fill("connections", r"no connection left for it \(worker_connections\)", r"32 worker_connections are not enough\b(?!, reusing)")
    busy.close()
    nginx.stop()

    nginx = t.nginx(CONF, redis=proxy, connections=512, files=48)
    busy = Busy()
    t.ok(wait_for(lambda: statuses() == (200, 401)), "another nginx")
    baseline = nginx.fds()
    fill("files", r"cannot be used: cannot connect \(24: Too many open files\)", r"accept4?\(\).* failed \(24")
    busy.close()
