#!/usr/bin/python3
# api_key_checksum on refuses a key with a wrong checksum without a lookup; off (the default) looks it up like any other.
# Hazards: P12

from lib.apikeytest import Test, checksum, make_key_text

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    server {
        listen 127.0.0.1:%PORT%;
        api_key "test";
        include %API_KEY_PARAMS%;
        location /default/ { proxy_pass http://%UPSTREAM%; }
        location /on/ {
            api_key_checksum on;
            proxy_pass http://%UPSTREAM%;
            location /on/inside/ { proxy_pass http://%UPSTREAM%; }
            location /on/off/ { api_key_checksum off; proxy_pass http://%UPSTREAM%; }
        }
        location /off/ { api_key_checksum off; proxy_pass http://%UPSTREAM%; }
    }
}
"""

CHECKED, UNCHECKED = ("/on/", "/on/inside/"), ("/default/", "/off/", "/on/off/")
INVALID = (401, "invalid_api_key", 'Bearer realm="test", error="invalid_token"')


def with_typo(key):
    """One character of the secret replaced, the checksum left as it was."""
    place = 20
    return key[:place] + ("A" if key[place] != "A" else "B") + key[place + 1:]


with Test() as t:
    alice = t.key(user="alice")
    other_prefix = t.key(user="other prefix", text=make_key_text("live_"))
    # Known to Redis, but not of our making:
    wrong = [t.key(user="typo", text=with_typo(make_key_text())),
             t.key(user="foreign", text="a-key-that-the-application-made-before"),
             t.key(user="swapped", text=make_key_text()[:-2] + "__"),
             t.key(user="short", text="ia_short" + checksum("ia_short"))]
    redis_proxy = t.redis_proxy(t.redis(keys=[alice, other_prefix, *wrong]))
    nginx = t.nginx(CONF, redis=redis_proxy, upstream=t.upstream())

    for path in CHECKED + UNCHECKED:
        for key in (alice, other_prefix):
            t.is_(nginx.get(path, key).saw("X-User-Id"), [key.user], f"{path}: a right checksum ({key.user})")
    redis_proxy.forget()

    for path in CHECKED:
        for key in wrong:
            r = nginx.get(path, key)
            t.is_((r.status, r.code, r.header("WWW-Authenticate")), INVALID, f"{path}: a wrong checksum ({key.user})")
    t.is_(redis_proxy.count("HMGET"), 0, "they were not looked up")

    for path in UNCHECKED:
        for key in wrong:
            t.is_(nginx.get(path, key).saw("X-User-Id"), [key.user], f"{path}: looked up and found ({key.user})")
    r = nginx.get("/off/", with_typo(alice.key))
    t.is_((r.status, r.code, r.header("WWW-Authenticate")), INVALID, "off: looked up and not found")
    t.is_(redis_proxy.count("HMGET"), len(UNCHECKED) * len(wrong) + 1, "each of these was looked up")

    redis_proxy.refuse()
    redis_proxy.close_all()
    r = nginx.get("/on/", wrong[0])
    t.is_((r.status, r.code), (401, "invalid_api_key"), "a typo is known to be one without Redis")
    t.is_(nginx.get("/off/", wrong[0]).status, 503, "where the checksum proves nothing it is not")
