#!/usr/bin/python3
# Lines that end in LF alone are decided upon like those that end in CRLF.
# Hazards: P26

from lib.apikeytest import Test, request_bytes

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    server {
        listen 127.0.0.1:%PORT%;
        location / {
            api_key        "test";
            api_key_source bearer header:X-Key cookie:key;
            include        %API_KEY_PARAMS%;
            proxy_pass     http://%UPSTREAM%;
        }
    }
}
"""

with Test() as t:
    alice, late, stranger = t.key(user="alice"), t.key(expires=1), t.key()
    redis_proxy = t.redis_proxy(t.redis(keys=[alice, late]))
    nginx = t.nginx(CONF, redis=redis_proxy, upstream=t.upstream())

    requests = {
        "a good key": request_bytes(key=alice),
        "a good key in a header": request_bytes(headers={"X-Key": alice.key}),
        "a good key in a cookie": request_bytes(headers={"Cookie": f"key={alice.key}"}),
        "a good key, space behind": request_bytes(headers={"Authorization": f"Bearer {alice.key} \t"}),
        "a forged user": request_bytes(key=alice, headers={"X-User-Id": "mallory", "X-Api-Key-Id": "1"}),
        "an unknown key": request_bytes(key=stranger),
        "an expired key": request_bytes(key=late),
        "a malformed key": request_bytes(key="a b"),
        "no key": request_bytes(),
        "two keys": request_bytes(key=alice, headers=[alice.bearer]),
    }
    endings = {"LF": lambda request: request.replace(b"\r\n", b"\n"),
               "LF in the headers, CRLF at their end": lambda request: request[:-4].replace(b"\r\n", b"\n") + b"\r\n\r\n",
               "CRLF in the headers, LF at their end": lambda request: request[:-2] + b"\n"}

    def ask(request):
        with nginx.connect() as client:
            client.send(request)
            r = client.response()
            same = [(name, value) for name, value in r.headers if name != "Date"]
            return r.status, same, r.body

    for name, request in requests.items():
        want = ask(request)
        for ending, change in endings.items():
            redis_proxy.forget()
            t.is_(ask(change(request)), want, f"{ending}: {name}")
            t.is_(redis_proxy.count("HMGET"), int("good" in name or "forged" in name or name[:4] in ("an u", "an e")),
                  f"{ending}: {name}: lookups")

    with nginx.connect() as client:        # both kinds in one connection
        client.send(endings["LF"](requests["no key"]) + requests["a good key"] + endings["LF"](requests["a good key"]))
        t.is_([client.response().status for _ in range(3)], [401, 200, 200], "one behind the other")
