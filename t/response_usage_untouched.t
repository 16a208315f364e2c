#!/usr/bin/python3
# Reading a response changes nothing of it and delays nothing: with the directive and without, clients get the same bytes, from
# buffers, temporary files, sendfile, gzip, a cache, over HTTP/2; and each event of a stream reaches the client before the API
# makes the next one.
# Hazards: none of the list; DESIGN's api_key_usage_response

import hashlib
import random
import threading
import time

from lib.apikeytest import Test, request_bytes, usage
from lib.apikeytest.openai_bodies import as_events, as_json, chat_chunks, chat_usage
from lib.apikeytest.openai_upstream import OpenAiUpstream, Tokens

TOKENS = Tokens(19, 10, 5)
CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    types { application/json json; }
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    api_key_usage_interval 100ms;
    proxy_http_version 1.1;
    proxy_set_header   Connection "";
    proxy_cache_path %DIR%/cache keys_zone=pages:1m;
    sendfile on;
    server {
        listen 127.0.0.1:%PORT%;
        listen 127.0.0.1:%PORT_2% http2;
        api_key "test";
        location /plain/ { %PLAIN% }
        location /read/  { api_key_usage_response openai; %READ% }
    }
}
"""
LOCATIONS = {
    "buffered/": "proxy_pass http://%UPSTREAM%/;",
    "unbuffered/": "proxy_buffering off; proxy_pass http://%UPSTREAM%/;",
    "gzip/": "gzip on; gzip_min_length 1; gzip_types *; gzip_proxied any; proxy_pass http://%UPSTREAM%/;",
    "small/": "proxy_buffer_size 4k; proxy_buffers 4 4k; proxy_busy_buffers_size 8k; proxy_pass http://%UPSTREAM%/;",
    "cached/": "proxy_cache pages; proxy_cache_valid 200 1h; proxy_cache_key $request_uri; proxy_pass http://%UPSTREAM%/;",
    "file/": "alias %DIR%/; output_buffers 1 4k;",
}
PROXIED = ["json", "chunked", "close", "stream", "error", "created", "empty", "large"]
QUESTIONS = [{}, {"method": "HEAD"}, {"headers": {"accept-encoding": "gzip"}}, {"headers": {"range": "bytes=5-50"}},
             {"headers": {"range": "bytes=5-50,60-70"}}, {"headers": {"range": "bytes=0-"}}]


def locations(prefix):
    return "\n".join(f"location {prefix}{name} {{ {text} }}" for name, text in LOCATIONS.items())


def large(size):
    """A JSON body of about so many bytes, whose usage comes last."""
    text = "".join(random.Random(1).choices("abcdefghij \"\\\n\N{SNOWMAN}", k=size))
    return as_json({"choices": [{"text": text}], "model": "large", "usage": chat_usage(TOKENS)})


def digest(response):
    """All that came but for the date, in short. What separates several ranges is another one each time."""
    if response.header("Content-Type").startswith("multipart/byteranges; boundary="):
        separator = response.header("Content-Type").partition("=")[2]
        response.body = response.body.replace(separator.encode(), b"")
        response.headers = [(name, value.replace(separator, "")) for name, value in response.headers]
    headers = [(name, value) for name, value in response.headers if name.lower() != "date"]
    return response.status, headers, response.whole, len(response.body), hashlib.sha256(response.body).hexdigest()


def differs(path, question, ask):
    """What came with the directive and without, where that is not the same."""
    plain, read = (digest(ask(path=f"/{kind}/{path}", key=alice, **question)) for kind in ("plain", "read"))
    return [] if plain == read else [question, plain, read]


def late_reader(path):
    """Reads nothing of the answer for a while, so that nginx has to put it aside."""
    with nginx.connect() as client:
        client.send(request_bytes("GET", path, alice))
        time.sleep(0.5)
        return digest(client.response())


def events_in_time(path, count):
    """Of a stream, whose events are each sent when the one before has reached the client, how many did."""
    gate = threading.Semaphore(0)
    up.put("/gated", b"".join(b'data: {"n":%03d}\n\n' % number for number in range(count)), type="text/event-stream",
           framing="chunked", gate=gate, cuts=len(b'data: {"n":000}\n\n'))
    have = b""
    with nginx.connect() as client:
        client.send(request_bytes("GET", path, alice))
        for number in range(count):
            try:
                while b'{"n":%03d}\n\n' % number not in have:
                    have += client.socket.recv(65536)
            except TimeoutError:
                return number              # it waits for the next one
            gate.release()
    return count


with Test() as t:
    alice = t.key(user="alice")
    redis, up = t.redis(keys=[alice]), OpenAiUpstream(t)
    nginx = t.nginx(CONF, redis=redis, upstream=up, plain=locations("/plain/"), read=locations("/read/"), log_level="warn")
    body, big = large(2000), large(10_000_000)
    for name, text in (("json", body), ("large", large(500_000))):
        with open(f"{nginx.folder}/{name}.json", "wb") as file:
            file.write(text)
    up.put("/json", body, headers=(("X-Api", "1"), ("Accept-Ranges", "bytes")))
    up.put("/chunked", body, framing="chunked", cuts=100)
    up.put("/close", body, framing="close")
    up.put("/stream", as_events(chat_chunks({"model": "m", "stream_options": {"include_usage": True}}, TOKENS)), type="text/event-stream",
           framing="chunked", cuts=50)
    up.put("/error", body, status=500)
    up.put("/created", body, status=201)
    up.put("/empty", b"")
    up.put("/large", large(500_000), cuts=10_000)
    up.put("/big", big, cuts=65536)

    asked = 0
    for where in LOCATIONS:
        for path in ["json.json", "large.json", "none.json"] if where == "file/" else PROXIED:
            found = [differs(where + path, question, nginx.get) for question in QUESTIONS]
            t.is_([each for each in found if each], [], f"{where}{path}: the same with the directive and without")
            asked += 2 * len(QUESTIONS)
    with nginx.connect2(port=nginx.ports["PORT_2"]) as http2:
        for path in [where + path for where in ("buffered/", "unbuffered/", "gzip/", "cached/") for path in PROXIED] + ["file/large.json"]:
            t.is_(differs(path, {}, http2.request), [], f"{path}: over HTTP/2, too")
            asked += 2

    for kind in ("plain", "read"):
        t.is_(late_reader(f"/{kind}/small/big")[3:], (len(big), hashlib.sha256(big).hexdigest()), f"{kind}: 10 MB for who reads late")
        t.like(nginx.log(), f"buffered to a temporary file .*GET /{kind}/small/big", f"{kind}: through a temporary file")
    for kind in ("plain", "read"):
        t.is_(events_in_time(f"/{kind}/unbuffered/gated", 100), 100, f"{kind}: each event comes before the next is made")
    asked += 4

    t.is_(usage.wait_counted(redis, asked), asked, "each counts")
    t.is_({row.tokens_in for where in LOCATIONS for row in usage.rows(redis, endpoint=f"/plain/{where}")}, {0}, "without the directive: no tokens")
    t.ok(all(any(row.tokens_in for row in usage.rows(redis, endpoint=f"/read/{where}")) for where in LOCATIONS), "with it they were read")
