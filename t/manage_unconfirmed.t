#!/usr/bin/python3
# A change that is recorded, but that nginx has not confirmed: 202 with the bound, never 200, whether Redis is away, full, or a worker silent; it takes effect when they
# are back. So it is where Postgres breaks off behind the change. Where it is away there is no change, and 503.
# Hazards: C5, G1, V7

import concurrent.futures

from lib.apikeytest import Test, wait_for
from lib.apikeytest.management import Management

BOUND = 30_000                        # valid=20s stale=10s, the longest of all locations
MORE = "location /short/ { api_key_cache valid=1s stale=1s; empty_gif; }"

with Test() as t:
    m = Management(t, MORE)
    m.nginx.wait_watching(2)
    _, alice = m.key("alice")
    clients = list(m.nginx.connect_each(2).values())
    spare, other = m.made(alice, "spare"), m.made(alice, "other")
    statuses = lambda key: [client.request(key=key).status for client in clients]

    def recorded(method, path, body=None, *, of, name):
        r = m.ask(method, path, alice, body)
        t.is_((r.status, r.json["success"], r.json["inForce"], r.json["bound"]), (202, True, False, BOUND), f"{name}: 202, and how long it may take")
        t.ok(r.json["confirmed"] < r.json["expected"] if of else r.json["confirmed"] == r.json["expected"] == 0, "with how many have confirmed", r.json)
        t.ok(r.json["milliseconds"] >= 1500, "after waiting for it", r.json)
        return r.json

    # --- a worker that is silent ---
    silent = t.worker(m.redis, confirms=False, name="silent")
    made = recorded("POST", "", {"name": "made"}, of=3, name="a worker is silent, made")
    t.is_(statuses(made["key"]), [200, 200], "the others know it")
    recorded("DELETE", made["id"], of=3, name="revoked")
    t.is_(statuses(made["key"]), [401, 401], "the others refuse it")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        asked = pool.submit(m.ask, "PATCH", other["id"], alice, {"name": "broken off"})
        wait_for(lambda: m.pg.value(f"SELECT name FROM api_keys WHERE id = '{other['id']}'") == "broken off", 5)
        m.pg.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'apikeyd' AND query = 'COMMIT'")
    r = asked.result()
    t.is_((r.status, r.json.get("inForce"), r.json.get("name")), (202, False, "broken off"), "the connection to Postgres breaks off behind a change: it is recorded, and 202")
    silent.leave()
    t.ok(wait_for(lambda: m.ask("DELETE", made["id"], alice).status == 200, 15), "asked again, when it has left: in force")

    # --- Redis is away ---
    t.is_(statuses(spare["key"]), [200, 200], "a key that is cached")
    m.redis.process.pause()
    recorded("DELETE", spare["id"], of=0, name="Redis is silent, revoked")
    t.is_(m.pg.value(f"SELECT is_active FROM api_keys WHERE id = '{spare['id']}'"), "f", "it is recorded")
    made = recorded("POST", "", {"name": "meanwhile"}, of=0, name="made")
    renamed = recorded("PATCH", other["id"], {"name": "renamed"}, of=0, name="renamed")
    t.is_(renamed["name"], "renamed", "with the key's record")
    turned = recorded("POST", f"{other['id']}/rotate", {"overlap": "0s"}, of=0, name="rotated")
    t.is_(m.ask("GET", "", alice).status, 200, "a list needs no Redis")
    m.redis.process.resume()
    t.ok(wait_for(lambda: statuses(spare["key"]) == [401, 401], 15), "when it is back, the revoked key is refused")
    t.ok(wait_for(lambda: statuses(made["key"]) == statuses(turned["key"]) == [200, 200], 15), "and the new ones work")
    t.ok(wait_for(lambda: m.ask("DELETE", spare["id"], alice).status == 200, 15), "a change is confirmed again")

    # --- Redis is full ---
    m.redis("CONFIG", "SET", "maxmemory", "1")
    made = recorded("POST", "", {"name": "full"}, of=0, name="Redis is full, made")
    r = m.ask("DELETE", turned["id"], alice)
    t.is_((r.status, r.json["inForce"]), (200, True), "revoking needs no memory")
    m.redis("CONFIG", "SET", "maxmemory", "0")
    t.ok(wait_for(lambda: statuses(made["key"]) == [200, 200], 15), "when there is room, the new key works")

    # --- Postgres is away ---
    m.pg.stop()
    for method, path, body in (("GET", "", None), ("GET", "audit", None), ("GET", "me", None), ("POST", "", {"name": "n"}), ("DELETE", made["id"], None), ("PATCH", made["id"], {"name": "n"})):
        r = m.ask(method, path, alice, body)
        t.is_((r.status, r.code, r.header("Retry-After")), (503, "service_unavailable", "5"), f"Postgres is away: {method} {path or 'all'} is 503")
    t.is_(statuses(alice), [200, 200], "keys are let in as before")
    m.pg.start()
    t.ok(wait_for(lambda: m.ask("GET", "", alice).status == 200, 20), "back again")
    t.ok(wait_for(lambda: m.ask("POST", "", alice, {"name": "last"}).status == 201, 20), "and changes are confirmed")

    # --- apikeyd is away ---
    t.allow_log(r"\[crit\].*connect\(\) to unix:.*apikeyd.sock failed")
    m.apikeyd.stop()
    r = m.ask("POST", "", alice, {"name": "n"})
    t.is_((r.status, r.code), (503, "service_unavailable"), "apikeyd is away: 503")
    t.like(r.json["detail"], "look whether it has", "which does not claim that nothing was done")
