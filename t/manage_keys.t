#!/usr/bin/python3
# A key holder makes, lists, renames, rotates and revokes keys: each change is in force on every worker when it is answered.
# Hazards: C7, C8, C14, V17

import re
import time

from lib.apikeytest import Test, wait_for
from lib.apikeytest.management import NOBODYS, Management

FIELDS = ["id", "name", "prefix", "scopes", "createdAt", "lastUsedAt", "expiresAt", "isActive"]
FORCE = ["inForce", "confirmed", "expected", "milliseconds"]
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"

with Test() as t:
    m = Management(t)
    m.nginx.wait_watching(2)
    clients = list(m.nginx.connect_each(2).values())
    first_id, first = m.key("alice")
    other_id, other = m.key("bob")

    def works(key, name, status=200):
        t.is_([client.request(key=key).status for client in clients], [status] * 2, f"{name}: {status} on each worker")

    # --- made ---
    r = m.ask("POST", "", first, {"name": "laptop", "scopes": ["chat:write", "keys:read"], "expiresAt": "2999-01-01"})
    made = r.json
    t.is_((r.status, list(made)), (201, ["success", "id", "key", *FIELDS[1:], *FORCE]), "made, with what it is")
    t.is_({name: made[name] for name in ("success", "name", "scopes", "lastUsedAt", "expiresAt", "isActive", "inForce", "confirmed", "expected")},
          {"success": True, "name": "laptop", "scopes": ["chat:write", "keys:read"], "lastUsedAt": None, "expiresAt": "2999-01-01T00:00:00Z",
           "isActive": True, "inForce": True, "confirmed": 2, "expected": 2}, "as it was asked for")
    t.like(made["createdAt"], TIME, "and when")
    t.ok(made["key"].startswith(made["prefix"]) and re.fullmatch(r"ia_[0-9A-Za-z]{49}", made["key"]), "a key, and its first characters")
    works(made["key"], "used at once")
    t.is_((r.all("Cache-Control"), r.all("Vary"), r.header("Content-Type")), (["no-store"], ["Authorization"], "application/json"), "kept by nobody")
    r = m.ask("POST", "", first, {"name": "plain"})
    t.is_([r.json[name] for name in ("scopes", "expiresAt")], [None, None], "without scopes and end: unrestricted, for ever")

    # --- listed ---
    r = m.ask("GET", "", first)
    t.is_((r.status, list(r.json), [list(key) for key in r.json["keys"]]), (200, ["success", "keys", "next"], [FIELDS] * 3), "a list")
    t.is_(([key["name"] for key in r.json["keys"]], r.json["next"]), (["plain", "laptop", "first"], None), "the newest first")
    t.is_([key["name"] for key in m.ask("GET", "", other).json["keys"]], ["first"], "each sees his own")
    seen, after, pages = [], "", 0
    while after is not None and pages < 5:
        page = m.ask("GET", f"?limit=1{after and '&after=' + after}", first).json
        seen, after, pages = seen + [key["name"] for key in page["keys"]], page["next"], pages + 1
    t.is_((seen, pages), (["plain", "laptop", "first"], 3), "in pages of one")
    t.is_(len(m.ask("GET", "?limit=2", first).json["keys"]), 2, "of two")
    r = m.ask("HEAD", "", first)
    t.is_((r.status, r.body), (200, b""), "HEAD")
    for place in (NOBODYS, other_id):
        r = m.ask("GET", f"?after={place}", first)
        t.is_((r.status, r.code), (400, "invalid_parameter"), "behind what is no key of hers: an error, not an end")
    used = lambda: {key["name"]: key["lastUsedAt"] for key in m.ask("GET", "", first).json["keys"]}
    t.ok(wait_for(lambda: used()["laptop"], 15), "a key that was used says when", used())
    t.is_(used()["plain"], None, "one that was not says so")
    r = m.ask("GET", "me", made["key"])
    t.is_((r.status, r.json["user"], r.json["key"]["name"], list(r.json["key"])), (200, "alice", "laptop", FIELDS), "who asks")

    # --- renamed ---
    r = m.ask("PATCH", made["id"], first, {"name": "desk \"top\" \u202e"})
    t.is_((r.status, list(r.json), r.json["name"], r.json["inForce"]), (200, ["success", *FIELDS, *FORCE], "desk \"top\" \u202e", True), "renamed")
    r = m.ask("PATCH", made["id"], first, {"name": "desk \"top\" \u202e"})
    t.is_((r.status, r.json["inForce"]), (200, True), "to what it was already")

    # --- rotated ---
    r = m.ask("POST", f"{made['id']}/rotate", first, {"overlap": "4s"})
    began, new = time.monotonic(), r.json
    t.is_((r.status, list(new)), (201, ["success", "id", "key", *FIELDS[1:], "replaces", *FORCE]), "rotated")
    t.is_((new["name"], new["scopes"], new["expiresAt"]), ("desk \"top\" \u202e", made["scopes"], made["expiresAt"]), "a key of the same settings")
    t.is_((new["replaces"]["id"], new["id"] != made["id"], new["key"] != made["key"]), (made["id"], True, True), "and of its own")
    works(new["key"], "the new key")
    t.ok(all(client.request(key=made["key"]).status == 200 for client in clients) or time.monotonic() - began > 3, "the old key, while both are good")
    r = m.ask("POST", f"{made['id']}/rotate", first)
    t.is_((r.status, r.code), (409, "key_not_active"), "but it is not rotated again")
    time.sleep(max(0, 4.1 - (time.monotonic() - began)))
    works(made["key"], "the old key, after the overlap", 401)
    plain = m.ask("GET", "", first).json["keys"][1]["id"]
    r = m.ask("POST", f"{plain}/rotate", first)
    ends = time.mktime(time.strptime(r.json["replaces"]["expiresAt"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
    t.ok(r.status == 201 and abs(ends - time.time() - 86400) < 60, "without a body: 24 hours")
    r = m.ask("POST", f"{r.json['id']}/rotate", first, {"overlap": "0s"})
    t.is_(r.status, 201, "and with no overlap at all")

    # --- revoked ---
    works(new["key"], "cached")
    r = m.ask("DELETE", new["id"], first)
    t.is_((r.status, list(r.json), r.json["inForce"]), (200, ["success", "id", *FORCE], True), "revoked")
    works(new["key"], "at once", 401)
    r = m.ask("DELETE", new["id"], first)
    t.is_((r.status, r.json["inForce"]), (200, True), "revoked again: the same answer")
    t.is_([key["isActive"] for key in m.ask("GET", "", first).json["keys"] if key["id"] == new["id"]], [False], "listed as such")
    r = m.ask("POST", f"{new['id']}/rotate", first)
    t.is_((r.status, r.code), (409, "key_not_active"), "a revoked key is not rotated")
    r = m.ask("DELETE", first_id, first)
    t.is_(r.status, 200, "a key may revoke itself")
    works(first, "which ends it", 401)
    t.is_(m.ask("GET", "", first).code, "invalid_api_key", "here as well")
