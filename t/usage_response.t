#!/usr/bin/python3
# api_key_usage_response openai: model and tokens are read out of JSON and event streams as they pass, however they come; what is
# encoded, of another type or not 200 is left alone; and no byte of it changes.
# Hazards: D12

import gzip
import json
import re
import socketserver
import threading

from lib.apikeytest import Test, request_bytes, wait_for
from lib.apikeytest import usage
from lib.apikeytest.ports import free_port
from lib.apikeytest.upstream import read_request

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone  keys:64m;
    api_key_redis %REDIS%;
    api_key_usage_interval 100ms;
    proxy_cache_path %DIR%/cache keys_zone=pages:1m;
    types { application/json json; }
    upstream llm { server 127.0.0.1:%LLM%; }
    server {
        listen 127.0.0.1:%PORT%;
        api_key "test";
        api_key_usage_response openai;
        location /       { proxy_pass http://llm; }
        location /plain/ { proxy_set_header Accept-Encoding ""; proxy_pass http://llm; }
        location /gzip   { gzip on; gzip_types *; gzip_proxied any; proxy_pass http://llm/json; }
        location /disk   { proxy_buffers 2 4k; proxy_buffer_size 4k; proxy_busy_buffers_size 4k; limit_rate 4m; proxy_pass http://llm/large; }
        location /flow   { proxy_buffering off; proxy_pass http://llm/large; }
        location /slow   { proxy_buffering off; proxy_pass http://llm/halted; }
        location /file/  { sendfile on; alias %DIR%/; }
        location /cached { proxy_cache pages; proxy_cache_valid 1m; proxy_pass http://llm/json; }
        location /stated { api_key_usage_model $upstream_http_x_model; api_key_usage_tokens $upstream_http_x_in; proxy_pass http://llm/json; }
        location /silent { api_key_usage_model $upstream_http_x_none; api_key_usage_tokens $upstream_http_x_none; proxy_pass http://llm/json; }
        location /added  { addition_types *; add_before_body /json; proxy_buffering off; proxy_pass http://llm/halted; }
        location /off    { api_key_usage_response off; proxy_pass http://llm/json; }
        location = /metrics { api_key off; api_key_metrics; }
    }
}
"""
JSON, EVENTS = "application/json; charset=utf-8", "text/event-stream"
USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "prompt_tokens_details": {"cached_tokens": 4}}
WHOLE = json.dumps({"id": "1", "model": "gpt", "choices": [{"message": {"content": 'a "usage": {"prompt_tokens": 99}'}}], "usage": USAGE})
LARGE = json.dumps({"model": "gpt", "choices": ["x" * 1_000_000], "usage": USAGE})
CHUNK = 'data: {"model": "gpt", "choices": [{"delta": {"content": "hi"}}]%s}\n\n'
STREAM = CHUNK % "" + CHUNK % ', "usage": null' + CHUNK % f', "usage": {json.dumps(USAGE)}' + "data: [DONE]\n\n"
RESPONSES = ('event: response.completed\ndata: {"type": "response.completed", "response": {"model": "gpt", '
             '"usage": {"input_tokens": 10, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 5}}}\n\n')
# path: status, headers, body
ANSWERS = {
    "/json": (200, {"Content-Type": JSON, "X-Model": "stated", "X-In": "77"}, WHOLE.encode()),
    "/large": (200, {"Content-Type": JSON}, LARGE.encode()),
    "/halted": (200, {"Content-Type": JSON}, WHOLE.encode()),
    "/events": (200, {"Content-Type": EVENTS}, STREAM.encode()),
    "/responses": (200, {"Content-Type": EVENTS}, RESPONSES.encode()),
    "/unasked": (200, {"Content-Type": EVENTS}, (CHUNK % "" * 3 + "data: [DONE]\n\n").encode()),
    "/encoded": (200, {"Content-Type": JSON, "Content-Encoding": "gzip"}, gzip.compress(WHOLE.encode())),
    "/identity": (200, {"Content-Type": JSON, "Content-Encoding": "identity"}, WHOLE.encode()),
    "/text": (200, {"Content-Type": "text/plain"}, WHOLE.encode()),
    "/untyped": (200, {}, WHOLE.encode()),
    "/broken": (200, {"Content-Type": JSON}, WHOLE[:-40].encode()),
    "/nonsense": (200, {"Content-Type": JSON}, b"<html>" + WHOLE.encode()),
    "/nothing": (200, {"Content-Type": JSON}, b'{"object": "list", "data": []}'),
    "/201": (201, {"Content-Type": JSON}, WHOLE.encode()),
    "/429": (429, {"Content-Type": JSON}, WHOLE.encode()),
    "/nul": (200, {"Content-Type": JSON}, WHOLE.replace('"gpt"', r'"g\u0000t"').encode()),
    "/long": (200, {"Content-Type": JSON}, WHOLE.replace('"gpt"', '"%s"' % ("m" * 500)).encode()),
    "/0xff": (200, {"Content-Type": JSON}, WHOLE.encode().replace(b'"gpt"', b'"g\xfft"')),
}
NONE, GPT = ("", 0, 0, 0), ("gpt", 10, 5, 4)
MARK = "\N{REPLACEMENT CHARACTER}"
# path, status, model and tokens, what the metrics call it
TABLE = [
    ("/json", 200, GPT, "found"), ("/plain/json", 200, GPT, "found"), ("/gzip", 200, GPT, "found"), ("/disk", 200, GPT, "found"),
    ("/flow", 200, GPT, "found"), ("/file/whole.json", 200, GPT, "found"), ("/cached", 200, GPT, "found"), ("/events", 200, GPT, "found"),
    ("/responses", 200, GPT, "found"), ("/identity", 200, GPT, "found"), ("/long", 200, ("m" * 128, *GPT[1:]), "found"),
    ("/nul", 200, (f"g{MARK}t", *GPT[1:]), "found"), ("/0xff", 200, (f"g{MARK}t", *GPT[1:]), "found"),
    ("/stated", 200, ("stated", 77, 5, 4), "found"), ("/silent", 200, GPT, "found"),
    ("/unasked", 200, ("gpt", 0, 0, 0), "absent"), ("/nothing", 200, NONE, "absent"), ("/encoded", 200, NONE, "encoded"),
    ("/text", 200, NONE, "other_type"), ("/untyped", 200, NONE, "other_type"),
    ("/broken", 200, ("gpt", 0, 0, 0), "malformed"), ("/nonsense", 200, NONE, "malformed"),
    ("/201", 201, NONE, None), ("/429", 429, NONE, None), ("/off", 200, NONE, None),
]


class Llm(socketserver.StreamRequestHandler):
    """Answers by path, in small pieces."""
    disable_nagle_algorithm = True

    def handle(self):
        request = read_request(self.rfile)
        asked.append(request)
        status, headers, body = ANSWERS["/" + request["path"].split("/")[-1]]
        lines = [f"HTTP/1.0 {status} x", *(f"{name}: {value}" for name, value in headers.items())]
        self.wfile.write("\r\n".join(lines).encode() + b"\r\n\r\n")
        for first in range(0, len(body), piece := max(len(body) // 50, 7)):
            if first > len(body) // 2 and request["path"] == "/halted":
                left.wait(20)
            self.wfile.write(body[first:first + piece])


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True

    def handle_error(self, *_):
        """nginx may hang up."""


asked, left = [], threading.Event()


def results():
    return {name.split('"')[1]: int(value) for name, value in nginx.metrics().items() if name.startswith("usage_responses_total")}


def ask(path, status, result, key, headers=()):
    """One request with this key, and what the metrics call its answer."""
    before = results()
    r = nginx.get(path, key, headers)
    t.is_((r.status, r.whole), (status, True), f"{path}: {status}")
    body = WHOLE.encode() if path.startswith("/file") else ANSWERS["/" + asked[-1]["path"].split("/")[-1]][2]
    t.ok((gzip.decompress(r.body) if path == "/gzip" else r.body) == body, f"{path}: its bytes")
    after = results()
    t.is_({name: 1 for name in after if after[name] != before[name]}, {result: 1} if result else {}, f"{path}: {result}")


def of(key):
    """What is recorded of it: requests, and model and tokens of all."""
    found = usage.rows(redis, user=key.user)
    return sum(row.requests for row in found), *sorted({(row.model, row.tokens_in, row.tokens_out, row.tokens_cached) for row in found})


with Test() as t:
    keys = [t.key(user=f"user-{n}") for n in range(len(TABLE) + 5)]
    redis, port = t.redis(keys=keys), free_port()
    threading.Thread(target=Server(("127.0.0.1", port), Llm).serve_forever, daemon=True).start()
    nginx = t.nginx(CONF, redis=redis, llm=port)
    with open(f"{nginx.folder}/whole.json", "w", encoding="ascii") as file:
        file.write(WHOLE)

    for (path, status, _, result), key in zip(TABLE, keys):
        ask(path, status, result, key, {"Accept-Encoding": "gzip"} if path == "/gzip" else {})
    again, partial, leaving, other, inner = keys[len(TABLE):]
    ask("/cached", 200, "found", again)            # once more, out of nginx's cache
    t.is_([r["path"] for r in asked].count("/json"), 6, "nginx asked the upstream once for what it caches")

    # A client that takes gzip gets it from the upstream, unless nginx asks for none.
    for path, wanted in (("/json", ["gzip"]), ("/plain/json", [])):
        asked.clear()
        nginx.get(path, other, {"Accept-Encoding": "gzip"})
        t.is_([value for name, value in asked[0]["headers"] if name == "Accept-Encoding"], wanted, f"{path}: the upstream is asked for {wanted}")

    # Answers without a body, parts of one, and one whose client leaves in the middle.
    before = results()
    t.is_(nginx.get("/json", partial, method="HEAD").status, 200, "HEAD")
    t.is_(nginx.get("/file/whole.json", partial, {"Range": f"bytes=1-{len(WHOLE)}"}).status, 206, "a part of a file")
    t.is_(results(), before, "are not looked at")
    with nginx.connect() as client:
        client.send(request_bytes(path="/slow", key=leaving))
        received = b""
        while b'"gpt"' not in received:
            received += client.socket.recv(100)
    t.ok(wait_for(lambda: results()["malformed"] == before["malformed"] + 1), "a client that leaves: the rest was never seen")
    left.set()

    # A subrequest's answer comes in the middle of this one.
    left.clear()
    before = results()
    with nginx.connect() as client:
        client.send(request_bytes(path="/added", key=inner, headers=[("Connection", "close")]))
        received = b""
        while b"total_tokens" not in received:
            received += client.socket.recv(1000)
        left.set()
        received += client.rest()
    joined = re.sub(rb"\r\n[0-9a-f]+\r\n", b"", received)       # of the chunks, which end where they like
    t.is_(joined.count(b"total_tokens"), 2, "an answer with another one in front, of a subrequest")
    t.is_((results()["found"], results()["malformed"]), (before["found"] + 1, before["malformed"]), "which is not looked at")

    t.is_(usage.wait_counted(redis, len(TABLE) + 7), len(TABLE) + 7, "all are counted")
    for (path, _, expected, _), key in zip(TABLE, keys):
        t.is_(of(key), (1, expected), f"{path}: model and tokens")
    t.is_((of(again), of(partial), of(leaving), of(inner)), ((1, GPT), (2, NONE), (1, ("gpt", 0, 0, 0)), (1, GPT)), "and of the last ones")
