#!/usr/bin/python3
# api_key_source header:NAME takes the key from that header, alone; given twice, empty or with more in it, it is malformed.

from lib.apikeytest import Test

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    underscores_in_headers on;
    server {
        listen 127.0.0.1:%PORT%;
        listen 127.0.0.1:%PORT_H2% http2;
        api_key "test";
        include %API_KEY_PARAMS%;
        location / { api_key_source header:X-Api-Key; proxy_pass http://%UPSTREAM%; }
        location /raw/ { api_key_source header:Authorization; proxy_pass http://%UPSTREAM%; }
        location /underscore/ { api_key_source header:X_Api_Key; proxy_pass http://%UPSTREAM%; }
        location /hidden/ {
            api_key_source header:X-Api-Key;
            include %API_KEY_PARAMS%;
            proxy_set_header X-Api-Key "";
            proxy_pass http://%UPSTREAM%;
        }
    }
}
"""

MISSING = (401, "missing_api_key", 'Bearer realm="test"')
MALFORMED = (401, "malformed_api_key", 'Bearer realm="test", error="invalid_token"')
INVALID = (401, "invalid_api_key", 'Bearer realm="test", error="invalid_token"')

with Test() as t:
    alice, bob, stranger = t.key(user="alice"), t.key(user="bob"), t.key()
    key = alice.key
    redis_proxy = t.redis_proxy(t.redis(keys=[alice, bob]))
    nginx = t.nginx(CONF, redis=redis_proxy, upstream=t.upstream())

    def ask(path, headers):
        """What came of it over HTTP/1.1 and HTTP/2: a user, or a refusal."""
        with nginx.connect2(port=nginx.ports["PORT_H2"]) as client:
            answers = (nginx.get(path, headers=headers),
                       client.request(path=path, headers=[(name.lower(), value) for name, value in headers]))
        results = [r.saw("X-User-Id") if r.status == 200 else (r.status, r.code, r.header("WWW-Authenticate"))
                   for r in answers]
        t.is_(results[1], results[0], "HTTP/2 agrees with HTTP/1.1")
        return results[0]

    t.is_(ask("/", [("X-Api-Key", key)]), ["alice"], "a good key")
    t.is_(ask("/", [("x-API-key", key)]), ["alice"], "the name in any case")
    t.is_(ask("/", [("X-Api-Key", f" \t{key}\t ")]), ["alice"], "white space around it")
    t.is_(ask("/", [(f"X-{i}", "x") for i in range(60)] + [("X-Api-Key", key)]), ["alice"], "behind sixty others")
    t.is_(ask("/", [("Authorization", "Basic YTpi"), ("X-Api-Key", key)]), ["alice"], "beside Basic")
    t.is_(ask("/", [("Authorization", f"Bearer {bob.key}"), ("X-Api-Key", key)]), ["alice"], "beside another's key")
    t.is_(ask("/", [("X-Api-Key", stranger.key)]), INVALID, "an unknown key")
    t.is_(ask("/raw/", [("Authorization", key)]), ["alice"], "Authorization as a plain header")
    t.is_(ask("/raw/", [("Authorization", f"Bearer {key}")]), MALFORMED, "which has no scheme then")
    t.is_(ask("/underscore/", [("X_Api_Key", key)]), ["alice"], "a name with underscores")
    t.is_(ask("/underscore/", [("X-Api-Key", key)]), MISSING, "which are no hyphens")
    t.is_(ask("/", [("X_Api_Key", key)]), MISSING, "nor are hyphens underscores")

    redis_proxy.forget()
    for name, headers in {
        "the same twice": [("X-Api-Key", key)] * 2,
        "the same twice, spelt otherwise": [("X-Api-Key", key), ("x-api-key", key)],
        "two keys": [("X-Api-Key", key), ("X-Api-Key", bob.key)],
        "a key and an empty one": [("X-Api-Key", key), ("X-Api-Key", "")],
        "an empty one and a key": [("X-Api-Key", ""), ("X-Api-Key", key)],
        "two far apart": [("X-Api-Key", key), *[(f"X-{i}", "x") for i in range(60)], ("X-Api-Key", key)],
        "three": [("X-Api-Key", key)] * 3,
        "empty": [("X-Api-Key", "")],
        "spaces": [("X-Api-Key", "  ")],
        "a list": [("X-Api-Key", f"{key}, {key}")],
        "with a scheme": [("X-Api-Key", f"Bearer {key}")],
        "a byte outside token68": [("X-Api-Key", key + "\x80")],
    }.items():
        t.is_(ask("/", headers), MALFORMED, name)
    t.is_(ask("/", []), MISSING, "no header")
    t.is_(redis_proxy.count("HMGET"), 0, "these were not looked up")

    r = nginx.get("/hidden/", headers={"X-Api-Key": key})
    t.is_((r.saw("X-User-Id"), r.saw("X-Api-Key")), (["alice"], []), "proxy_set_header keeps it from the upstream")
