#!/usr/bin/python3
# A create or a rotation whose answer was lost is asked for again with the same Idempotency-Key: the same key, under a new secret; the lost one ends. Nothing
# is made twice, not even by many at once.
# Hazards: none of the list; a reply lost after create, of DESIGN §3.3

import concurrent.futures
import json

from lib.apikeytest import Test, request_bytes, wait_for
from lib.apikeytest.management import API, Management

with Test() as t:
    m = Management(t)
    _, alice = m.key("alice")
    _, bob = m.key("bob")
    count = lambda: int(m.pg.value("SELECT count(*) FROM api_keys"))
    secret = lambda r: r.json["key"]
    works = lambda key: m.nginx.get("/", key).status == 200

    # --- made twice ---
    one = {"Idempotency-Key": "one"}
    first = m.ask("POST", "", alice, {"name": "n", "scopes": ["chat"]}, one)
    before = count()
    second = m.ask("POST", "", alice, {"scopes": ["chat"], "name": "n"}, one)
    t.is_((first.status, second.status, count()), (201, 201, before), "asked for twice, it is made once")
    t.is_((second.json["id"], second.json["createdAt"], second.json["name"], second.json["inForce"]), (first.json["id"], first.json["createdAt"], "n", True), "the same key")
    t.ok(secret(second) != secret(first) and works(secret(second)) and not works(secret(first)), "under another secret: the lost one has ended")
    t.is_(second.json["prefix"], secret(second)[:12], "whose first characters it shows")
    third = m.ask("POST", "", alice, {"name": "n", "scopes": ["chat"]}, {"Idempotency-Key": "two"})
    t.is_((third.status, third.json["id"] != first.json["id"], count()), (201, True, before + 1), "another Idempotency-Key makes another key")
    r = m.ask("POST", "", bob, {"name": "n", "scopes": ["chat"]}, one)
    t.is_((r.status, r.json["id"] != first.json["id"], works(secret(second))), (201, True, True), "and so does another user's")
    for body in ({"name": "m", "scopes": ["chat"]}, {"name": "n"}, {"name": "n", "scopes": ["chat"], "expiresAt": "2999-01-01"}):
        r = m.ask("POST", "", alice, body, one)
        t.is_((r.status, r.code), (422, "idempotency_key_reused"), f"another request with it is refused: {body}")
    r = m.ask("POST", f"{first.json['id']}/rotate", alice, None, one)
    t.is_((r.status, r.code, works(secret(second))), (422, "idempotency_key_reused", True), "a rotation, too")
    m.ask("DELETE", first.json["id"], alice)
    r = m.ask("POST", "", alice, {"name": "n", "scopes": ["chat"]}, one)
    t.is_((r.status, r.code), (409, "key_not_active"), "a key that was revoked since is not made again")
    m.pg.sql("UPDATE idempotency_keys SET created_at = created_at - interval '24 hours'")
    r = m.ask("POST", "", alice, {"name": "n", "scopes": ["chat"]}, one)
    t.is_((r.status, r.json["id"] != first.json["id"]), (201, True), "after 24 hours it is another request")
    t.is_(m.pg.value("SELECT count(*) FROM idempotency_keys WHERE user_id = 'alice'"), "1", "what is older is cleared away")

    # --- rotated twice ---
    old = m.made(alice, "old")
    turn = {"Idempotency-Key": "turn"}
    first = m.ask("POST", f"{old['id']}/rotate", alice, {"overlap": "1h"}, turn)
    before = count()
    second = m.ask("POST", f"{old['id']}/rotate", alice, {"overlap": "1h"}, turn)
    t.is_((first.status, second.status, second.json["id"], count()), (201, 201, first.json["id"], before), "a rotation that is asked for twice is made once")
    t.is_(second.json["replaces"], first.json["replaces"], "and the old key ends when it was said to")
    third = m.ask("POST", f"{old['id'].upper()}/rotate", alice, {"overlap": "3600s"}, turn)
    t.is_((third.status, third.json.get("id")), (201, first.json["id"]), "however its id is written")
    second = third
    t.is_([works(key) for key in (old["key"], secret(first), secret(second))], [True, False, True], "the old secret and the last one are good")

    # --- a client that leaves before it hears ---
    for number in range(20):
        lost = {"Idempotency-Key": f"lost-{number}", "Content-Type": "application/json"}
        with m.nginx.connect() as c:
            c.send(request_bytes("POST", API, alice, lost, json.dumps({"name": f"lost {number}"}).encode()))
            if number % 2:
                wait_for(lambda: m.pg.value(f"SELECT count(*) FROM api_keys WHERE name = 'lost {number}'") == "1", 5)
            c.reset()
        r = m.ask("POST", "", alice, {"name": f"lost {number}"}, lost)
        made = m.pg.sql(f"SELECT id FROM api_keys WHERE name = 'lost {number}'")
        t.is_((r.status, made), (201, [[r.json["id"]]]), "whether or not the first was done, there is one key")
    t.ok(works(secret(r)), "which works")

    # --- many at once ---
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: m.ask("POST", "", alice, {"name": "herd"}, {"Idempotency-Key": "herd"}), range(10)))
    t.is_({r.status for r in answers}, {201}, "many that ask at once are all answered")
    t.is_((len({r.json["id"] for r in answers}), m.pg.value("SELECT count(*) FROM api_keys WHERE name = 'herd'")), (1, "1"), "with one key")
    t.is_(sum(works(secret(r)) for r in answers), 1, "one of whose secrets is good")

    # --- two keys ---
    contested = m.made(alice, "contested")
    askers = [alice, m.key("alice")[1]]
    holder = m.pg.connect()
    holder.autocommit = False
    holder.cursor().execute(f"SELECT FROM api_keys WHERE id = '{contested['id']}' FOR UPDATE")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(m.ask, "POST", f"{contested['id']}/rotate", key) for key in askers]
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'apikeyd' AND wait_event_type = 'Lock'"
        t.ok(wait_for(lambda: m.pg.value(waiting) == "2", 10), "two keys rotate a third at once")
        holder.rollback()
    holder.close()
    t.is_(sorted(each.result().status for each in answers), [201, 409], "one of them does")
    t.is_(m.pg.value("SELECT count(*) FROM api_keys WHERE name = 'contested'"), "2", "and one key takes its place")

    # --- two tabs ---
    victim = m.made(alice, "victim")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: m.ask("DELETE", victim["id"], alice), range(8)))
    t.is_({(r.status, r.json["inForce"]) for r in answers}, {(200, True)}, "revoked by many at once: each hears that it is in force")
    t.is_(len([row for row in m.audit(f"key_id = '{victim['id']}'") if row[2] == "revoked"]), 1, "and it was done once")
