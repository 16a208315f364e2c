#!/usr/bin/python3
# What no header may hold, nginx refuses before us, and no line of it gets into the error log at the level that we ship.
# Hazards: P10

from lib.apikeytest import Test, wait_for

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
            api_key    "test";
            include    %API_KEY_PARAMS%;
            proxy_pass http://%UPSTREAM%;
        }
    }
}
"""

FORGED = "2030/01/01 00:00:00 [emerg] 1#1: forged line"

with Test() as t:
    alice = t.key(user="alice")
    key, (first, second) = alice.key, (alice.key[:9], alice.key[9:])
    redis_proxy, upstream = t.redis_proxy(t.redis(keys=[alice])), t.upstream()
    nginx = t.nginx(CONF, redis=redis_proxy, upstream=upstream)
    t.must(wait_for(lambda: all(f"start worker process {pid}\n" in nginx.log() for pid in nginx.workers())), "nginx says that its workers are there")
    log_before = nginx.log()

    for name, line in {
        "NUL in the token": f"Authorization: Bearer {first}\0{second}",
        "NUL behind the token": f"Authorization: Bearer {key}\0",
        "NUL in the name": f"Authorization\0: Bearer {key}",
        "a bare CR in the token": f"Authorization: Bearer {first}\r{second}",
        "a bare CR and a forged line": f"Authorization: Bearer {key}\r{FORGED}",
        "a fold before the token": f"Authorization: Bearer\r\n {key}",
        "a fold behind the token": f"Authorization: Bearer {key}\r\n ",
        "a fold with a tab": f"Authorization: Bearer\r\n\t{key}",
        "a space before the colon": f"Authorization : Bearer {key}",
        "a tab before the colon": f"Authorization\t: Bearer {key}",
        "a space before the name": f" Authorization: Bearer {key}",
    }.items():
        with nginx.connect() as client:
            client.send(f"GET / HTTP/1.1\r\nHost: localhost\r\n{line}\r\n\r\n")
            r = client.response()
            t.is_((r.status, r.code, client.rest()), (400, None, b""), f"HTTP/1.1: {name}: 400, and the connection ends")

    for name, field in {
        "LF in the token": ("authorization", f"Bearer {first}\n{second}"),
        "LF and a forged line": ("authorization", f"Bearer {key}\n{FORGED}\n"),
        "LF and a forged line in a name": (f"x\n{FORGED}\n", "1"),
        "CR in the token": ("authorization", f"Bearer {first}\r{second}"),
        "NUL in the token": ("authorization", f"Bearer {first}\0{second}"),
        "a space before the end of the name": ("authorization ", f"Bearer {key}"),
        "a capital letter in the name": ("Authorization", f"Bearer {key}"),
    }.items():
        with nginx.connect2(port=nginx.ports["PORT_H2"]) as client:
            stream = client.send(headers=[field])
            r = client.wait(stream)        # nginx 1.22 resets the stream, later ones answer 400
            t.ok(r.status == 400 and r.code is None if r else client.resets.get(stream) == 1,
                 f"HTTP/2: {name}: refused by nginx", f"{r} {client.resets}")

    t.is_(redis_proxy.count("HMGET"), 0, "no key was looked up")
    t.is_(upstream.requests, [], "the upstream saw none of it")
    t.is_(nginx.log(), log_before, "not one line was added to the error log")
    t.is_({request["key_status"] for request in nginx.wait_requests(18)}, {""}, "our handler ran for none of them")
