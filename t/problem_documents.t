#!/usr/bin/python3
# The table of answers to the letter: status, code, headers and problem document of every refusal, over all protocols.

import gzip
import json

from lib.apikeytest import Test, request_bytes

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    gzip          on;
    gzip_types    *;
    gzip_min_length 1;
    charset       utf-8;
    default_type  text/html;
    server {
        listen 127.0.0.1:%PORT%;
        listen 127.0.0.1:%PORT_H2% http2;
        add_header X-Always yes always;
        root %DIR%;
        location / { api_key "Example API"; }
        location /scoped/ { api_key "Example API"; api_key_require chat:write admin; }
    }
}
"""

REALM = 'Bearer realm="Example API"'
TABLE = {                                  # status, code, WWW-Authenticate, Retry-After
    "no key": (401, "missing_api_key", REALM, None),
    "malformed": (401, "malformed_api_key", REALM + ', error="invalid_token"', None),
    "unknown": (401, "invalid_api_key", REALM + ', error="invalid_token"', None),
    "expired": (401, "expired_api_key", REALM + ', error="invalid_token"', None),
    "no scope": (403, "insufficient_scope", REALM + ', error="insufficient_scope", scope="chat:write admin"', None),
    "no Redis": (503, "api_key_unavailable", None, "1"),
}
REASONS = {401: "Unauthorized", 403: "Forbidden", 503: "Service Temporarily Unavailable"}

with Test() as t:
    alice, late, stranger = t.key(user="alice", scopes="chat:read"), t.key(expires=1), t.key()
    redis_proxy = t.redis_proxy(t.redis(keys=[alice, late]))
    nginx = t.nginx(CONF, redis=redis_proxy)

    def check(case, path, key):
        status, code, challenge, retry_after = TABLE[case]
        answers = {}
        with nginx.connect() as client, nginx.connect2(port=nginx.ports["PORT_H2"]) as client2:
            for method in ("GET", "HEAD", "POST", "DELETE", "OPTIONS"):
                answers[f"HTTP/1.1 {method}"] = client.request(method, path, key)
                answers[f"HTTP/2 {method}"] = client2.request(method, path, key)
            picky = {"Accept": "text/html", "Range": "bytes=0-3", "If-None-Match": "*", "If-Match": '"x"',
                     "If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}
            answers["HTTP/1.1 with conditions"] = client.request("GET", path, key, picky)
        with nginx.connect() as client:
            client.send(request_bytes("GET", path, key, host=None, version="1.0"))
            answers["HTTP/1.0 GET"] = client.response()

        for name, r in answers.items():
            name = f"{case}, {name}"
            t.is_(r.status, status, f"{name}: status")
            if "HTTP/1" in name:
                t.is_(r.reason, REASONS[status], f"{name}: reason")
            headers = {h: r.all(h) for h in ("WWW-Authenticate", "Retry-After", "Content-Type", "Content-Encoding",
                                             "Content-Length", "X-Always", "ETag", "Last-Modified", "Accept-Ranges")}
            body = answers["HTTP/1.1 GET"].body
            t.is_(headers, {"WWW-Authenticate": [challenge] if challenge else [],
                            "Retry-After": [retry_after] if retry_after else [],
                            "Content-Type": ["application/problem+json"], "Content-Encoding": [],
                            "Content-Length": [str(len(body))], "X-Always": ["yes"],
                            "ETag": [], "Last-Modified": [], "Accept-Ranges": []}, f"{name}: headers")
            t.is_(r.body, b"" if "HEAD" in name else body, f"{name}: body")
            t.unlike(str(r.headers), f"{alice.id}|{alice.key[12:]}|chat:read", f"{name}: nothing of the key")

        document = json.loads(body)
        t.is_(list(document), ["type", "title", "status", "code", "detail"], f"{case}: the members of RFC 9457 and code")
        t.is_((document["status"], document["code"]), (status, code), f"{case}: status and code")
        t.is_(document["type"], f"urn:nginx-api-key:problem:{code}", f"{case}: type")
        t.ok(document["title"] and len(document["detail"]) > 40, f"{case}: title and detail are there to read")
        return document

    documents = [check("no key", "/", None), check("malformed", "/", "a b"), check("unknown", "/", stranger),
                 check("expired", "/", late), check("no scope", "/scoped/", alice)]
    with nginx.connect() as client:        # nginx compresses answers of 403, but not of 401
        r = client.request("GET", "/scoped/", alice, {"Accept-Encoding": "gzip"})
        t.is_((r.header("Content-Encoding"), json.loads(gzip.decompress(r.body))["code"]),
              ("gzip", "insufficient_scope"), "a document that is compressed is whole")
        t.is_(client.request("GET", "/").code, "missing_api_key", "and the connection goes on")
    redis_proxy.refuse()
    redis_proxy.close_all()
    documents.append(check("no Redis", "/", alice))
    for member in ("type", "title", "code", "detail"):
        t.is_(len({document[member] for document in documents}), len(TABLE), f"{member} differs from case to case")
