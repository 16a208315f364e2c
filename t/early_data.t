#!/usr/bin/python3
# A request that comes as early data of TLS (0-RTT) is looked up and decided like any other, replayed ones too; what must not be
# repeated is refused as docs/security.md says.
# Hazards: N33

import re
import subprocess

from lib.apikeytest import Test, delay, places, request_bytes

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    ssl_certificate     %CRT%;
    ssl_certificate_key %KEY%;
    ssl_protocols       TLSv1.3;
    ssl_early_data      on;
    %MAP%
    server {
        listen 127.0.0.1:%PORT% ssl;
        set $early "$ssl_early_data";      # as it was when the request came
        add_header X-Early "$early" always;
        api_key "test";
        include %API_KEY_PARAMS%;
        location /         { proxy_pass http://%UPSTREAM%; }
        location /careful/ { %REFUSAL% proxy_pass http://%UPSTREAM%; }
    }
}
"""


def documented(kind):
    """The example of docs/security.md."""
    text = (places.REPO / "docs" / "security.md").read_text(encoding="utf-8")
    return re.search(rf"^{kind} .*\}}", text[text.index("**Early data**"):], re.M)[0]


def ask_once(path, key, method, early):
    with open(f"{folder}/request", "wb") as file:
        file.write(request_bytes(method, path, key, {"Connection": "close"}))
    how = ["-sess_in", f"{folder}/session", "-early_data", f"{folder}/request"] if early else ["-sess_out", f"{folder}/session"]
    with open(f"{folder}/request", "rb") as file:
        said = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{nginx.port}", "-tls1_3", "-ign_eof", *how],
                              stdin=subprocess.DEVNULL if early else file, capture_output=True, timeout=30, check=False).stdout.decode("latin-1")
    answer = re.search(r"^HTTP/1\.1 (\d+).*?\r\n\r\n(.*)", said, re.M | re.S)
    if early:
        t.ok("Early data was accepted" in said, f"{method} {path}: nginx took it as early data", said[-2000:])
    mark = re.search(r"^X-Early: (\S*)\r$", said, re.M)
    return int(answer[1]), mark and mark[1], answer[2]


def ask(path="/", key=None, method="GET", early=True):
    """(status, X-Early, body) over a session that was begun before; without `early` the first of one, which it keeps."""
    while (answer := ask_once(path, key, method, early))[1] is None and early and len(late) < 10:
        late.append(path)                  # the handshake was over before a slow nginx looked: it is early no more
    return answer


with Test() as t:
    alice, stranger = t.key(user="alice"), t.key()
    proxy, folder, certificate = t.redis_proxy(t.redis(keys=[alice])), t.new_folder("tls"), t.authority().certificate("localhost")
    upstream, late = t.upstream(), []
    nginx = t.nginx(CONF, redis=proxy, upstream=upstream, crt=certificate.crt, key=certificate.key, map=documented("map"), refusal=documented("if"))
    t.is_(ask(key=alice, early=False)[:2], (200, None), "a request that is not early begins a session")

    proxy.on("HMGET", delay(0.2))          # the handshake ends while it waits
    status, mark, body = ask(key=alice)
    t.is_((status, mark), (200, "1"), "an early request with a good key")
    t.like(body, '"X-User-Id", "alice"', "as herself")
    t.is_([code for status, _, code in (ask(), ask(key=stranger)) for code in re.findall(r'"code": ?"(\w+)"', code)],
          ["missing_api_key", "invalid_api_key"], "without a key, or with an unknown one")
    late.clear()
    seen, looked_up = len(upstream.requests), proxy.count("HMGET")
    t.is_([ask(key=alice)[0] for _ in range(2)], [200, 200], "whoever repeats one is believed: docs/security.md says so")
    t.is_((len(upstream.requests) - seen, proxy.count("HMGET") - looked_up), (2 + len(late),) * 2, "each is looked up and served")

    late.clear()
    seen = len(upstream.requests)
    t.is_(ask("/careful/", alice)[0], 200, "where it is refused a GET passes")
    t.is_([ask("/careful/", alice, method)[0] for method in ("POST", "DELETE")], [425, 425], "nothing that changes something does")
    t.is_(ask("/careful/", alice, "DELETE", early=False)[0], 200, "but when it does not come early")
    t.is_(len(upstream.requests) - seen, 2 + len(late), "the upstream saw no early change")
    proxy.clear()
    redis = proxy.redis
    redis.revoke(alice)
    t.is_(ask(key=alice)[0], 401, "a revoked key ends early requests, too")
