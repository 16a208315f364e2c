#!/usr/bin/python3
# api_key_source cookie:NAME takes the key from the first cookie of that name, in any Cookie header, quoted or not.

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
        listen 127.0.0.1:%PORT_H2% http2;
        location / {
            api_key        "test";
            api_key_source cookie:key;
            include        %API_KEY_PARAMS%;
            proxy_pass     http://%UPSTREAM%;
        }
    }
}
"""

with Test() as t:
    alice, bob, stranger = t.key(user="alice"), t.key(user="bob"), t.key()
    key = alice.key
    redis_proxy = t.redis_proxy(t.redis(keys=[alice, bob]))
    nginx = t.nginx(CONF, redis=redis_proxy, upstream=t.upstream())

    def check(wants):
        for name, (want, *cookies) in wants.items():
            with nginx.connect2(port=nginx.ports["PORT_H2"]) as client:
                for version, r in (("1.1", nginx.get("/", headers=[("Cookie", cookie) for cookie in cookies])),
                                   ("2", client.request(headers=[("cookie", cookie) for cookie in cookies]))):
                    t.is_(r.saw("X-User-Id") if r.status == 200 else r.code, want, f"HTTP/{version}: {name}")

    check({
        "alone": (["alice"], f"key={key}"),
        "first": (["alice"], f"key={key}; b=2"),
        "last": (["alice"], f"a=1; key={key}"),
        "without spaces": (["alice"], f"a=1;key={key};c=3"),
        "with more spaces": (["alice"], f"a=1;  \tkey = {key} ; c=3"),
        "in quotes": (["alice"], f'key="{key}"'),
        "among odd ones": (["alice"], f"a; ; =; =b; keys=1; ke=2; KEY=3; key={key}; c="),
        "in the first of two headers": (["alice"], f"a=1; key={key}", "b=2"),
        "in the second of two headers": (["alice"], "a=1", f"b=2; key={key}"),
        "each cookie in its own header": (["alice"], "a=1", f"key={key}", "b=2"),
        "two keys: the first counts": (["alice"], f"key={key}; key={bob.key}"),
        "two keys in two headers: the first counts": (["alice"], f"key={key}", f"key={bob.key}"),
        "a semicolon in quotes ends it": ("malformed_api_key", f'a="x;key={key}"'),
        "an unknown key": ("invalid_api_key", f"key={stranger.key}"),
    })
    redis_proxy.forget()
    check({
        "empty": ("malformed_api_key", "key="),
        "empty quotes": ("malformed_api_key", 'key=""'),
        "half a quote": ("malformed_api_key", f'key="{key}'),
        "an empty one before a good one": ("malformed_api_key", f"key=; key={key}"),
        "a malformed one in the first of two headers": ("malformed_api_key", "key=a b", f"key={key}"),
        "percent-encoded": ("malformed_api_key", "key=" + "".join(f"%{ord(c):02X}" for c in key)),
        "a comma for the semicolon": ("malformed_api_key", f"key={key},a=1"),
        "no cookie": ("missing_api_key",),
        "an empty header": ("missing_api_key", ""),
        "a name alone": ("missing_api_key", "key"),
        "another name": ("missing_api_key", f"a={key}"),
        "a longer name": ("missing_api_key", f"xkey={key}; keyx={key}"),
        "a name of another case": ("missing_api_key", f"Key={key}"),
        "a name behind a comma": ("missing_api_key", f"a=1,key={key}"),
        "RFC 2109's attributes": ("missing_api_key", f"$key={key}"),
    })
    t.is_(redis_proxy.count("HMGET"), 0, "these were not looked up")
