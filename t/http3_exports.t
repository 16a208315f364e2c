#!/usr/bin/python3
# Over HTTP/3 an export that ends early is an error as well, and one that ends rightly is whole; an import arrives whole.
# Hazards: G8, G10

import random

from lib.apikeytest import Test, need_http3
from lib.apikeytest.fake_sidecar import FakeSidecar, chunked, whole
from lib.apikeytest.tls import certificate

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone    keys:1m;
    api_key_redis   %REDIS%;
    api_key_sidecar %SIDECAR%;
    gzip_types      text/csv;
    server {
        listen 127.0.0.1:%PORT%;
        listen 127.0.0.1:%PORT_H3% quic;
        %CERTIFICATE%
        location /plain/ { api_key "test"; api_key_export usage; }
        location /gzip/  { api_key "test"; api_key_export usage; gzip on; }
        location /import { api_key "test"; api_key_import usage; }
    }
}
"""
CSV = {"content-type": "text/csv"}
LINE = b"2026-11-28T02:05:00Z,/v1/chat/completions,17,4711,0.0123,gpt-4o-mini,success\n"

need_http3()

with Test() as t:
    alice = t.key(user="alice")
    sidecar = FakeSidecar(t.folder)
    nginx = t.nginx(CONF, redis=t.redis(keys=[alice]), sidecar=sidecar, certificate=certificate(t.folder))
    rows = LINE * 5_000
    answer = b"".join(chunked([rows[at:at + 32_768] for at in range(0, len(rows), 32_768)]))
    head = answer.index(b"\r\n\r\n") + 4
    sidecar.answers = lambda asked: [answer]
    with nginx.connect3() as c:
        r = c.request(path="/plain/?format=csv", key=alice)
        t.is_((r.status, r.body == rows), (200, True), "whole")
        places = [head + 1, len(answer) - 7, len(answer) - 1, *(random.randrange(head + 1, len(answer) - 7) for _ in range(20))]
        for path in ("/plain/", "/gzip/"):
            wrong = []
            for place in places:
                sidecar.answers = lambda asked, place=place: [answer[:place], None]
                stream = c.send(path=path + "?format=csv", key=alice, headers={"accept-encoding": "gzip"})
                if c.wait(stream) is not None or stream not in c.resets:
                    wrong.append((place, c.responses.get(stream)))
            t.must(not wrong, f"{path}: cut anywhere: the stream is reset", wrong)
        sidecar.answers = lambda asked: [answer[:head - 1], None]
        r = c.request(path="/plain/?format=csv", key=alice)
        t.is_((r.status, r.code), (503, "service_unavailable"), "cut before the first byte: 503")

        # --- imports ---
        sidecar.answers = whole(b'{"success":true}')
        r = c.request("POST", "/import", key=alice, headers=CSV, body=b"a" * 100_000)
        t.is_((r.status, len(sidecar.requests[-1].body)), (200, 100_000), "an import")
        stream = c.send("POST", "/import", key=alice, headers=CSV, open_end=b"b" * 1000)
        c.more(stream, b"c" * 1000, end=True)
        t.is_((c.wait(stream).status, sidecar.requests[-1].body), (200, b"b" * 1000 + b"c" * 1000), "in pieces")
