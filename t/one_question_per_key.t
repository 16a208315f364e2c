#!/usr/bin/python3
# However many requests bring one key in one moment, Redis is asked for it once, and all of them get the answer, each with
# the key's identity; requests that leave take nothing from the others. A key that comes after the question was sent is
# asked for anew when nothing tells whether it has changed since.
# Hazards: X2

import os
import signal

from lib.apikeytest import Test, close, delay, request_bytes, wait_for
from lib.apikeytest.process import read

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=3s;
    server {
        listen 127.0.0.1:%PORT%;
        listen 127.0.0.1:%PORT_H2% http2;
        location = /metrics { api_key_metrics; }
        location / { api_key "test"; include %API_KEY_PARAMS%; proxy_pass http://%UPSTREAM%; }
    }
}
"""
CLIENTS = 40


def asleep(worker, send):
    """What is sent while the worker sleeps, it finds all at once."""
    os.kill(worker, signal.SIGSTOP)
    wait_for(lambda: " (nginx) T " in read(f"/proc/{worker}/stat"), interval=0.0005)
    send()
    os.kill(worker, signal.SIGCONT)


def questions_of_two(server, link):
    """How often Redis is asked when a second request comes while the first waits for it."""
    link.forget()
    link.on("HMGET", delay(0.5), nth=1)
    with server.connect() as first, server.connect() as second:
        first.send(request_bytes(key=alice))
        wait_for(lambda: link.count("HMGET") == 1)
        second.send(request_bytes(key=alice))
        t.is_((first.response().status, second.response().status), (200, 200), "both are answered")
    return link.count("HMGET")


def connected():
    """Clients whose connections the worker has accepted: else it would find them one by one."""
    made = [nginx.connect() for _ in range(CLIENTS)]
    for client in made:
        client.request("GET", "/", alice)
    return made


def herd(key):
    for client in clients:
        client.send(request_bytes(key=key))


with Test() as t:
    alice, nobody = t.key(user="alice"), t.key(user="nobody")
    redis, upstream = t.redis(keys=[alice]), t.upstream()
    proxy = t.redis_proxy(redis)
    nginx = t.nginx(CONF, redis=proxy, upstream=upstream)
    t.ok(wait_for(lambda: nginx.get("/", alice).status == 200), "Redis is in use")
    (worker,) = nginx.workers()
    clients = connected()

    for key, expected in ((alice, (200, ["alice"])), (nobody, (401, []))):
        proxy.forget()
        asleep(worker, lambda: herd(key))
        answers = [client.response() for client in clients]
        t.is_({(a.status, tuple(a.saw("X-User-Id") if a.status == 200 else [])) for a in answers},
              {(expected[0], tuple(expected[1]))}, f"{CLIENTS} at once: the answer is everybody's")
        t.is_(proxy.count("HMGET"), 1, "of one question")

    # Half of them leave while Redis thinks, the first among them.
    proxy.forget()
    proxy.on("HMGET", delay(0.5), nth=1)
    asleep(worker, lambda: herd(alice))
    wait_for(lambda: proxy.count("HMGET") == 1)
    for client in clients[::2]:
        client.reset()
    t.is_([client.response().status for client in clients[1::2]], [200] * (CLIENTS // 2), "those who stay are answered")
    t.ok(wait_for(lambda: sum(r["status"] == 499 for r in nginx.requests()) == CLIENTS // 2), "those who left are 499")
    t.is_(proxy.count("HMGET"), 1, "it was one question")

    # All of them leave: nobody is left to answer, and the next one asks for himself.
    clients = connected()
    proxy.forget()
    proxy.on("HMGET", delay(0.5), nth=1)
    asleep(worker, lambda: herd(alice))
    wait_for(lambda: proxy.count("HMGET") == 1)
    for client in clients:
        client.reset()
    t.ok(wait_for(lambda: sum(r["status"] == 499 for r in nginx.requests()) == CLIENTS * 3 // 2), "all of them leave")
    t.is_(nginx.get("/", alice).saw("X-User-Id"), ["alice"], "after all have left the next is served")
    t.is_(proxy.count("HMGET"), 2, "by a question of his own")

    # A question that is on its way is shared by who hears of changes; else the answer may be older than the request.
    t.ok(nginx.wait_watching(1), "the worker hears of changes")
    t.is_(questions_of_two(nginx, proxy), 1, "and shares a question that is on its way")
    deaf = t.redis_proxy(redis)
    deaf.on("SUBSCRIBE", close())
    other = t.nginx(CONF, redis=deaf, upstream=upstream)
    t.ok(wait_for(lambda: other.get("/", alice).status == 200), "another one's subscription fails")
    t.is_(questions_of_two(other, deaf), 2, "and it asks anew")
