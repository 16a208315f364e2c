#!/usr/bin/python3
# What is known of a key arrives whole, however long it is: from Redis, from the cache, and again after an internal redirect. Lengths go
# around those for which a request has room of its own. Hazards: N6

from lib.apikeytest import Test

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    server {
        listen 127.0.0.1:%PORT%;
        root %DIR%;
        error_page 404 = /again;
        location / { api_key "test"; try_files /none =404; }
        location = /metrics { api_key_metrics; }
        location /again {
            api_key "test";
            add_header X-Id     $api_key_id;
            add_header X-User   $api_key_user;
            add_header X-Name   $api_key_name;
            add_header X-Prefix $api_key_prefix;
            add_header X-Scopes $api_key_scopes;
            add_header X-Cache  $api_key_cache;
            try_files /file =500;
        }
    }
}
"""

USUAL = 160

with Test() as t:
    plain = t.key(user="u", name="", scopes="")
    fixed = len(plain.id) + len(plain.user) + len(plain.prefix)
    keys = [t.key(user="u", name="n" * (total - fixed), scopes="") for total in range(USUAL - 10, USUAL + 11)]
    keys += [t.key(user="u" * user, name="n" * name, scopes="s" * scopes) for user, name, scopes in ((255, 0, 0), (255, 255, 255), (1, 1000, 1))]
    nginx = t.nginx(CONF, redis=t.redis(keys=keys))
    with open(f"{nginx.folder}/file", "w", encoding="ascii") as file:
        file.write("content")
    t.ok(nginx.wait_watching(1), "the worker hears of changes")   # verdicts from before are asked for again
    for cache in "miss", "hit", "hit":
        for key in keys:
            r = nginx.get("/", key)
            told = [r.header(name) or "" for name in ("X-Id", "X-User", "X-Name", "X-Prefix", "X-Scopes", "X-Cache")]
            t.is_((r.status, told), (200, [key.id, key.user, key.name, key.prefix, key.scopes, cache]),
                  f"{cache}: {fixed - 1 + len(key.user) + len(key.name) + len(key.scopes)} bytes")
