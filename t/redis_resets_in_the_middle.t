#!/usr/bin/python3
# A connection that is reset while commands are being written, or whose greeting is spoilt: the next one begins from the
# beginning, nothing of the old one comes again, and no answer of the greeting is taken for a key's.
# Hazards: R15

import time

from lib.apikeytest import (Test, array, bulk, close, cut, drop, duplicate, inject, replace, request_bytes, swap, wait_for)

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=300ms;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; include %API_KEY_PARAMS%; proxy_pass http://%UPSTREAM%; }
    }
}
"""
GREETING = ["AUTH", "SELECT", "INFO", "INFO", "GET"]


def shown(r):
    return r.saw("X-User-Id") if r.status == 200 else r.status


def ask_all(keys):
    clients = [nginx.connect() for _ in keys]
    for client, key in zip(clients, keys):
        client.send(request_bytes(key=key))
    answers = [shown(client.response()) for client in clients]
    for client in clients:
        client.close()
    return answers


def is_served():
    return ask_all([alice, nobody, bob]) == [["alice"], 401, ["bob"]]


def never_wrong(answers):
    return all(got in (503, right) for got, right in zip(answers, [["alice"], 401, ["bob"], ["carol"]]))


with Test() as t:
    password = t.secret("a-password-of-redis")
    alice, bob, carol = (t.key(user=name) for name in ("alice", "bob", "carol"))
    nobody = t.key(user="nobody")
    redis = t.redis(password=password)
    client = redis.client()
    client("SELECT", "3")
    for key in (alice, bob, carol):
        client("HSET", f"apikey:k:{key.hash}", *sum(key.redis_fields().items(), ()))
    client("SET", "apikey:epoch", f"{redis.run_id()} 1")
    client.close()
    proxy, upstream = t.redis_proxy(redis, port=True), t.upstream()
    nginx = t.nginx(CONF, redis=f"redis://:{password}@127.0.0.1:{proxy.port}/3", upstream=upstream)
    t.ok(wait_for(is_served), "Redis is in use")
    asked = [alice, nobody, bob, carol]

    for size in (0, 1, 5, 30, 100, -2):
        time.sleep(0.12)                           # then Redis is asked anew at once
        proxy.forget()
        connections = proxy.connections
        proxy.on_request("HMGET", cut(size, reset=True), nth=2)
        answers = ask_all(asked)
        proxy.clear()
        t.ok(503 in answers and never_wrong(answers), f"reset after {size} bytes of a command: unavailable", answers)
        t.ok(wait_for(is_served), "and the next connection serves")
        fresh = [args[0] for number, args in proxy.commands if number > connections]
        t.is_(fresh[:5], GREETING, "which greets first")
        sent = [args[1] for number, args in proxy.commands if args[0] == "HMGET" and number > connections]
        t.ok(f"apikey:k:{alice.hash}" in sent and fresh.count("AUTH") == proxy.connections - connections,
             "and is asked what is asked then", sent)

    for reply in range(1, 5):
        proxy.on("HMGET", cut(40, reset=True), nth=reply)
        answers = ask_all(asked)
        proxy.clear()
        t.ok(503 in answers and never_wrong(answers), f"reset in the middle of reply {reply}: unavailable", answers)
        t.ok(wait_for(is_served), "and the next connection serves")

    # The greeting's replies are spoilt; a record among them is nobody's.
    record = array(alice.hash, *["mallory"] * 5, "")
    spoilt = {"is lost": drop(), "comes twice": duplicate(), "comes late": swap(), "is a record": replace(record),
              "has a record in front": inject(record), "has an OK in front": inject(b"+OK\r\n"), "is cut": cut(1),
              "is a hang-up": close(reset=True), "is empty": replace(bulk("")), "is nil": replace(b"$-1\r\n")}
    for what, fault in spoilt.items():
        for command, nth in (("AUTH", 1), ("SELECT", 1), ("INFO", 1), ("INFO", 2), ("GET", 1)):
            proxy.on(command, fault, nth=nth)
            faults = proxy.spoilt.total()
            proxy.close_all(kind="lookups")
            if not wait_for(lambda: proxy.spoilt.total() > faults):
                t.ok(False, f"the answer to {command} was not spoilt")
            answers = ask_all(asked) + ask_all(asked)
            proxy.clear()
            if not never_wrong(answers[:4]) or not never_wrong(answers[4:]):
                t.ok(False, f"the answer to {command} {what}", answers)
        t.ok(wait_for(is_served), f"an answer of the greeting {what}: nobody is taken for another, and then all is well")
    t.is_(set(upstream.saw("X-User-Id")), {"alice", "bob", "carol"}, "the upstream never saw another")
