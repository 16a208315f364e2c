#!/usr/bin/python3
# 500 servers with 2,000 protected locations: nginx starts quickly, our memory per location is small and constant, and each
# worker has one connection to Redis.
# Hazards: N27

import time

from lib.apikeytest import Test, memory_of, places, request_bytes, wait_for

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    server_names_hash_max_size    4096;
    server_names_hash_bucket_size 128;
    %OURS%
    %SERVERS%
}
"""
OURS = 'api_key_zone keys:1m; api_key_redis %REDIS% timeout=5s; api_key "all";'
# Each location has directives of its own, which is what costs memory.
LOCATIONS = """
location /a { api_key "server {n}, a"; api_key_require read write; empty_gif; }
location /b { api_key "server {n}, b"; api_key_source bearer header:X-Key; empty_gif; }
location /c { api_key off; empty_gif; }
location /  { empty_gif; }"""
BARE = "location /a { empty_gif; } location /b { empty_gif; } location /c { empty_gif; } location / { empty_gif; }"


def servers(count, locations):
    return "\n".join(f"server {{ listen 127.0.0.1:%PORT%; server_name s{n}; {locations.replace('{n}', str(n))} }}"
                     for n in range(count))


def memory(nginx):
    """What the master has for itself, in bytes."""
    return memory_of(nginx.process.pid, "Anonymous") * 1024


def links():
    return sum("cmd=client" not in line for line in redis("CLIENT", "LIST").splitlines())


def measured(count, ours=OURS, locations=LOCATIONS, module=True):
    nginx = t.nginx(CONF, module=module, ours=ours, servers=servers(count, locations), redis=redis)
    size = memory(nginx)
    nginx.stop()
    return size


with Test() as t:
    alice = t.key(user="alice", scopes="read write")
    redis = t.redis(keys=[alice])

    begun = time.monotonic()
    nginx = t.nginx(CONF, ours=OURS, servers=servers(500, LOCATIONS), redis=redis)
    with nginx.connect() as client:
        client.send(request_bytes(path="/a", key=alice, host="s499"))
        status = client.response().status
    took = time.monotonic() - begun
    t.is_(status, 200, "500 servers with 4 locations each serve")
    t.ok(took < (20.0 if places.SANITIZED else 2.0), "within 2 seconds of their start", f"{took:.2f} s")
    with nginx.connect() as client:
        for n, path, key, want in ((0, "/a", None, 401), (499, "/b", None, 401), (250, "/c", None, 200), (7, "/", None, 401),
                                   (123, "/b", alice, 200), (321, "/", alice, 200)):
            client.send(request_bytes(path=path, key=key, host=f"s{n}"))
            r = client.response()
            t.is_(r.status, want, f"server {n}, {path}")
            if want == 401:
                realm = "all" if path == "/" else f"server {n}, {path[1:]}"
                t.is_(r.header("WWW-Authenticate"), f'Bearer realm="{realm}"', "in its own realm")
    t.ok(wait_for(lambda: links() == 4), "two workers, a pair of connections to Redis each", redis("CLIENT", "LIST"))
    t.ok(nginx.reload(), "it reloads")
    t.ok(wait_for(lambda: links() == 4), "and has as many again", redis("CLIENT", "LIST"))
    nginx.stop()

    half, whole = measured(1000), measured(2000)
    bare_half, bare_whole = measured(1000, "", BARE, False), measured(2000, "", BARE, False)
    first = (half - bare_half) / 4000
    second = (whole - half - bare_whole + bare_half) / 4000
    t.note(f"{first:.0f} bytes per location for the first 4,000, {second:.0f} for the next")
    t.weigh(0 < first < 2048, "our memory per location", f"{first:.0f} bytes")
    t.weigh(0.5 * first < second < 1.5 * first, "is constant", f"{first:.0f}, then {second:.0f} bytes")
