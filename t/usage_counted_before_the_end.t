#!/usr/bin/python3
# Whoever has a whole answer is counted: the worker is killed -9 the moment its client has the last byte, 100 times, and another one
# finds the request in the shared memory.
# Hazards: U1, N23

import os

from lib.apikeytest import Test, request_bytes
from lib.apikeytest import usage

# The worker yields the processor to the client as soon as bytes come, before it has done anything else.
CONF = """
%GLOBALS%
worker_processes    1;
worker_cpu_affinity %CPU%;
worker_priority     19;
events { }
http {
    %HTTP%
    api_key_zone  keys:32m;
    api_key_redis %REDIS% timeout=5s;
    api_key_usage_interval 1m;                     # what is counted stays in the slot
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    add_header X-Pid $pid always;
    upstream backend { server 127.0.0.1:%PORT_U%; keepalive 4; }
    server {
        listen 127.0.0.1:%PORT%;
        api_key "test";
        location /file       { alias %DIR%/page; }
        location /sendfile   { sendfile on; alias %DIR%/page; }
        location /small      { empty_gif; }
        location /head       { alias %DIR%/page; }
        location /range      { alias %DIR%/page; }
        location /buffered   { proxy_pass http://backend/page; }
        location /unbuffered { proxy_buffering off; proxy_pass http://backend/page; }
        location /chunked    { proxy_buffering off; gunzip on; proxy_set_header Accept-Encoding gzip; proxy_pass http://backend/zipped; }
        location /zipped     { gzip on; gzip_types *; proxy_pass http://backend/page; }
        location /empty      { proxy_buffering off; proxy_pass http://backend/empty; }
        location /header     { add_header X-Long %LONG%; proxy_pass http://backend/empty; }
        location /204        { proxy_pass http://backend/204; }
        location /missing    { }
    }
    server {
        listen 127.0.0.1:%PORT_U%;
        access_log off;
        root %DIR%;
        gzip_proxied any;
        location = /zipped { gzip on; gzip_types *; alias %DIR%/page; }
        location = /empty  { return 200; }
        location = /204    { return 204; }
    }
}
"""
ROUNDS = 100
KINDS = ["buffered", "unbuffered", "empty", "header", "sendfile", "file", "small", "head", "range", "chunked", "zipped", "204", "missing"]
PAGE = b"0123456789abcdef" * 6250                  # 100 kB


def ask_and_kill(kind):
    """Reads one whole answer, kills who gave it, and gives the answer's status."""
    headers = {"range": [("Range", "bytes=5-60000")], "zipped": [("Accept-Encoding", "gzip")]}.get(kind, [])
    with nginx.connect() as client:
        client.send(request_bytes("HEAD" if kind == "head" else "GET", f"/{kind}", alice, headers))
        data, socket = b"", client.socket
        while b"\r\n\r\n" not in data:
            data += socket.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
        pid = int(fields[b"X-Pid"])
        nginx.signalled.add(pid)
        if b"Content-Length" in fields and kind != "head":
            left = int(fields[b"Content-Length"]) - len(body)
            while left > 0:
                left -= len(socket.recv(65536))
        elif kind in ("chunked", "zipped"):
            while not body.endswith(b"\r\n0\r\n\r\n"):
                body += socket.recv(65536)
        os.kill(pid, 9)
    return int(head.split(b" ")[1])


with Test() as t:
    alice = t.key(user="alice")
    redis = t.redis(keys=[alice])
    cpu = min(os.sched_getaffinity(0))
    nginx = t.nginx(CONF, start=False, redis=redis, cpu=bin(1 << cpu)[2:],
                    long="x" * 3000)   # nginx sends such a header before it knows that nothing follows
    with open(f"{nginx.folder}/page", "wb") as file:
        file.write(PAGE)
    nginx.start()
    t.ok(nginx.get("/small", alice).status == 200, "it serves")
    os.sched_setaffinity(0, {cpu})
    expected = {"/small": 1}
    for n in range(ROUNDS):
        kind = KINDS[n % len(KINDS)]
        status = ask_and_kill(kind)
        wanted = {"range": 206, "204": 204, "missing": 404}.get(kind, 200)
        if status != wanted:
            t.is_(status, wanted, f"round {n}: {kind}")
        expected[f"/{kind}"] = expected.get(f"/{kind}", 0) + 1
    t.is_(sum(expected.values()), ROUNDS + 1, f"{ROUNDS} workers were killed when their client had its answer")
    os.sched_setaffinity(0, range(os.cpu_count()))
    t.ok(nginx.get("/small", alice).status == 200, "another one serves")
    expected["/small"] += 1
    t.is_(usage.counted(redis), 0, "nothing is shipped yet")
    t.ok(nginx.quit(timeout=10), "it stops, and ships what it has found")
    found = usage.by(redis, "endpoint")
    for endpoint in sorted(set(expected) | set(found)):
        t.must(found.get(endpoint) == expected.get(endpoint), f"each request is counted once: {endpoint}", found.get(endpoint), expected.get(endpoint))
