#!/usr/bin/python3
# The real openai client (npm) through nginx: it gets exactly what the API sent, plain and as a stream, and models and tokens are
# counted exactly, for the key that it used.
# Hazards: none of the list; DESIGN's api_key_usage_response

import json

from lib.apikeytest import Test, node, usage
from lib.apikeytest.openai_bodies import WORDS
from lib.apikeytest.openai_upstream import OpenAiUpstream, Tokens

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    api_key_usage_interval 100ms;
    server {
        listen 127.0.0.1:%PORT%;
        location /metrics { api_key_metrics; }
        location /v1/ {
            api_key                "test";
            api_key_usage_response openai;
            api_key_usage_endpoint $uri;
            include            %API_KEY_PARAMS%;
            proxy_http_version 1.1;
            proxy_set_header   Connection "";
            proxy_set_header   Accept-Encoding "";      # else the client asks for gzip, and gets it
            proxy_buffering    off;
            proxy_pass         http://%UPSTREAM%;
        }
        location /gzip/ {
            api_key "test";
            api_key_usage_response openai;
            proxy_http_version 1.1;
            proxy_pass http://%UPSTREAM%/;
        }
    }
}
"""

MESSAGES = [{"role": "user", "content": "Say \N{SNOWMAN}"}]
TOKENS = Tokens(1234, 567, 1024)


def chat(model, **more):
    return {"of": "chat.completions", "body": {"model": model, "messages": MESSAGES, **more}}


# what is asked, and the tokens that it is to be counted with
CALLS = [
    (chat("gpt-4o-mini"), TOKENS),
    (chat("gpt-4o-mini-stream", stream=True, stream_options={"include_usage": True}), TOKENS),
    (chat("gpt-4o-silent", stream=True), Tokens(0, 0)),
    (chat("modèle/\N{SNOWMAN}\t\"1\""), TOKENS),
    ({"of": "completions", "body": {"model": "davinci-002", "prompt": "Say"}}, TOKENS),
    ({"of": "completions", "body": {"model": "davinci-003", "prompt": "Say", "stream": True}}, TOKENS),
    ({"of": "embeddings", "body": {"model": "text-embedding-3-small", "input": "Say", "encoding_format": "float"}}, Tokens(1234, 0)),
    ({"of": "responses", "body": {"model": "gpt-5", "input": "Say"}}, TOKENS),
    ({"of": "responses", "body": {"model": "gpt-5-stream", "input": "Say", "stream": True}}, TOKENS),
]

with Test() as t:
    alice, stranger = t.key(user="alice"), t.key()
    redis, up = t.redis(keys=[alice]), OpenAiUpstream(t)
    nginx = t.nginx(CONF, redis=redis, upstream=up)

    def ask(calls, key=alice, path="/v1"):
        up.sent.clear()
        return node.run("openai_usage.mjs", {"baseURL": f"http://127.0.0.1:{nginx.port}{path}", "apiKey": key.key, "requests": calls})

    def check_result(name, found, sent):
        """The objects that the client made of it are those that were sent, with its own `output_text` beside them."""
        t.is_(found.get("body"), sent.decode(), f"{name}: the client got the very bytes")
        if "chunks" in found:
            events = [line[6:] for line in sent.decode().split("\n") if line.startswith("data: {")]
            t.is_(found["chunks"], [json.loads(event) for event in events], f"{name}: and read every event of them")
        else:
            got = found.get("result", found)
            text = got.pop("output_text", None)
            t.is_(got, json.loads(sent), f"{name}: and read all of it")
            t.ok(text in (None, "".join(WORDS)), f"{name}: and nothing else")

    total = 0
    for how in ({}, {"cuts": 7, "pause": 0.0005}):
        up.how, up.tokens = how, TOKENS
        results = ask([call for call, _ in CALLS])
        for (call, _), found, sent in zip(CALLS, results, up.sent):
            check_result(f"{call['body']['model']}{' in pieces' if how else ''}", found, sent)
        t.is_(len(up.sent), len(CALLS), "each was asked for once")
        total += len(CALLS)
        t.is_(usage.wait_counted(redis, total), total, "each counts once")

    for call, tokens in CALLS:
        rows = usage.rows(redis, model=call["body"]["model"])
        t.is_({(row.user, row.key_id, row.endpoint, row.status, row.cost) for row in rows},
              {("alice", alice.id, "/v1/" + call["of"].replace(".", "/"), "success", None)}, f"{call['body']['model']}: whose it is")
        t.is_([sum(column) for column in zip(*(row[6:10] for row in rows))], [2, 2 * tokens.prompt, 2 * tokens.completion, 2 * tokens.cached],
              f"{call['body']['model']}: two requests, with their tokens")

    # --- what names no tokens -----------------------------------------------------------------------------------
    up.how, up.tokens = {}, None
    for found, sent in zip(ask([call for call, _ in CALLS]), up.sent):
        t.is_(found.get("body"), sent.decode(), "usage null: passed on as it is")
    up.how, up.tokens = {"status": 429}, TOKENS
    t.is_(ask([chat("gpt-busy")])[0].get("error", {}).get("status"), 429, "an error of the API is an error of the client")
    up.how = {"most": 300}
    cut = ask([chat("gpt-cut-off", stream=True, stream_options={"include_usage": True}), chat("gpt-cut-off")])
    t.ok(all("error" in found for found in cut), "an answer that is cut off is an error of the client", repr(cut))
    up.how = {}
    refused = ask([chat("gpt-4o-mini")], key=stranger)[0].get("error", {})
    t.is_((refused.get("status"), refused.get("code")), (401, None), "another key is refused, and the client says so")
    total += len(CALLS) + 3
    t.is_(usage.wait_counted(redis, total), total, "each counts, but for who was refused")
    t.is_(sum(row.tokens_in for row in usage.rows(redis)), 2 * sum(tokens.prompt for _, tokens in CALLS), "and brings no tokens")
    t.is_(usage.by(redis, "model", status="error"), {"": 1}, "what is an error is not read")
    t.is_(usage.counted(redis, model="gpt-cut-off"), 2, "what was cut off had named its model")

    # --- encoded ------------------------------------------------------------------------------------------------
    up.how = {"gzip": True}
    found = ask([chat("gpt-zipped")], path="/gzip/v1")[0]
    t.is_(found.get("body"), up.sent[-1].decode(), "the client asks for gzip, and gets it")
    t.is_(usage.wait_counted(redis, total + 1), total + 1, "it counts")
    t.is_(usage.by(redis, "model", "tokens_in", endpoint="/gzip/"), {("", 0): 1}, "and what it says cannot be read")
    t.is_(nginx.metrics()['usage_responses_total{result="encoded"}'], 1, "which a metric tells")
