#!/usr/bin/python3
# $api_key_* tell whose key was verified and how it went, wherever nginx takes variables, and are empty otherwise.

import json

from lib.apikeytest import Test

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    log_format all escape=json '["$api_key_id","$api_key_user","$api_key_name","$api_key_prefix","$api_key_scopes",'
                               '"$api_key_status"]';
    access_log %DIR%/all.log all;
    map $api_key_user $greeting { default "hello $api_key_user"; "" "hello stranger"; }
    map $api_key_status $is_valid { default 0; valid 1; }
    server {
        listen 127.0.0.1:%PORT%;
        add_header X-Id       $api_key_id       always;
        add_header X-User     $api_key_user     always;
        add_header X-Name     $api_key_name     always;
        add_header X-Prefix   $api_key_prefix   always;
        add_header X-Scopes   $api_key_scopes   always;
        add_header X-Status   $api_key_status   always;
        add_header X-Greeting $greeting         always;
        root %DIR%;
        location / { api_key "test"; try_files /file =404; }
        location /scoped/ { api_key "test"; api_key_require admin; try_files /file =404; }
        location /open/ { try_files /file =404; }
        location /off/ { api_key off; try_files /file =404; }
        location /too-early/ { if ($api_key_status != "") { return 500; } api_key "test"; try_files /file =404; }
        location /only-valid-are-logged/ {
            access_log %DIR%/valid.log all if=$is_valid;
            api_key "test";
            try_files /file =404;
        }
    }
}
"""

NAMES = ("X-Id", "X-User", "X-Name", "X-Prefix", "X-Scopes", "X-Status")

with Test() as t:
    alice = t.key(user='al"ice; \u00c3\u00a9', name="Alice's  key, 100%", scopes="chat usage:read")
    late, stranger = t.key(user="late", expires=1), t.key(user="stranger")
    redis_proxy = t.redis_proxy(t.redis(keys=[alice, late]))
    nginx = t.nginx(CONF, redis=redis_proxy)
    with open(f"{nginx.folder}/file", "w", encoding="ascii") as file:
        file.write("content")
    facts = [alice.id, alice.user, alice.name, alice.prefix, alice.scopes]
    logged = []

    def check(name, path, key, status, values):
        r = nginx.get(path, key)
        t.is_((r.status, [(r.header(header) or "") for header in NAMES]), (status, values), name)
        t.is_(r.header("X-Greeting"), f"hello {values[1] or 'stranger'}", f"{name}: a map of one")
        logged.append(values)

    nobody = [""] * 5
    check("valid", "/", alice, 200, [*facts, "valid"])
    check("missing", "/", None, 401, [*nobody, "missing"])
    check("malformed", "/", "a b", 401, [*nobody, "malformed"])
    check("invalid", "/", stranger, 401, [*nobody, "invalid"])
    check("expired", "/", late, 401, [*nobody, "expired"])
    check("forbidden: a key was verified", "/scoped/", alice, 403, [*facts, "forbidden"])
    check("no api_key here", "/open/", alice, 200, [*nobody, ""])
    check("api_key off", "/off/", alice, 200, [*nobody, ""])
    check("before the access phase: still empty; later not", "/too-early/", alice, 200, [*facts, "valid"])
    redis_proxy.refuse()
    redis_proxy.close_all()
    check("unavailable", "/", alice, 503, [*nobody, "unavailable"])
    redis_proxy.accept()
    nginx.wait_log("is in use again")

    nginx.get("/only-valid-are-logged/", alice)
    nginx.get("/only-valid-are-logged/", stranger)
    with nginx.connect() as client:        # one connection, one request after the other
        for key, values in ((alice, [*facts, "valid"]), (None, [*nobody, "missing"]), (alice, [*facts, "valid"]),
                            ("a b", [*nobody, "malformed"])):
            r = client.request("GET", "/", key)
            t.is_([(r.header(header) or "") for header in NAMES], values, "on one connection: this request's alone")
            logged.append(values)

    nginx.stop()
    with open(f"{nginx.folder}/all.log", encoding="latin-1") as file:
        t.is_([json.loads(line) for line in file], logged, "the access log has the same")
    with open(f"{nginx.folder}/valid.log", encoding="latin-1") as file:
        t.is_([json.loads(line) for line in file], [[*facts, "valid"]], "and can be made to depend on them")
