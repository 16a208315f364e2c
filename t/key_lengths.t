#!/usr/bin/python3
# A key has 1 to 512 bytes: others are refused without a lookup; what nginx's header buffers cannot hold is nginx's 400.
# Hazards: P11

from lib.apikeytest import Test

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=5s;
    server {
        listen 127.0.0.1:%PORT%;
        listen 127.0.0.1:%PORT_H2% http2;
        location / {
            api_key        "test";
            api_key_source bearer header:X-Key arg:key cookie:key;
            include        %API_KEY_PARAMS%;
            proxy_pass     http://%UPSTREAM%;
        }
    }
}
"""

PLACES = {
    "bearer": lambda key: ("/", [("authorization", f"Bearer {key}")]),
    "header": lambda key: ("/", [("x-key", key)]),
    "argument": lambda key: (f"/?key={key}", []),
    "percent-encoded argument": lambda key: ("/?key=" + "".join(f"%{ord(c):02x}" for c in key), []),
    "cookie": lambda key: ("/", [("cookie", f"key={key}")]),
}


def long_text(length):
    return ("long_key_" + "k" * length)[:length]


with Test() as t:
    short, longest = t.key(user="short", text="k"), t.key(user="longest", text=long_text(512))
    redis_proxy = t.redis_proxy(t.redis(keys=[short, longest]))
    nginx = t.nginx(CONF, redis=redis_proxy, upstream=t.upstream())
    client, client2 = nginx.connect(), nginx.connect2(port=nginx.ports["PORT_H2"])

    for place, request_of in PLACES.items():
        for version, ask in (("1.1", client.request), ("2", client2.request)):
            name = f"HTTP/{version}, {place}"
            for key in (short, longest):
                path, headers = request_of(key.key)
                t.is_(ask(path=path, headers=headers).saw("X-User-Id"), [key.user], f"{name}: {len(key.key)} is a key")
            redis_proxy.forget()
            for length in (0, 513, 7000):
                if length == 7000 and place == "percent-encoded argument":
                    continue               # 21 kB: more than nginx takes
                path, headers = request_of(long_text(length))
                r = ask(path=path, headers=headers)
                t.is_((r.status, r.code), (401, "malformed_api_key"), f"{name}: {length} is none")
            t.is_(redis_proxy.count("HMGET"), 0, f"{name}: and is not looked up")

    client.close()
    client2.close()

    for length in (16384, 40000):
        r = nginx.get("/", long_text(length))
        t.is_((r.status, r.code), (400, None), f"HTTP/1.1: {length} is more than nginx takes")
        with nginx.connect2(port=nginx.ports["PORT_H2"]) as other:
            r = other.request(key=long_text(length))   # nginx 1.22 ends the connection
            t.ok(other.closed if r is None else r.status == 400 and r.code is None, f"HTTP/2: the same for {length}", r)
    t.is_(redis_proxy.count("HMGET"), 0, "and we do not see it")
