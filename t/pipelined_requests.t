#!/usr/bin/python3
# Fifty requests in one write, of alternating users, with Redis replies that take their time: in order, each its own user.
# Hazards: P22

import random

from lib.apikeytest import Test, delay, request_bytes

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=5s;
    server {
        listen 127.0.0.1:%PORT%;
        location / {
            api_key    "test";
            include    %API_KEY_PARAMS%;
            proxy_pass http://%UPSTREAM%;
        }
    }
}
"""

with Test() as t:
    seed = random.randrange(1 << 32)
    t.note(f"seed {seed}")
    rng = random.Random(seed)
    users = [t.key(user=f"user-{i}") for i in range(5)]
    strangers = [t.key() for _ in range(2)]
    redis_proxy, upstream = t.redis_proxy(t.redis(keys=users), seed=seed), t.upstream()
    nginx = t.nginx(CONF, redis=redis_proxy, upstream=upstream)
    redis_proxy.on("HMGET", delay(0, 0.01))

    def ask(name, keys, with_body):
        """Sends a request for each of the keys in one go and reads what comes."""
        texts, wants = [], []
        for i, key in enumerate(keys):
            body = request_bytes("GET", "/in-a-body", rng.choice(users)) if with_body else b""
            texts.append(request_bytes("POST" if body else "GET", f"/{i}", key, body=body))
            wants.append((200, f"/{i}", [key.user]) if key in users else
                         (401, "invalid_api_key" if key else "missing_api_key", None))
        with nginx.connect() as client:
            client.send(b"".join(texts))
            answers = [client.response() for _ in keys]
            got = [(r.status, r.json["path"], r.saw("X-User-Id")) if r.status == 200 else (r.status, r.code, None)
                   for r in answers]
            t.is_(got, wants, name)
            t.ok(client.is_quiet(0.02), f"{name}: and nothing else")

    ask("two users in turn", [users[i % 2] for i in range(50)], False)
    ask("any users, unknown keys, no keys", rng.choices([*users, *strangers, None], k=50), False)
    ask("the same with bodies", rng.choices([*users, *strangers, None], k=50), True)
    t.logged_once(nginx, 150)
    t.ok(all("/in-a-body" != x["path"] for x in upstream.requests), "no body was taken for a request")
