#!/usr/bin/python3
# Where the browser itself adds who asks (a password, a cookie), a page of another site changes nothing: by Fetch Metadata, by Origin where there is none.
# A key that a page sends is nobody else's doing. Identities of other means act for whom they name, with all his rights.
# Hazards: V9, V11

import base64
import os

from lib.apikeytest import Test, request_bytes
from lib.apikeytest.management import Management

MORE = """
        location /own/     { api_key off; auth_basic "test"; auth_basic_user_file %DIR%/users; api_key_user $remote_user; api_key_manage; }
        location /import/  { api_key off; auth_basic "test"; auth_basic_user_file %DIR%/users; api_key_user $remote_user; api_key_import usage; }
        location /cookie/  { api_key_source bearer cookie:key; api_key_manage; }
        location /both/    { auth_basic "test"; auth_basic_user_file %DIR%/users; api_key_source arg:key; api_key_user $remote_user; api_key_manage; }
        location /mapped/  { api_key_user "tenant-$api_key_user"; api_key_manage; }
"""

with Test() as t:
    m = Management(t, MORE)
    with open(f"{m.nginx.folder}/users", "w", encoding="ascii") as file:
        file.write("carol:{PLAIN}secret\n")
    os.chmod(f"{m.nginx.folder}/users", 0o644)
    basic = {"Authorization": "Basic " + base64.b64encode(b"carol:secret").decode()}
    _, alice = m.key("alice")
    cookie = {"Cookie": f"key={alice}"}

    r = m.ask("POST", "/own/", None, {"name": "hers"}, basic)
    t.is_((r.status, m.pg.value(f"SELECT user_id FROM api_keys WHERE id = '{r.json['id']}'")), (201, "carol"), "by password: a key of hers")
    t.is_((r.json["scopes"], r.json["expiresAt"]), (None, None), "that may do all that she may")
    hers = r.json["id"]
    t.is_([key["name"] for key in m.ask("GET", "/own/", None, headers=basic).json["keys"]], ["hers"], "which she sees")
    me = m.ask("GET", "/own/me", None, headers=basic).json
    t.is_((me["user"], me["key"]), ("carol", None), "no key has asked")
    t.is_(m.ask("GET", "/own/", None).status, 401, "without a password: nobody")
    t.is_(m.ask("DELETE", f"/own/{hers}", alice).status, 401, "a key is no password")
    t.is_(m.audit("user_id = 'carol'"), [["carol", "hers", "created", "carol", "api"]], "and the log says who it was")

    evil = ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"}, {"Origin": "https://evil.example"},
            {"Origin": "null"}, {"Origin": "http://localhost.evil.example"}, {"Origin": "http://localhost:81"}, {"Sec-Fetch-Site": "anything"})
    good = ({}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {"Origin": "http://localhost"}, {"Origin": "https://LOCALHOST"},
            {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"})
    for what, place, identity in (("password", "/own/", basic), ("cookie", "/cookie/", cookie)):
        for method, path, body in (("POST", "", {"name": "n"}), ("PATCH", hers, {"name": "n"}), ("DELETE", hers, None), ("POST", f"{hers}/rotate", None)):
            for elsewhere in evil:
                r = m.ask(method, place + path, None, body, identity | elsewhere)
                t.is_((r.status, r.code), (403, "cross_site_request"), f"{what}: {method} from {elsewhere}")
        for here in good:
            t.is_(m.ask("POST", place, None, {"name": "n"}, identity | here).status, 201, f"{what}: {here}")
        t.is_(m.ask("GET", place, None, headers=identity | evil[0]).status, 200, f"{what}: reading changes nothing")
    t.is_(m.pg.value(f"SELECT name FROM api_keys WHERE id = '{hers}'"), "hers", "nothing was changed")
    r = m.ask("POST", "/import/", None, b"date\n", basic | evil[0] | {"Content-Type": "text/csv"})
    t.is_((r.status, r.code), (403, "cross_site_request"), "nor anything imported")
    for host, origin, status in (("a", "http://a", 201), ("a:80", "http://a", 201), ("a:443", "https://a", 201), ("a:443", "http://a", 403), ("a", "http://a:80", 403), ("[::1]", "http://[::1]", 201)):
        with m.nginx.connect() as c:
            body = b'{"name": "n"}'
            c.send(request_bytes("POST", "/own/", headers=basic | {"Origin": origin, "Content-Type": "application/json"}, body=body, host=host))
            t.is_(c.response("POST").status, status, f"Host {host}, Origin {origin}")
    for elsewhere in evil:
        t.is_(m.ask("POST", "", alice, {"name": "n"}, elsewhere).status, 201, f"a key is sent by whoever has it: {elsewhere}")

    r = m.ask("POST", f"/both/?key={alice}", None, {"name": "planted"}, basic | evil[0])
    t.is_((r.status, r.code), (403, "cross_site_request"), "a key of the attacker's own beside her password changes nothing")
    t.is_(m.ask("POST", f"/both/?key={alice}", None, {"name": "both"}, basic).status, 201, "as it does from here")
    limited = m.key("alice", "keys:write")[1]
    r = m.ask("POST", "/mapped/", alice, {"name": "there"})
    t.is_((r.status, m.pg.value("SELECT user_id FROM api_keys WHERE name = 'there'")), (201, "tenant-alice"), "a site that names its users otherwise")
    t.is_(m.ask("POST", "/mapped/", limited, {"name": "there"}).code, "exceeds_own_rights", "where the key that asks has no more rights than it has")
    r = m.ask("GET", "/mapped/me", alice).json
    t.is_((r["user"], r["key"]), ("tenant-alice", None), "and is none of that user's")
