#!/usr/bin/python3
# What is counted of a response that says what it cost: by its type, encoding, status, by what it says and how far it came; and
# what nginx.conf's variables say wins over it. The metric tells what was found.
# Hazards: none of the list; DESIGN's api_key_usage_response, api_key_usage_model and api_key_usage_tokens

import gzip
import json
import time

from lib.apikeytest import Test, request_bytes, usage, wait_for
from lib.apikeytest.openai_bodies import as_events, as_json, chat_chunks, chat_usage, error
from lib.apikeytest.openai_upstream import OpenAiUpstream, Tokens

TOKENS = Tokens(19, 10, 5)
CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    types { application/json json; }
    api_key_zone  keys:32m;              # room for all these labels
    api_key_redis %REDIS%;
    api_key_usage_interval 100ms;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_cache_path %DIR%/cache keys_zone=pages:1m;
    sendfile on;
    server {
        listen 127.0.0.1:%PORT%;
        listen 127.0.0.1:%PORT_2% http2;
        api_key                "test";
        api_key_usage_response openai;
        api_key_usage_endpoint $uri;
        location = /metrics { api_key off; api_key_metrics; }
        location /          { proxy_pass http://%UPSTREAM%; }
        location /at_once/  { proxy_buffering off; proxy_pass http://%UPSTREAM%/; }
        location /gzip/     { gzip on; gzip_min_length 1; gzip_types *; gzip_proxied any; proxy_pass http://%UPSTREAM%/; }
        location /small/    { proxy_buffer_size 4k; proxy_buffers 4 4k; proxy_busy_buffers_size 8k; proxy_pass http://%UPSTREAM%/; }
        location /cached/   { proxy_cache pages; proxy_cache_valid 200 1h; proxy_pass http://%UPSTREAM%/; }
        location /file/     { alias %DIR%/; output_buffers 1 4k; }
        location /off/      { api_key_usage_response off; proxy_pass http://%UPSTREAM%/; }
        location /unused/   { api_key_usage off; proxy_pass http://%UPSTREAM%/; }
        location /values/   { api_key_usage_model $upstream_http_x_model; api_key_usage_tokens $upstream_http_x_in $upstream_http_x_out;
                              proxy_pass http://%UPSTREAM%/; }
        location /one/      { api_key_usage_model fixed; api_key_usage_tokens $upstream_http_x_in; proxy_pass http://%UPSTREAM%/; }
    }
}
"""


def body(model="m", **more):
    return as_json({"choices": [], "model": model, "usage": chat_usage(TOKENS), **more})


def of_stream(*events):
    return as_events({"model": "m", "usage": event} for event in events)


WHOLE, SSE, ZERO = body(), {"type": "text/event-stream", "framing": "chunked"}, Tokens(0, 0)
CHUNKS = as_events(chat_chunks({"model": "m", "stream_options": {"include_usage": True}}, TOKENS))
NAMED = (("X-Model", "named"), ("X-In", "7"), ("X-Out", "0"))
# path, body, how it comes; the model, the tokens and the result that are counted ("": it is not looked at)
TABLE = [
    ("json", WHOLE, {}, "m", TOKENS, "found"),
    ("charset", WHOLE, {"type": "Application/JSON ; charset=utf-8"}, "m", TOKENS, "found"),
    ("identity", WHOLE, {"headers": (("Content-Encoding", "identity"),)}, "m", TOKENS, "found"),
    ("stream", CHUNKS, SSE, "m", TOKENS, "found"),
    ("last_wins", of_stream(chat_usage(Tokens(1, 2, 1)), chat_usage(TOKENS), None), SSE, "m", TOKENS, "found"),
    ("null", body(usage=None), {}, "m", ZERO, "absent"),
    ("no_usage", of_stream(None, None), SSE, "m", ZERO, "absent"),
    ("array", as_json([1, 2]), {}, "", ZERO, "malformed"),
    ("text", b"model: m", {}, "", ZERO, "malformed"),
    ("empty", b"", {}, "", ZERO, ""),
    ("negative", WHOLE.replace(b": 19,", b": -19,"), {}, "m", ZERO, "malformed"),
    ("fraction", WHOLE.replace(b": 19,", b": 19.5,"), {}, "m", ZERO, "malformed"),
    ("cut_json", WHOLE, {"most": len(WHOLE) - 2}, "m", ZERO, "malformed"),
    ("cut_before", CHUNKS, SSE | {"most": CHUNKS.index(b'"prompt_tokens"')}, "m", ZERO, "malformed"),
    ("cut_between", CHUNKS, SSE | {"most": CHUNKS.index(b"\n\n") + 2}, "m", ZERO, "absent"),
    ("cut_behind", CHUNKS, SSE | {"most": CHUNKS.index(b"data: [DONE]")}, "m", TOKENS, "found"),
    ("closed", WHOLE[:-2], {"framing": "close"}, "m", ZERO, "malformed"),
    ("encoded", gzip.compress(WHOLE), {"headers": (("Content-Encoding", "gzip"),)}, "", ZERO, "encoded"),
    ("html", WHOLE, {"type": "text/html"}, "", ZERO, "other_type"),
    ("problem", WHOLE, {"type": "application/problem+json"}, "", ZERO, "other_type"),
    ("created", WHOLE, {"status": 201}, "", ZERO, ""),
    ("partial", WHOLE, {"status": 206}, "", ZERO, ""),
    ("failed", as_json(error(500) | json.loads(WHOLE)), {"status": 500}, "", ZERO, ""),
    ("values/none", WHOLE, {}, "m", TOKENS, "found"),
    ("values/all", WHOLE, {"headers": NAMED}, "named", Tokens(7, 0, 5), "found"),
    ("values/model", WHOLE, {"headers": NAMED[:1]}, "named", TOKENS, "found"),
    ("values/in", WHOLE, {"headers": NAMED[1:2]}, "m", Tokens(7, 10, 5), "found"),
    ("values/bad", WHOLE, {"headers": (("X-In", "-1"), ("X-Out", "1e9"))}, "m", TOKENS, "found"),
    ("values/html", WHOLE, {"type": "text/html", "headers": NAMED}, "named", Tokens(7, 0), "other_type"),
    ("values/encoded", WHOLE, {"headers": (("Content-Encoding", "br"), *NAMED)}, "named", Tokens(7, 0), "encoded"),
    ("one/in", WHOLE, {"headers": NAMED[1:2]}, "fixed", Tokens(7, 10, 5), "found"),
    ("off/json", WHOLE, {}, "", ZERO, ""),
    ("gzip/stream", CHUNKS, SSE | {"cuts": 20, "pause": 0.001}, "m", TOKENS, "found"),
    ("small/big", body(model="big", choices=["\N{SNOWMAN}\"" * 2_500_000]), {"cuts": 65536}, "big", TOKENS, "found"),
]


def ask(path, method="GET", headers=()):
    with nginx.connect() as client:
        try:
            return client.request(method, path, alice, headers)
        except ConnectionError:            # cut off
            return None


def leave(path):
    """A client that has had enough after the first event."""
    with nginx.connect() as client:
        client.send(request_bytes("GET", path, alice))
        have = b""
        while b"\n\n" not in have.partition(b"\r\n\r\n")[2]:
            have += client.socket.recv(65536)


def ask_http2(path):
    with nginx.connect2(port=nginx.ports["PORT_2"]) as client:
        client.request("GET", path, alice)


def ask_late(path):
    with nginx.connect() as client:
        client.send(request_bytes("GET", path, alice))
        time.sleep(0.5)
        client.response()


def results():
    return {name.split('"')[1]: int(value) for name, value in nginx.metrics().items() if name.startswith("usage_responses_total")}


def change(before):
    """What the metric counted since then."""
    return {kind: count - before[kind] for kind, count in results().items() if count != before[kind]}


with Test() as t:
    alice = t.key(user="alice")
    redis, up = t.redis(keys=[alice]), OpenAiUpstream(t)
    nginx = t.nginx(CONF, redis=redis, upstream=up)
    with open(f"{nginx.folder}/usage.json", "wb") as file:
        file.write(WHOLE)
    expected = {}                          # by path: requests, model, tokens of all

    def check(name, path, request, model, tokens, result, times=1):
        """`request(path)` is counted like this, so many times with others that went before."""
        before, wanted = results(), {result: 1} if result else {}
        request(path)
        wait_for(lambda: change(before) == wanted, 5)
        t.is_(change(before), wanted, f"{name}: {result or 'not looked at'}")
        expected[path] = (name, times, model, [times * each for each in tokens])

    for name, text, how, model, tokens, result in TABLE:
        prefix, _, last = name.rpartition("/")
        up.put(f"/{last}", text, **how)
        check(name, f"/{name}", ask_late if last == "big" else ask, model, tokens, result)

    up.put("/slow", CHUNKS, **SSE, cuts=(CHUNKS.index(b"\n\n") + 2,), pause=2.0)
    check("who leaves early", "/at_once/slow", leave, "m", ZERO, "absent")
    up.put("/head", WHOLE)
    check("HEAD", "/head", lambda path: ask(path, "HEAD"), "", ZERO, "")
    up.put("/http2", CHUNKS, **SSE, cuts=7, pause=0.001)
    check("HTTP/2", "/http2", ask_http2, "m", TOKENS, "found")
    check("a file", "/file/usage.json", ask, "m", TOKENS, "found")
    up.put("/kept", WHOLE)
    asked = len(up.requests)
    for times in (1, 2):
        check(f"a page of the cache, asked for {times}", "/cached/kept", ask, "m", TOKENS, "found", times)
    t.is_(len(up.requests), asked + 1, "the API made it once")
    # A part that nginx cut out is another body: nothing is guessed from it.
    up.put("/cut_out", WHOLE, headers=(("Accept-Ranges", "bytes"),))
    check("a part of it", "/cached/cut_out", lambda path: ask(path, headers={"Range": "bytes=0-20"}), "", ZERO, "")

    before = results()
    for kind in ("json", "html"):
        t.is_(nginx.get(f"/unused/{kind}", alice).status, 200, f"{kind}, without usage")
    total = sum(times for _, times, _, _ in expected.values())
    t.is_(usage.wait_counted(redis, total), total, "each counts once, and these two do not")
    t.is_(change(before), {}, "and are not looked at")
    for path, wanted in expected.items():
        rows = usage.rows(redis, endpoint=path)
        t.is_((wanted[0], sum(row.requests for row in rows), "|".join({row.model for row in rows}),
               [sum(column) for column in zip(*(row[7:10] for row in rows))]), wanted, f"{wanted[0]}: counted with its model and tokens")
    t.is_(nginx.metrics()["usage_bad_values_total"], 2, "values that are no numbers are told")
