#!/usr/bin/python3
# api_key_require asks for all of its scopes: 403 insufficient_scope names them; "*" and no list at all have every scope.

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
        api_key         "test";
        api_key_require a b;
        include         %API_KEY_PARAMS%;
        location /two/ {
            proxy_pass http://%UPSTREAM%;
            location /two/one/ { api_key_require usage:read; proxy_pass http://%UPSTREAM%; }
            location /two/realm/ { api_key 'my "other" \\\\ realm'; proxy_pass http://%UPSTREAM%; }
        }
        location /punctuation/ { api_key_require https://example.com/x~!#y; proxy_pass http://%UPSTREAM%; }
        location /open/ { api_key off; proxy_pass http://%UPSTREAM%; }
    }
    server {
        listen 127.0.0.1:%PORT_B%;
        location / { api_key "test"; include %API_KEY_PARAMS%; proxy_pass http://%UPSTREAM%; }
    }
}
"""


def challenge(scope, realm="test"):
    return f'Bearer realm="{realm}", error="insufficient_scope", scope="{scope}"'


with Test() as t:
    scopes = {"both": "a b", "both and more": "c b a d", "doubled spaces": "a  b", "all": "*", "all among others": "x * y",
              "one": "a", "the other": "b", "none": "", "other case": "A B", "longer": "ab a_ b_", "no separator": "a,b",
              "usage": "usage:read", "star in a word": "a* *b", "odd": "https://example.com/x~!#y"}
    keys = {name: t.key(user=name, scopes=text) for name, text in scopes.items()}
    late = t.key(scopes="", expires=1)
    redis_proxy, upstream = t.redis_proxy(t.redis(keys=[*keys.values(), late])), t.upstream()
    nginx = t.nginx(CONF, redis=redis_proxy, upstream=upstream)

    def check(path, want_challenge, *enough):
        for name, key in keys.items():
            passed = len(upstream.requests)
            r = nginx.get(path, key)
            if name in enough:
                t.is_((r.status, r.saw("X-User-Id"), r.saw("X-Api-Key-Scopes")),
                      (200, [name], [key.scopes] if key.scopes else []), f"{path}: {name}: let through")
            else:
                t.is_((r.status, r.code, r.header("WWW-Authenticate"), r.header("Retry-After"), len(upstream.requests)),
                      (403, "insufficient_scope", want_challenge, None, passed), f"{path}: {name}: 403")

    check("/two/", challenge("a b"), "both", "both and more", "doubled spaces", "all", "all among others")
    check("/two/one/", challenge("usage:read"), "usage", "all", "all among others")
    check("/punctuation/", challenge("https://example.com/x~!#y"), "odd", "all", "all among others")

    r = nginx.get("/two/realm/", keys["one"])
    t.is_(r.header("WWW-Authenticate"), challenge("a b", r'my \"other\" \\ realm'), "the realm is quoted as RFC 9110 says")
    r = nginx.get("/two/", late)
    t.is_((r.status, r.code), (401, "expired_api_key"), "an expired key is expired, whatever its scopes")
    r = nginx.get("/two/")
    t.is_((r.status, r.header("WWW-Authenticate")), (401, 'Bearer realm="test"'), "without a key no scope is named")
    r = nginx.get("/two/", t.key())
    t.is_((r.status, r.header("WWW-Authenticate")), (401, 'Bearer realm="test", error="invalid_token"'),
          "nor for an unknown key")
    t.is_(nginx.get("/open/").status, 200, "api_key off: api_key_require is idle")
    t.is_(nginx.get("/", keys["none"], port=nginx.ports["PORT_B"]).saw("X-User-Id"), ["none"],
          "where nothing is required a key without any scope will do")
    t.is_(redis_proxy.count("HMGET"), 3 * len(keys) + 4, "each key was looked up once for each request")
