#!/usr/bin/python3
# Every change of a key is written down, whoever makes it: by the API, by apikeyctl, by an application's SQL; who, which key, what, when, from where, and no secret. Rows
# are only ever added, and a holder sees those of his own keys.
# Hazards: V1, V9, V19

import json
import re

from lib.apikeytest import Test
from lib.apikeytest.management import Management

ENTRY = ["at", "action", "keyId", "keyName", "keyPrefix", "actor", "actorKeyId", "source", "address", "changes"]

with Test() as t:
    m = Management(t)
    first_id, alice = m.key("alice")
    _, bob = m.key("bob")
    made = m.made(alice, "laptop", {"Idempotency-Key": "x"}, scopes=["chat"])
    m.made(alice, "laptop", {"Idempotency-Key": "x"}, scopes=["chat"])
    m.ask("PATCH", made["id"], alice, {"name": "desk"})
    m.ask("PATCH", made["id"], alice, {"name": "desk"})
    turned = m.ask("POST", f"{made['id']}/rotate", alice, {"overlap": "1h"}).json
    m.ask("DELETE", turned["id"], alice)
    m.ask("DELETE", turned["id"], alice)
    m.apikeyd.ctl("keys", "revoke", made["id"])
    m.pg.sql(f"UPDATE api_keys SET is_active = true, revoked_at = NULL WHERE id = '{made['id']}'; UPDATE api_keys SET scopes = '{{chat,admin}}' WHERE id = '{made['id']}'; "
             f"UPDATE api_keys SET last_used_at = now() WHERE id = '{made['id']}'; DELETE FROM api_keys WHERE id = '{made['id']}'")

    r = m.ask("GET", "audit", alice)
    entries = r.json["entries"]
    t.is_((r.status, list(r.json), {tuple(entry) for entry in entries}), (200, ["success", "entries", "next"], {tuple(ENTRY)}), "a holder reads it")
    seen = [(entry["action"], entry["keyName"], entry["source"], entry["actor"], entry["actorKeyId"], entry["address"]) for entry in reversed(entries)]
    by_key = ("api", "alice", first_id, "127.0.0.1")
    t.is_(seen, [("created", "first", "apikeyctl", None, None, None), ("created", "laptop", *by_key), ("reissued", "laptop", *by_key), ("renamed", "desk", *by_key),
                 ("created", "desk", *by_key), ("rotated", "desk", *by_key), ("revoked", "desk", *by_key), ("revoked", "desk", "apikeyctl", None, None, None),
                 ("restored", "desk", "sql", None, None, None), ("changed", "desk", "sql", None, None, None), ("deleted", "desk", "sql", None, None, None)],
          "each change once, in order; who it was on the operator's side is not told")
    changes = {entry["action"]: entry["changes"] for entry in entries}
    t.is_((changes["renamed"], changes["changed"], changes["revoked"]), ({"name": ["laptop", "desk"]}, {"scopes": [["chat"], ["chat", "admin"]]}, {}), "and what was changed")
    t.is_(list(changes["rotated"]), ["expiresAt", "rotatedTo"], "by a rotation")
    t.is_(changes["rotated"]["rotatedTo"], [None, turned["id"]], "the new key")
    t.ok(all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry["at"]) for entry in entries) and [e["at"] for e in entries] == sorted((e["at"] for e in entries), reverse=True), "when")
    seen, after = [], ""
    while after is not None and len(seen) < 20:
        page = m.ask("GET", f"audit?limit=3{after and '&after=' + after}", alice).json
        seen, after = seen + page["entries"], page["next"]
    t.is_(seen, entries, "in pages")
    t.is_([entry["keyName"] for entry in m.ask("GET", "audit", bob).json["entries"]], ["first"], "each sees what was done to his own keys")

    # --- the operator ---
    told = m.apikeyd.ctl("audit", json=True)
    t.is_((list(told), len(told["entries"]), told["more"]), (["success", "entries", "more"], 12, False), "apikeyctl audit shows all of it")
    t.is_({(entry["user"], entry["source"]) for entry in told["entries"]}, {("alice", "api"), ("alice", "apikeyctl"), ("alice", "sql"), ("bob", "apikeyctl")}, "of everybody")
    t.ok(all(entry["actor"] and (entry["source"] == "sql" or entry["address"]) for entry in told["entries"]), "and who it was, from where", told)
    t.is_({entry["actor"] for entry in told["entries"] if entry["source"] == "sql"}, {"postgres"}, "an application by its role")
    text = m.apikeyd.ctl("audit", "--user", "alice", "--limit", "2")
    t.like(text, r"^AT +ACTION +USER +KEY +NAME +BY +FROM +CHANGES\n\S+Z  deleted .*\n\S+Z  changed .*\nThere are earlier ones; --limit shows more.\n$", "in a table")
    status, _, error = m.apikeyd.ctl("audit", "--limit", "0", status=None)
    t.is_(status, 2, "a wrong limit")

    # --- an application's own rows ---
    m.pg.sql("ALTER TABLE api_keys ADD COLUMN extra json; INSERT INTO api_keys (user_id, name, key_hash, prefix, extra) VALUES ('carol', 'app', repeat('1', 64), 'ia_', '{\"a\": \"\\u0000\"}')")
    m.pg.sql("ALTER TABLE api_keys ALTER COLUMN is_active DROP NOT NULL; UPDATE api_keys SET is_active = NULL WHERE name = 'app'; UPDATE api_keys SET is_active = true WHERE name = 'app'; DELETE FROM api_keys WHERE name = 'app'")
    t.is_([row[2] for row in m.audit("user_id = 'carol'")], ["created", "revoked", "restored", "deleted"], "whatever else is in the table")

    # --- it stays ---
    rows = m.pg.value("SELECT count(*) FROM audit_log")
    for role in ("", "SET ROLE apikeyd; ", "SET ROLE apikey_user; "):
        for statement in ("UPDATE audit_log SET actor = 'nobody'", "DELETE FROM audit_log", "TRUNCATE audit_log", "INSERT INTO audit_log (user_id, action, actor, source) VALUES ('a', 'b', 'c', 'd')"):
            if not role and statement.startswith("INSERT"):
                continue
            try:
                m.pg.sql(role + statement)
                t.ok(False, f"{role}{statement}")
            except Exception as error:                 # pylint: disable=broad-exception-caught
                t.like(str(error), "rows are only ever added|permission denied", f"{role}{statement}: refused")
    t.is_(m.pg.value("SELECT count(*) FROM audit_log"), rows, "nothing is gone")
    m.pg.sql("UPDATE api_keys SET user_id = 'bob' WHERE user_id = 'alice'; TRUNCATE api_keys")
    t.is_(sorted(row[:3] for row in m.audit(f"id > {rows} AND key_name IS DISTINCT FROM 'first'")), [["", None, "emptied"], ["alice", "desk", "moved"], ["bob", "desk", "moved"]], "keys that change their owner, and a table that is emptied")
    said = json.dumps(m.pg.sql("SELECT audit_log::text FROM audit_log")) + m.apikeyd.ctl("audit")
    for secret in (alice, bob, made["key"]):
        t.must(secret not in said and m.t.key(text=secret).hash not in said, "no key and no hash is in it")
