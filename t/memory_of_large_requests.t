#!/usr/bin/python3
# Requests of 10 KiB that wait for Redis take memory in proportion, far below a hundred times what the client sent; it is there
# again when they are gone.
# Hazards: X5

from lib.apikeytest import Test, memory_of, request_bytes, wait_for

CONF = """
%GLOBALS%
worker_processes 1;
events { worker_connections 2048; }
http {
    %HTTP%
    large_client_header_buffers 8 16k;
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=60s;
    server {
        listen 127.0.0.1:%PORT%;
        location /     { api_key "test"; api_key_source bearer header:X-Key cookie:key; empty_gif; }
        location /open { empty_gif; }
    }
}
"""
REQUESTS, SIZE = 500, 10240
# Where the bulk is: in one header, in many, in a cookie beside the key, in the URI.
SHAPES = {
    "one header": lambda key: ("/", [key.bearer, ("X-Long", "x" * SIZE)]),
    "many headers": lambda key: ("/", [key.bearer] + [(f"X-{n}", "x" * 60) for n in range(SIZE // 68)]),
    "a cookie": lambda key: ("/", [("Cookie", "a=" + "x" * (SIZE - 60) + f"; key={key.key}")]),
    "the URI": lambda key: ("/?" + "x" * SIZE, [key.bearer]),
}


def memory():
    """What the worker has for itself, in bytes."""
    return memory_of(nginx.workers()[0], "Anonymous") * 1024


with Test() as t:
    strangers = [t.key() for _ in range(REQUESTS)]
    redis = t.redis(keys=[t.key()])
    nginx = t.nginx(CONF, redis=redis)
    t.ok(wait_for(lambda: nginx.get("/", strangers[0]).status == 401), "Redis is in use")
    before, grown = memory(), []
    for name, shape in SHAPES.items():
        redis.process.pause()
        sent = 0
        clients = [nginx.connect(timeout=60) for _ in strangers]
        for client, key in zip(clients, strangers):
            path, headers = shape(key)
            data = request_bytes(path=path, headers=headers)
            client.send(data)
            sent += len(data)
        t.is_(nginx.get("/open").status, 200, f"{name}: nginx has read them, and serves others")
        grown.append(memory())
        ratio = (grown[-1] - before) / sent
        redis.process.resume()
        t.is_({client.response().status for client in clients}, {401}, f"{name}: in the end each is answered")
        for client in clients:
            client.close()
        t.weigh(ratio < 100, f"{name}: memory for it", f"{ratio:.1f} times what was sent")
        t.note(f"{name}: {ratio:.1f} times what was sent, of {sent // REQUESTS} bytes each")
    t.weigh(grown[-1] < 1.5 * grown[0], "the memory is used again", grown)
