#!/usr/bin/python3
# A response is read wherever the API's writes cut it: at every place of a JSON body and of a stream, and byte by byte, with
# nginx's buffers and without. The client gets it unchanged each time.
# Hazards: none of the list; DESIGN's api_key_usage_response

from lib.apikeytest import Test, usage
from lib.apikeytest.openai_upstream import OpenAiUpstream

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    api_key_usage_interval 100ms;
    api_key_usage_response openai;
    proxy_http_version 1.1;
    server {
        listen 127.0.0.1:%PORT%;
        keepalive_requests 10000;
        location /metrics     { api_key_metrics; }
        location /buffered/   { api_key "test"; proxy_buffering on;  proxy_pass http://%UPSTREAM%/; }
        location /unbuffered/ { api_key "test"; proxy_buffering off; proxy_pass http://%UPSTREAM%/; }
    }
}
"""

JSON = ('{"usage":{"prompt_tokens":19,"x":[1,"}\\""],"completion_tokens":10,"prompt_tokens_details":{"cached_tokens":5}}'
        ',"model":"gpt-\\u20ac\N{SNOWMAN}"}').encode()
STREAM = ('\ufeff: hello\r\n\r\nevent: a\r\ndata: {"model":"gpt-\\u20ac\N{SNOWMAN}","usage":null}\r\n\r\ndata: {"usage":\n'
          'data: {"prompt_tokens":19,"completion_tokens":10,\r\ndata:"prompt_tokens_details":{"cached_tokens":5}}}\n\n'
          'data: [DONE]\n\n').encode()
BODIES = [("json", JSON, {"type": "application/json"}), ("stream", STREAM, {"type": "text/event-stream", "framing": "chunked"})]

with Test() as t:
    alice = t.key(user="alice")
    redis, up = t.redis(keys=[alice]), OpenAiUpstream(t)
    nginx = t.nginx(CONF, redis=redis, upstream=up)
    connection = nginx.connect()

    def spoilt(path, body, cuts, pause):
        """Asks once for each of these cuts; those with which another body came than was sent."""
        found = []
        for cut in cuts:
            up.how = {"cuts": cut, "pause": pause}
            if connection.request("GET", path, alice).body != body:
                found.append(cut)
        return found

    total = 0
    for name, body, fields in BODIES:
        up.put(f"/{name}", body, **fields)
        for where in ("/buffered/", "/unbuffered/"):
            places = [(place,) for place in range(1, len(body))]
            t.is_(spoilt(where + name, body, places, 0.001), [], f"{where}{name}: unchanged, cut at any of {len(places)} places")
            t.is_(spoilt(where + name, body, [1], 0.001), [], f"{where}{name}: unchanged, byte by byte")
            t.is_(spoilt(where + name, body, [2, 3, 5, 7], 0), [], f"{where}{name}: unchanged, in small pieces")
            total += len(places) + 5
    t.is_(usage.wait_counted(redis, total), total, "each counts")
    t.is_(set(usage.by(redis, "model", "status")), {("gpt-\N{EURO SIGN}\N{SNOWMAN}", "success")}, "with its model")
    t.is_([sum(column) for column in zip(*(row[7:10] for row in usage.rows(redis)))], [19 * total, 10 * total, 5 * total], "and its tokens")
    t.is_(nginx.metrics()['usage_responses_total{result="found"}'], total, "as the metric says")
