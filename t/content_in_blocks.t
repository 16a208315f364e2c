#!/usr/bin/python3
# What a location serves is served in its if and limit_except blocks as well, with the same checks, and in no location within it that has none of its own.
# Hazards: N9, V8

from lib.apikeytest import Test
from lib.apikeytest.fake_sidecar import FakeSidecar, whole
from lib.apikeytest.management import NOBODYS

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone    keys:1m;
    api_key_redis   %REDIS%;
    api_key_sidecar %SIDECAR%;
    server {
        listen 127.0.0.1:%PORT%;
        api_key "test";
        location /keys/    { if ($arg_limit) { add_header X-Block if; } if ($request_method = PATCH) { add_header X-Block patch; } api_key_manage; location /keys/nested/ { empty_gif; } }
        location /usage    { if ($args) { set $x 1; } api_key_export usage; }
        location /import   { if ($http_x_block) { set $x 1; } api_key_import usage; }
        location /limited/ { limit_except GET { api_key_require admin; } api_key_manage; }
        location /denied/  { limit_except GET { deny all; } api_key_manage; }
        location /inside/  { limit_except GET { allow all; } api_key_export conversations; }
    }
}
"""
CSV = {"Content-Type": "text/csv"}

with Test() as t:
    alice, reader, admin = t.key(), t.key(scopes="chat"), t.key(scopes="keys:write admin")
    sidecar = FakeSidecar(t.folder)
    sidecar.answers = whole(b"{}")
    nginx = t.nginx(CONF, redis=t.redis(keys=[alice, reader, admin]), sidecar=sidecar)

    def asks(method, path, key=alice, headers=(), body=b""):
        before = len(sidecar.requests)
        r = nginx.get(path, key, headers=headers, method=method, body=body)
        return r.status, [f"{asked.method} {asked.path} {asked.parameters}" for asked in sidecar.requests[before:]]

    t.is_(asks("GET", "/keys/?limit=5"), (200, ["GET /keys {'limit': '5'}"]), "in an if block keys are listed")
    t.is_(asks("PATCH", f"/keys/{NOBODYS}", body=b"{}", headers={"Content-Type": "application/json"}), (200, [f"PATCH /keys/one {{'id': '{NOBODYS}'}}"]), "and changed, by their paths")
    t.is_(asks("GET", "/keys/?limit=x"), (400, []), "as they are checked elsewhere")
    t.is_(asks("GET", "/keys/?limit=5", reader), (403, []), "scopes, too")
    t.is_(asks("GET", "/keys/nested/")[1], [], "a location within it is another one")
    t.is_(asks("GET", "/usage?format=csv"), (200, ["GET /export/usage {'format': 'csv'}"]), "exports")
    t.is_(asks("GET", "/usage/summary?groupBy=day"), (200, ["GET /export/usage/summary {'groupBy': 'day'}"]), "and their suffixes")
    t.is_(asks("POST", "/import", headers=CSV | {"X-Block": "1"}, body=b"date\n"), (200, ["POST /import/usage {'format': 'csv'}"]), "imports")
    t.is_(asks("GET", "/limited/", alice), (200, ["GET /keys {}"]), "what limit_except leaves alone")
    t.is_(asks("DELETE", f"/limited/{NOBODYS}", admin), (200, [f"DELETE /keys/one {{'id': '{NOBODYS}'}}"]), "what it speaks of, for who may")
    t.is_(asks("DELETE", f"/limited/{NOBODYS}", reader), (403, []), "and not for who may not")
    r = nginx.get(f"/denied/{NOBODYS}", alice, method="DELETE")
    t.is_((r.status, r.code, r.all("Cache-Control")), (403, "forbidden", ["no-store"]), "what is denied there is a problem document, too")
    t.is_(asks("POST", "/inside/"), (405, []), "a method that is not taken")
    t.is_(nginx.get("/keys/?limit=5", alice).header("X-Block"), "if", "they were in these blocks")
