#!/usr/bin/python3
# Redis is away for long, under load: rows merge in the zone, and when that is full, the spool takes the rest; Redis comes back, and
# every request is counted once. Without a spool, what finds no room is counted as lost, and logged: counted and lost are all.
# Hazards: X9, S10, U1

import os

from lib.apikeytest import Test, usage, wait_for

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone           keys:1m;
    api_key_redis          %REDIS% timeout=500ms;
    api_key_cache          valid=10m;
    api_key_usage_interval 100ms;
    %SPOOL%
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; api_key_usage_endpoint $uri; api_key_usage_model $arg_model; empty_gif; }
        location = /metrics { api_key_metrics; }
    }
}
"""
# With as many rows as fit; and as many requests as it takes to fill the little zone many times.
ROWS, REQUESTS = 24, 4000


def ask_often(requests):
    """Over kept connections: (requests that were answered 200) by user."""
    answered = {user.user: 0 for user in users}
    clients = [nginx.connect() for _ in range(8)]
    for number in range(requests):
        user, client = users[number % len(users)], clients[number % len(clients)]
        r = client.request(path=f"/{number % ROWS}?model={'m' * 100}{number % 7}", key=user, headers={"Keep-Alive": "1"})
        answered[user.user] += r.status == 200
        if r.header("Connection") == "close":
            clients[number % len(clients)] = nginx.connect()
    for client in clients:
        client.close()
    return answered


def away():
    proxy.refuse()
    proxy.close_all()
    wait_for(lambda: nginx.metrics()["links_up"] == 0)


def fill(known):
    for user in users:
        if user.user not in known:
            nginx.get("/", user)


def is_back():
    proxy.accept()
    wait_for(lambda: nginx.metrics()["links_up"] == 2)


def total():
    return usage.by(redis, "user")


with Test(limit=180) as t:
    users = [t.key(user=f"{n}-{'u' * 100}") for n in range(40)]
    redis = t.redis(keys=users)
    proxy = t.redis_proxy(redis, record=False)
    spool = usage.spool_folder(t)
    nginx = t.nginx(CONF, redis=proxy, spool=f"api_key_spool {spool};")
    wait_for(lambda: nginx.get("/", users[0]).status == 200 and nginx.wait_watching(2))
    fill(())
    usage.wait_counted(redis, 1 + len(users))
    ledger = total()

    away()
    for user, count in ask_often(REQUESTS).items():
        ledger[user] += count
    seen = nginx.metrics()
    spooled, lost = seen['usage_batches_total{event="spooled"}'], seen["usage_lost_total"]
    t.is_(sum(ledger.values()) >= REQUESTS, True, "Redis is away, and every request is answered")
    t.ok(spooled > 0 and os.listdir(spool), f"the zone is full: {spooled:.0f} batches are in the spool")
    t.is_(lost, 0, "and nothing is lost")
    t.ok(wait_for(lambda: nginx.metrics()["usage_batches_pending"] > 0), "the metrics tell that batches wait")
    is_back()
    t.ok(wait_for(lambda: not os.listdir(spool) and total() == ledger, 40, 0.2), "Redis is back: the spool empties, and all is counted",
         os.listdir(spool)[:5], {user: (total().get(user), count) for user, count in ledger.items() if total().get(user) != count})
    t.must(sum(total().values()) <= sum(ledger.values()), "nothing twice")
    t.is_(usage.differing(redis), [], "what came again was the same")
    t.is_(nginx.metrics()['usage_batches_total{event="replayed"}'] >= spooled, True, "the metrics tell of what came out of the spool")

    nginx.write_config(spool="")
    nginx.reload()
    nginx.wait_watching(2)
    before, ledger = nginx.metrics()["usage_requests_total"], total()
    away()
    answered = ask_often(REQUESTS)
    seen = nginx.metrics()
    lost = int(seen["usage_lost_total"])
    t.ok(lost > 0, f"without a spool {lost} of {sum(answered.values())} requests find no room")
    t.is_(int(seen["usage_requests_total"] - before) + lost, sum(answered.values()), "counted and lost are all that were answered")
    t.like(nginx.log(), r"\[error\] .*the usage of a request is lost: there is no room for it in the zone, and Redis does not take it",
           "the log says so")
    t.ok(nginx.log().count("the usage of a request is lost") < 10, "in few lines")
    is_back()
    expected = sum(ledger.values()) + sum(answered.values()) - lost
    t.is_(usage.wait_counted(redis, expected), expected, "Redis is back: all that was counted is there, once")
    t.is_(usage.differing(redis), [], "what came again was the same")
