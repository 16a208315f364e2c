#!/usr/bin/python3
# What is wrong with a request about keys is named, and nothing is changed: bodies, names, paths, methods, scopes, parameters. Another's key and
# one that is nowhere are the same.
# Hazards: D8, V2, V5, V8, V9, V16, V19

import json

from lib.apikeytest import Test
from lib.apikeytest.management import API, NOBODYS, Management
from lib.apikeytest.nasty import PIECES

MORE = """
        location /reports/     { api_key_require reports; api_key_manage; }
        location = /exact      { api_key_manage; }
        location ~ ^/(r)egex   { api_key_manage; }
"""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
READ, WRITE, ANY = "keys:read", "keys:write", None
DATA = ("usage:read", "usage:write", "conversations:read", "conversations:write", "chat")

with Test() as t:
    m = Management(t, MORE)
    own_id, alice = m.key("alice")
    _, bob = m.key("bob")
    spare = m.made(alice, "spare")["id"]

    def state():
        return m.pg.sql("SELECT id, user_id, name, key_hash, is_active, expires_at, rotated_to FROM api_keys ORDER BY id"), m.pg.value("SELECT count(*) FROM audit_log")

    def refused(method, path, status, code, says, body=None, key=alice, headers=()):
        r = m.ask(method, path, key, body, headers)
        t.is_((r.status, r.code if method != "HEAD" else code, r.all("Cache-Control")), (status, code, ["no-store"]), f"{method} {path[:60]} {str(body)[:60]}: {code}")
        if method != "HEAD":
            t.like(r.json["detail"], says, f"that says {says}")
        return r

    before = state()
    # --- bodies ---
    bad = "invalid_body"
    for body, says in (
            (b"", "no JSON"), (b"{", "no JSON"), (b"nonsense", "no JSON"), (b'{"name": "\xff"}', "no JSON in UTF-8"), (b'{"name": "a"} x', "no JSON"),
            (b"[" * 30000, "no JSON"), ([], "must be a JSON object"), ("text", "must be a JSON object"), ({}, "name is missing"),
            ({"name": None}, "name must be a text"), ({"name": 5}, "name must be a text"), ({"name": ["a"]}, "name must be a text"),
            ({"name": ""}, "1 to 200 characters"), ({"name": "x" * 201}, "1 to 200 characters"), ({"name": "\u00e9" * 5000}, "1 to 200 characters"),
            ({"name": "a\nb"}, "without control characters"), ({"name": "a\u0000b"}, "without control characters"), ({"name": "\u007f"}, "without control"),
            (b'{"name": "a", "name": "b"}', '"name" stands twice'), ({"name": "a", "user": "bob"}, '"user" is unknown here; there is name, scopes, expiresAt'),
            ({"name": "a", "user_id": "bob"}, '"user_id" is unknown'), ({"name": "a", "is_active": True}, '"is_active" is unknown'),
            ({"name": "a", "scopes": "chat"}, "list of texts"), ({"name": "a", "scopes": [1]}, "list of texts"), ({"name": "a", "scopes": {"a": 1}}, "list of texts"),
            ({"name": "a", "scopes": [""]}, "scopes: a scope must be"), ({"name": "a", "scopes": ["a b"]}, "scopes: a scope must be"),
            ({"name": "a", "scopes": ["a\u00e9"]}, "scopes: a scope must be"), ({"name": "a", "scopes": ["x" * 5000]}, "below 4096 bytes"),
            ({"name": "a", "expiresAt": 5}, "expiresAt must be a text"), ({"name": "a", "expiresAt": "soon"}, 'expiresAt "soon" is no date'),
            ({"name": "a", "expiresAt": "2020-01-01"}, '"2020-01-01" is not in the future'), ({"name": "a", "expiresAt": "2999-02-30"}, "is no date"),
            ({"name": "a", "expiresAt": "2999-01-01T00:00:00"}, "no time with its zone"), ({"name": "a", "expiresAt": "30d"}, "is no date"),
            ({"name": "a", "expiresAt": ""}, "is no date")):
        refused("POST", "", 400, bad, says, body)
    refused("POST", "", 413, "too_large", "65536 bytes", b'{"name": "' + b"x" * 70000 + b'"}')
    for body, says in ((b"", "no JSON"), ({}, "name is missing"), ({"name": ""}, "1 to 200"), ({"name": "a", "isActive": False}, '"isActive" is unknown here; there is name')):
        refused("PATCH", spare, 400, bad, says, body)
    for body, says in ((b"5", "JSON object"), ({"overlap": 5}, "must be a text"), ({"overlap": "soon"}, 'overlap "soon" is no duration'), ({"overlap": "-1s"}, "no duration"),
                       ({"overlap": "101y"}, "no duration"), ({"overlap": "x" * 60000}, "no duration"), ({"name": "x"}, '"name" is unknown')):
        refused("POST", f"{spare}/rotate", 400, bad, says, body)
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/json; charset=latin1", "text/json"):
        refused("POST", "", 415, "unsupported_media_type", "application/json", b'{"name": "a"}', headers={"Content-Type": kind})
    refused("POST", "", 415, "unsupported_media_type", "without Content-Encoding", {"name": "a"}, headers={"Content-Encoding": "gzip"})
    for key in ("", "x" * 256, "a b", "\u00e9"):
        refused("POST", "", 400, "invalid_header", "Idempotency-Key", {"name": "a"}, headers={"Idempotency-Key": key})
    refused("POST", "", 400, "invalid_header", "once", {"name": "a"}, headers=[("Idempotency-Key", "a"), ("Idempotency-Key", "b")])

    # --- paths, methods, parameters ---
    for path in ("nothing/here", f"{spare}/rotate/x", f"{spare}/", "audit/x", "me/", f"{API}x", f"{API}/"):
        refused("GET", path, 404, "not_found", "nothing under this path")
    for method, path in (("GET", "?limit=0"), ("GET", "?limit=1001"), ("GET", "?limit=x"), ("GET", "?after=x"), ("GET", "?user=bob"), ("GET", "?limit=1&limit=2"), ("GET", "audit?after=x"),
                         ("GET", "me?x=1"), ("POST", "?dryRun=true"), ("DELETE", f"{spare}?force=1")):
        refused(method, path, 400, "invalid_parameter", ".", {"name": "a"} if method == "POST" else None)
    allowed = {"": "GET, HEAD, POST", spare: "PATCH, DELETE", f"{spare}/rotate": "POST", "audit": "GET, HEAD", "me": "GET, HEAD", NOBODYS: "PATCH, DELETE"}
    for path, methods in allowed.items():
        for method in METHODS:
            if method not in methods.split(", "):
                r = refused(method, path, 405, "method_not_allowed", ".")
                t.is_(r.header("Allow"), methods, "and what is allowed")

    # --- another's ---
    texts = set()
    for key, place in ((bob, spare), (alice, NOBODYS), (alice, "x"), (alice, "1"), (alice, "%27 OR 1=1--")):
        for method, path, body in (("PATCH", place, {"name": "mine"}), ("DELETE", place, None), ("POST", f"{place}/rotate", None)):
            texts.add(refused(method, path.replace(" ", "%20"), 404, "not_found", "^There is no key of this id.$", body, key).text)
    pids = lambda: {row[0] for row in m.pg.sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'apikeyd'")}
    there = pids()
    for _ in range(10):
        m.ask("DELETE", NOBODYS, alice)
    t.is_(pids(), there, "a refusal costs no connection to Postgres")
    t.is_(len(texts), 1, "another's key, an unknown one and what cannot be one are refused by the same bytes")
    t.is_(state(), before, "nothing of all this has changed a row, nor the audit log")

    # --- scopes ---
    operations = {("GET", ""): READ, ("HEAD", ""): READ, ("GET", "audit"): READ, ("GET", "me"): ANY, ("POST", ""): WRITE, ("PATCH", spare): WRITE, ("DELETE", spare): WRITE,
                  ("POST", f"{spare}/rotate"): WRITE}
    keys = {scope: m.key("alice", scope)[1] for scope in (READ, WRITE, *DATA)}
    keys["none"] = m.made(alice, scopes=[])["key"]
    for (method, path), needed in operations.items():
        for scope, key in keys.items():
            if needed in (ANY, scope):
                t.ok(m.ask(method, path, key, b"{" if method in ("POST", "PATCH") else None).status in (200, 400), f"{method} {path}: {scope} will do")
                continue
            r = refused(method, path, 403, "insufficient_scope", "lacks a scope", {"name": "a"} if method in ("POST", "PATCH") else None, key)
            t.like(r.header("WWW-Authenticate"), f'^Bearer realm="test", error="insufficient_scope", scope="{needed}"$', "which is named")
        refused(method, path, 401, "missing_api_key", "no API key", key=None)
    r = refused("GET", "/reports/", 403, "insufficient_scope", "lacks", key=keys[READ])
    t.like(r.header("WWW-Authenticate"), 'scope="reports"$', "api_key_require is asked for first")
    reports = m.key("alice", "reports")[1]
    r = refused("GET", "/reports/", 403, "insufficient_scope", "lacks", key=reports)
    t.like(r.header("WWW-Authenticate"), 'scope="reports keys:read"$', "then both")
    t.is_([m.ask("GET", path, alice).status for path in ("/reports/", "/exact", "/regex", "/regexx")], [200] * 4, "other locations")

    # --- texts that break programs ---
    for number, text in enumerate([*PIECES, "'; DROP TABLE api_keys; --", "\" OR \"\"=\"", "1) OR 1=1#", "$2", "${x}", "{{7*7}}", "%n%s", "../../etc/passwd", "<img src=x onerror=alert(1)>"]):
        name = "".join(c for c in text if ord(c) >= 32 and ord(c) != 127)[:200] or "-"
        made = m.made(alice, name)
        t.is_(made["name"], name, f"name {number} comes back as it was", repr(name))
        t.is_(m.pg.value(f"SELECT user_id FROM api_keys WHERE id = '{made['id']}'"), "alice", "and is hers")
        r = m.ask("GET", "?after=" + json.dumps(text).encode().hex(), alice)
        t.is_(r.status, 400, "as a place it is none")
    said = json.dumps([m.ask("GET", "", key).json for key in (alice, bob)])
    for secret in m.pg.sql("SELECT key_hash FROM api_keys"):
        t.must(secret[0] not in said, "no hash is in any answer")
