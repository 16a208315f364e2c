#!/usr/bin/python3
# A key makes no key that may do more than itself, or lives longer: not by making it, nor by rotating another, nor by asking again for one that was made
# before. A key that has just been revoked makes none, whatever nginx has cached of it.
# Hazards: V9

import concurrent.futures

from lib.apikeytest import Test, wait_for
from lib.apikeytest.management import Management

with Test() as t:
    m = Management(t)
    _, all_of_it = m.key("alice")
    _, star = m.key("alice", "*")
    _, some = m.key("alice", "keys:read", "keys:write", "chat")
    _, short = m.key("alice", expires="2030-01-01")
    both_id, both = m.key("alice", "keys:write", "chat", expires="2030-01-01")

    def makes(key, name, **fields):
        r = m.ask("POST", "", key, {"name": "new", **fields})
        t.is_((r.status, [r.json[field] for field in fields]), (201, [value for value in fields.values()]), f"{name} makes {fields}")

    def may_not(key, name, says, **fields):
        before = m.pg.value("SELECT count(*) FROM api_keys")
        r = m.ask("POST", "", key, {"name": "new", **fields})
        t.is_((r.status, r.code, m.pg.value("SELECT count(*) FROM api_keys")), (403, "exceeds_own_rights", before), f"{name} does not make {fields}")
        t.like(r.json["detail"], says, f"and says {says}")

    end, later = "2029-12-31T23:59:59Z", "2030-01-01T00:00:01Z"
    for key, name in ((all_of_it, "a key without scopes"), (star, "one with all scopes")):
        for scopes in (None, ["*"], ["chat"], ["other"], []):
            makes(key, name, scopes=scopes)
    for scopes in (["chat"], ["keys:read", "chat", "keys:write"], []):
        makes(some, "one with some", scopes=scopes)
    for scopes in (None, ["*"], ["chat", "*"]):
        may_not(some, "one with some", "needs scopes, too", scopes=scopes)
    may_not(some, "one with some", "needs scopes, too")
    for scopes in (["other"], ["chat", "usage:read"], ["Chat"], ["cha"]):
        may_not(some, "one with some", f'has not the scope "{scopes[-1]}"', scopes=scopes)
    makes(short, "one that ends", expiresAt=end)
    makes(short, "one that ends", expiresAt="2030-01-01T00:00:00Z")
    may_not(short, "one that ends", "expire no later", expiresAt=later)
    may_not(short, "one that ends", "expire no later", expiresAt=None)
    may_not(short, "one that ends", "expire no later")
    may_not(both, "one with both", "needs scopes", expiresAt=end)
    may_not(both, "one with both", "expire no later", scopes=["chat"])
    makes(both, "one with both", scopes=["chat"], expiresAt=end)

    # --- by rotating ---
    strong = m.made(all_of_it, "strong")
    weak = m.made(all_of_it, "weak", scopes=["chat"])
    r = m.ask("POST", f"{strong['id']}/rotate", some)
    t.is_((r.status, r.code), (403, "exceeds_own_rights"), "nor by rotating a stronger one")
    t.is_(m.pg.value(f"SELECT rotated_to IS NULL AND expires_at IS NULL FROM api_keys WHERE id = '{strong['id']}'"), "t", "which stays as it was")
    t.is_(m.ask("POST", f"{weak['id']}/rotate", some).status, 201, "a weaker one is rotated")
    t.is_(m.ask("POST", f"{weak['id']}/rotate", both).code, "key_not_active", "once")
    r = m.ask("POST", f"{both_id}/rotate", both)
    t.is_((r.status, r.json["scopes"], r.json["expiresAt"]), (201, ["keys:write", "chat"], "2030-01-01T00:00:00Z"), "a key rotates itself")

    # --- by asking again ---
    again = {"Idempotency-Key": "again"}
    made = m.ask("POST", "", some, {"name": "n", "scopes": ["chat"]}, again).json
    m.pg.sql(f"UPDATE api_keys SET scopes = NULL WHERE id = '{made['id']}'")
    r = m.ask("POST", "", some, {"name": "n", "scopes": ["chat"]}, again)
    t.is_((r.status, r.code), (403, "exceeds_own_rights"), "nor by asking again for one that may do more since")
    t.is_(m.ask("POST", "", all_of_it, {"name": "n", "scopes": ["chat"]}, again).status, 201, "who may do all may")
    meanwhile = {"Idempotency-Key": "meanwhile"}
    made = m.ask("POST", "", some, {"name": "n", "scopes": ["chat"]}, meanwhile).json
    operator = m.pg.connect()
    operator.autocommit = False
    operator.cursor().execute(f"UPDATE api_keys SET scopes = NULL WHERE id = '{made['id']}'")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        asked = pool.submit(m.ask, "POST", "", some, {"name": "n", "scopes": ["chat"]}, meanwhile)
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'apikeyd' AND wait_event_type = 'Lock'"
        t.ok(wait_for(lambda: m.pg.value(waiting) == "1", 10), "asked again while it is given more")
        operator.commit()
    operator.close()
    t.is_((asked.result().status, asked.result().code), (403, "exceeds_own_rights"), "nor then")

    # --- a key that nginx still takes for good ---
    gone_id, gone = m.key("alice")
    m.pg.sql(f"SET session_replication_role = replica; UPDATE api_keys SET is_active = false WHERE id = '{gone_id}'")     # no trigger tells anybody
    t.is_(m.ask("GET", "", gone).status, 200, "a key that nginx takes for good")
    held_id, held = m.key("alice", "keys:write", "keys:read")
    given_id, given = m.key("alice")
    m.pg.sql(f"SET session_replication_role = replica; UPDATE api_keys SET scopes = '{{keys:read}}' WHERE id = '{held_id}'; UPDATE api_keys SET user_id = 'bob' WHERE id = '{given_id}'")
    for key, name in ((gone, "revoked"), (held, "limited"), (given, "given to another user")):
        for method, path, body in (("POST", "", {"name": "late"}), ("POST", f"{weak['id']}/rotate", None), ("PATCH", strong["id"], {"name": "late"}), ("DELETE", strong["id"], None)):
            r = m.ask(method, path, key, body)
            t.is_((r.status, r.code), (403, "exceeds_own_rights"), f"{method}: a key changes nothing once it is {name} in Postgres")
    t.is_(m.pg.sql(f"SELECT name, is_active FROM api_keys WHERE id = '{strong['id']}' OR name = 'late'"), [["strong", "t"]], "nothing was changed")
