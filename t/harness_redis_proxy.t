#!/usr/bin/python3
# The harness' Redis proxy does to replies and commands what a test tells it to, in front of a real Redis.

import time

from lib.apikeytest import (RedisClient, RedisError, Test, black_hole, bulk, close, cut, delay, drop, duplicate,
                            inject, previous, replace, split, split_at, swap, wait_for)


def outcome(client, *args):
    """The value, or why there is none."""
    try:
        return client(*args)
    except (RedisError, ConnectionError, TimeoutError) as error:
        return type(error).__name__


with Test() as t:
    redis = t.redis()
    proxy = t.redis_proxy(redis, port=True)
    redis("MSET", "a", "1", "b", "2", "long", "x" * 100)
    redis("HSET", "h", "f", "v")

    def client(timeout=0.5):
        return RedisClient(proxy.address, timeout)

    def spoilt():
        return proxy.spoilt["drop"] + proxy.spoilt["duplicate"] - 2    # two by script

    def refused():
        try:
            return client().close()
        except ConnectionRefusedError:
            return True

    def fresh(rule, *args, **how):
        """A connection under one new rule."""
        proxy.clear()
        rule(*args, **how)
        return client()

    c = client()
    t.is_(c("HMGET", "h", "f", "none"), ["v", None], "passes commands and replies on")
    t.is_(c.pipeline([["GET", "a"], ["GET", "b"]] * 1000), ["1", "2"] * 1000, "2,000 pipelined commands")
    t.is_(outcome(c, "LPUSH", "a", "x"), "RedisError", "errors pass")
    t.is_(proxy.count("GET"), 2000, "counts commands")
    t.is_(proxy.count("GET", containing="b"), 1000, "counts those with an argument")
    t.is_(proxy.commands[0], [1, ["HMGET", "h", "f", "none"]], "records them")

    c = fresh(proxy.on, "GET", delay(0.2), nth=2)
    began = time.monotonic()
    values = c.pipeline([["GET", "a"], ["GET", "b"], ["GET", "a"]])
    t.ok(0.19 < time.monotonic() - began < 0.6 and values == ["1", "2", "1"], "delay: later, and in order")

    c = fresh(proxy.on, "GET", delay(0.2))
    began = time.monotonic()
    c.pipeline([["GET", "a"]] * 10)
    t.ok(0.19 < time.monotonic() - began < 0.6, "delays of several do not add up")

    c = fresh(proxy.on, "GET", drop(), nth=2)
    t.is_(c.pipeline([["GET", "a"], ["GET", "b"], ["ECHO", "e"]][:1]), ["1"], "drop: not yet the first")
    for command in (("GET", "b"), ("ECHO", "e")):
        c.send(*command)
    t.is_(c.receive(), "e", "drop: the second is missing")

    c = fresh(proxy.on, "GET", swap(), nth=1)
    t.is_(c.pipeline([["GET", "a"], ["GET", "b"], ["ECHO", "e"]]), ["2", "1", "e"], "swap")

    c = fresh(proxy.on, "GET", duplicate(), containing="b")
    t.is_(c.pipeline([["GET", "a"], ["GET", "b"], ["GET", "a"]]) + [c.receive()], ["1", "2", "2", "1"], "duplicate")

    c = fresh(proxy.on, "GET", previous(), nth=2)
    t.is_(c.pipeline([["GET", "a"], ["GET", "b"], ["GET", "b"]]), ["1", "1", "2"], "the previous one again")

    c = fresh(proxy.on, "GET", inject(bulk("extra")), nth=1)
    t.is_([c("GET", "a"), c.receive()], ["extra", "1"], "inject")

    c = fresh(proxy.on, "*", replace(b"-LOADING wait\r\n"))
    t.is_(outcome(c, "GET", "a"), "RedisError", "replace")

    c = fresh(proxy.on, "GET", split())
    t.is_(c("GET", "long"), "x" * 100, "split into single bytes")
    c = fresh(proxy.on, "GET", split_at(3))
    t.is_(c("GET", "long"), "x" * 100, "split in two")

    for reset in (False, True):
        c = fresh(proxy.on, "GET", cut(4, reset), nth=1)
        t.is_(outcome(c, "GET", "long"), "ConnectionResetError" if reset else "ConnectionError",
              f"cut{' with RST' if reset else ''}: the connection ends")
    c = fresh(proxy.on, "GET", close())
    t.is_(outcome(c, "GET", "a"), "ConnectionError", "close instead of a reply")
    c = fresh(proxy.on, "GET", black_hole(), nth=2)
    t.is_([outcome(c, "GET", "a") for _ in "123"], ["1", "TimeoutError", "TimeoutError"], "black hole from the second")

    c = fresh(proxy.on_request, "SET", cut(12))
    t.is_(outcome(c, "SET", "cut", "1"), "ConnectionError", "half a command, then the end")
    t.is_(redis("EXISTS", "cut"), 0, "Redis did nothing of it")

    proxy.clear()
    listener = client()
    t.is_(listener("SUBSCRIBE", "ch"), ["subscribe", "ch", 1], "subscribes")
    proxy.on("MESSAGE", replace(b"+spoilt\r\n"), nth=2)
    redis("PUBLISH", "ch", "one")
    redis("PUBLISH", "ch", "two")
    t.is_([listener.receive(), listener.receive()], [["message", "ch", "one"], "spoilt"], "spoils published messages")

    proxy.clear()
    c = client()
    c("PING")
    proxy.black_hole()
    t.is_([outcome(c, "PING"), outcome(client(), "PING")], ["TimeoutError"] * 2, "black hole, old and new connections")
    proxy.forward()
    t.is_([outcome(c, "PING"), outcome(client(), "PING")], ["TimeoutError", "PONG"], "only new ones work again")
    proxy.mode = "close"
    t.like(outcome(client(), "PING"), "^Connection", "accepts and closes")
    proxy.clear()
    proxy.refuse()
    t.ok(wait_for(lambda: refused()), "refuses")
    proxy.accept()
    t.is_(client()("PING"), "PONG", "listens again")
    proxy.close_all()
    t.ok(wait_for(lambda: not proxy.links), "closes what is open")

    proxy.at_random({drop(): 0.1, duplicate(): 0.1}, seed=1)
    c = client()
    for _ in range(500):
        c.send("GET", "a")
    wait_for(lambda: proxy.count("GET") and spoilt() > 60, 2)
    t.ok(60 < spoilt() < 160, "by chance", f"{proxy.spoilt} of 500 replies spoilt")
