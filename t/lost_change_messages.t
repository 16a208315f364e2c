#!/usr/bin/python3
# The message about a change gets lost on its way to the workers of one host, whose subscription is well otherwise: it is
# reported as not confirmed; a revoked key is refused there when `valid` is over, whoever uses it meanwhile, and a key that
# was created works when `invalid` is over.
# Hazards: C4, C8

import time

from lib.apikeytest import Test, drop, wait_for
from lib.apikeytest.receipts import ReceiptClient

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    api_key_cache valid=3s invalid=2500ms stale=1h;
    keepalive_requests 100000;
    server {
        listen 127.0.0.1:%PORT% reuseport;
        location / { api_key "test"; empty_gif; }
        location = /metrics { api_key_metrics; }
        location = /pid { return 200 $pid; }
    }
}
"""
VALID, INVALID = 3.0, 2.5
TURN = 0.05                                # nginx reads its clock once per turn of its event loop


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    daemon, proxy = t.apikeyd(pg, redis), t.redis_proxy(redis)
    near, far = t.nginx(CONF, redis=redis), t.nginx(CONF, redis=proxy)
    t.ok(near.wait_watching(2) and far.wait_watching(2), "two hosts with two workers each")
    clients = {nginx: list(nginx.connect_each(2).values()) for nginx in (near, far)}
    made = [daemon.ctl("keys", "create", "--user", "u", "--name", "k", json=True) for _ in range(3)]
    for one in made:
        t.secret(one["key"])

    def ask(nginx, number):
        return statuses(nginx, made[number]["key"])

    def statuses(nginx, key):
        return [client.request(key=key).status for client in clients[nginx]]

    for number in range(2):
        proxy.on("MESSAGE", drop())
        t.ok(wait_for(lambda: ask(far, number) == [200, 200]), "the key is good")
        t.is_(ask(near, number), [200, 200], "on both hosts")
        kept = time.monotonic()            # what the far workers keep of it was asked for before
        revoked = daemon.ctl("keys", "revoke", made[number]["id"], json=True)
        t.is_((revoked["inForce"], revoked["confirmed"], revoked["expected"]), (False, 2, 4), "revoked: the far workers are silent")
        t.like(revoked["bound"], "valid", "and what bounds it is said")
        t.is_(proxy.spoilt["drop"], 2 * (number + 1), "both of them missed the message")
        t.is_(ask(near, number), [401, 401], "the near ones refuse it")
        t.is_(far.metrics()["watching_workers"], 2, "the far ones know nothing of it")

        served, answers = kept, [200, 200]
        while 200 in answers and served < kept + 10 * VALID:
            begun = time.monotonic()
            answers = ask(far, number)
            served = begun if 200 in answers else served
        t.is_(answers, [401, 401], "then they refuse it, too")
        t.ok(served - kept < VALID + TURN, "when valid is over at the latest", f"{served - kept:.3f} s")
        t.is_(ask(far, 2), [200, 200], "a good key is served on")
        proxy.clear()

    # A key that was unknown a moment ago.
    new, application = t.key(user="new"), ReceiptClient(pg)
    proxy.on("MESSAGE", drop())
    t.is_((statuses(near, new), statuses(far, new)), ([401, 401], [401, 401]), "a key that is not created yet")
    kept = time.monotonic()
    _, figures = application.change(f"INSERT INTO api_keys (id, user_id, name, key_hash, prefix) "
                                    f"VALUES ('{new.id}', 'new', 'k', '{new.hash}', '{new.prefix}')")
    t.is_(figures, "2/4", "is created: the far workers are silent")
    t.is_(statuses(near, new), [200, 200], "the near ones let it in")
    refused, answers = kept, [401, 401]
    while 401 in answers and refused < kept + 10 * INVALID:
        begun = time.monotonic()
        answers = statuses(far, new)
        refused = begun if 401 in answers else refused
    t.is_(answers, [200, 200], "then the far ones do, too")
    t.ok(refused - kept < INVALID + TURN, "when invalid is over at the latest", f"{refused - kept:.3f} s")
    proxy.clear()

    revoked = daemon.ctl("keys", "revoke", made[2]["id"], json=True)
    t.is_((revoked["inForce"], revoked["confirmed"], revoked["expected"]), (True, 4, 4), "no message is lost any more: all confirm")
    t.is_((ask(near, 2), ask(far, 2)), ([401, 401], [401, 401]), "and refuse")
