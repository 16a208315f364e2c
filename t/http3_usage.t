#!/usr/bin/python3
# Usage over HTTP/3: each stream counts once, for its own key, with what was sent by the time it ended; what is given up before its key
# is verified counts nothing; answers that name their tokens are read.
# Hazards: U2, P23, P24, N22

from lib.apikeytest import Gate, Test, need_http3, usage, wait_for
from lib.apikeytest.tls import certificate
from lib.apikeytest.unfinished import UnfinishedUpstream

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone  keys:32m;
    api_key_redis %REDIS%;
    api_key_usage_interval 100ms;
    proxy_http_version 1.1;
    proxy_buffering off;
    upstream streams { server 127.0.0.1:%STREAMS%; }
    server {
        listen 127.0.0.1:%PORT%;
        listen 127.0.0.1:%PORT_H3% quic;
        %CERTIFICATE%
        api_key "test";
        location /file/     { alias %DIR%/; }
        location /silent    { proxy_pass http://streams; }
        location /hushed    { proxy_pass http://streams/silent; }
        location /broken    { proxy_pass http://streams; }
        location /stopped   { proxy_pass http://streams/events; }
        location /closed    { proxy_pass http://streams/events; }
        location /gone      { keepalive_timeout 1s; proxy_pass http://streams/events; }
        location /events    { proxy_pass http://streams; }
        location /parked    { proxy_pass http://streams; }
        location /tokens    { api_key_usage_response openai; proxy_pass http://127.0.0.1:%PORT_U%; }
        location /ten       { proxy_pass http://127.0.0.1:%PORT_U%; }
    }
    server {
        listen 127.0.0.1:%PORT_U%;
        access_log off;
        default_type application/json;
        location / { return 200 '{"model":"gpt","usage":{"prompt_tokens":3,"completion_tokens":4}}'; }
    }
}
"""

upstream, expected = UnfinishedUpstream(), {}


def expect(endpoint, status, requests=1):
    expected[endpoint, status] = expected.get((endpoint, status), 0) + requests


def first_event(client, path):
    """A request of which the first event has come."""
    stream = client.send(path=path, key=alice)
    client.wait_until(lambda: (r := client.begun(stream)) and b"data: 1" in r.body)
    return stream


need_http3()

with Test() as t:
    alice, users = t.key(user="alice"), [t.key(user=f"user-{i}") for i in range(20)]
    redis = t.redis(keys=[alice, *users])
    proxy = t.redis_proxy(redis)
    nginx = t.nginx(CONF, redis=proxy, streams=upstream.port, certificate=certificate(t.folder))
    client = nginx.connect3()

    t.is_([r.status for r in client.wait(*[client.send(path="/ten", key=key) for key in users * 3])], [200] * 60, "whole answers")
    expect("/ten", "success", 60)
    t.is_(client.request(path="/tokens", key=alice).status, 200, "an answer that names its tokens")
    expect("/tokens", "success")
    t.is_(client.request(path="/file/none", key=alice).status, 404, "an error")
    expect("/file/", "error")
    t.is_([client.request(path="/ten", key=key).status for key in (None, "a b", t.key())], [401] * 3, "refusals: nobody's usage")

    silent = client.send(path="/silent", key=alice)
    wait_for(lambda: "/silent" in upstream.asked)
    client.reset(silent)
    expect("/silent", "error")                     # 499
    with nginx.connect3() as other:
        other.send(path="/hushed", key=alice)
        wait_for(lambda: upstream.asked.count("/silent") == 2)
    expect("/hushed", "error")                     # no status at all: what nginx logs where the connection ends
    client.request(path="/broken", key=alice)
    expect("/broken", "success")                   # 200 was sent
    client.reset(first_event(client, "/stopped"))
    expect("/stopped", "success")
    with nginx.connect3() as other:
        first_event(other, "/closed")
    expect("/closed", "success")
    logged = {x["uri"]: x["status"] for x in nginx.wait_requests(70)}
    t.is_([logged.get(uri) for uri in ("/silent", "/hushed", "/broken", "/stopped", "/closed")], [499, 0, 200, 200, 200],
          "what nginx logs of them")
    t.is_(usage.wait_counted(redis, sum(expected.values())), sum(expected.values()), "all are counted, though their connection goes on")

    gate = Gate()
    proxy.forget()
    proxy.on("HMGET", gate.hold, nth=1)
    parked = client.send(path="/parked", key=alice)
    wait_for(lambda: proxy.count("HMGET") == 1)
    client.reset(parked)
    t.is_(nginx.wait_requests(71)[70]["status"], 499, "one that is given up while it is parked")
    gate.open()

    gone = nginx.connect3()
    first_event(gone, "/gone")
    gone.vanish()                                  # nginx learns of it by the time that nothing is acknowledged
    events = first_event(client, "/events")
    t.is_(usage.wait_counted(redis, 99, timeout=1), sum(expected.values()), "streams that are open count nothing")
    upstream.go_on.set()
    t.ok(client.wait(events).body.endswith(b"data: 2\n\n"), "a long answer ends")
    expect("/events", "success")
    expect("/gone", "success")
    usage.wait_counted(redis, sum(expected.values()))
    client.close()

    found = usage.by(redis, "endpoint", "status")
    for name in sorted(set(expected) | set(found)):
        t.is_(found.get(name), expected.get(name), f"counted: {' '.join(name)}")
    t.is_({user: n for user, n in usage.by(redis, "user").items() if user != "alice"}, {key.user: 3 for key in users},
          "each stream for its own user")
    row, = usage.rows(redis, endpoint="/tokens")
    t.is_((row.model, row.tokens_in, row.tokens_out), ("gpt", 3, 4), "the tokens that an answer names")
