#!/usr/bin/python3
# What nginx refuses of exports and imports by itself, each with a problem document that names what is wrong; apikeyd is asked nothing.
# Hazards: D8, D10, G9, V2, V5, V8, V14, V19, X15, X18

import json

from lib.apikeytest import Test
from lib.apikeytest.fake_sidecar import FakeSidecar

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone    keys:1m;
    api_key_redis   %REDIS%;
    api_key_sidecar %SIDECAR%;
    server {
        listen 127.0.0.1:%PORT%;
        api_key "test";
        client_max_body_size 1k;
        location /export/usage         { api_key_export usage; }
        location /export/conversations { api_key_export conversations; }
        location /import/usage         { api_key_import usage; }
        location /import/conversations { api_key_import conversations; }
        location /slash/               { api_key_export usage; }
        location ~ ^/(r)egex           { api_key_export usage; }
        location /asked-twice/         { api_key_require reports; api_key_export usage; }
        location /asked-twice/nested/  { empty_gif; }
        location /denied/              { api_key_export usage; deny all; }
    }
}
"""
SCOPES = {"/export/usage": "usage:read", "/export/usage/summary": "usage:read", "/export/conversations": "conversations:read",
          "/import/usage": "usage:write", "/import/conversations": "conversations:write"}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

with Test() as t:
    keys = {scope: t.key(user=scope, scopes=scope) for scope in {*SCOPES.values(), "keys:read", "keys:write", "chat"}}
    alice, none, reports = t.key(), t.key(scopes=""), t.key(scopes="reports usage:read")
    sidecar = FakeSidecar(t.folder)
    nginx = t.nginx(CONF, redis=t.redis(keys=[alice, none, reports, *keys.values()]), sidecar=sidecar)

    def refused(path, status, code, says, method="GET", headers=(), body=b"", key=alice):
        asked = len(sidecar.requests)
        r = nginx.get(path, key, method=method, headers=headers, body=body)
        t.is_((r.status, r.code, r.all("Cache-Control"), len(sidecar.requests)), (status, code, ["no-store"], asked), f"{method} {path}: {code}")
        document = r.json
        t.is_((document["status"], document["type"]), (status, f"urn:nginx-api-key:problem:{code}"), "a whole problem document")
        t.like(document["detail"], says, f"that says {says}")
        return r

    # --- parameters ---
    bad = "invalid_parameter"
    for query, says in (
            ("foo=1", '"foo" is unknown here; there are format, startDate'), ("user_id=bob", '"user_id" is unknown'), ("user=bob", '"user"'),
            ("format=xml", 'format "xml" is no format; there are csv and json'), ("format=", 'format "" is no format'),
            ("format=csv&format=csv", '"format" stands twice'), ("startDate=", 'startDate "" is no date'),
            ("startDate=2025-02-30", 'startDate "2025-02-30" is no date'), ("startDate=yesterday", "startDate"), ("endDate=2025-13-01", "endDate"),
            ("startDate=2025-01-01T00:00:00", "no time with its zone"), ("startDate=2025-01-01T00:00:00+01:00", "%2B"),
            ("endDate=2016-12-31T23:59:60Z", "endDate"), ("startDate=0000-01-01", "startDate"), ("startDate=10000-01-01", "startDate"),
            ("startDate=2025-02-01&endDate=2025-01-01", "endDate is before startDate"), ("status=ok", "there are success and error"),
            ("keyId=1", "keyId .* UUID"), ("limit=1000000000", '"limit" is unknown'), ("after=x", '"after"'), ("groupBy=day", '"groupBy" is unknown'),
            ("endpoint=%ff", '"endpoint" is not percent-encoded UTF-8'), ("model=%00", '"model"'), ("model=%4", '"model"'),
            ("%ff=1", "percent-encoded"), ("a%0d%0ab=1", r'"a\?\?b" is unknown'), ("dryRun=true", '"dryRun" is unknown'),
            ("x" * 300 + "=1", r'"x{64}\.\.\." is unknown'), ("conversationId=1", '"conversationId"')):
        refused(f"/export/usage?{query}", 400, bad, says)
    for query, says in (("groupBy=week", "there are day, month, endpoint, model and key"), ("groupBy=user", "no grouping"), ("format=csv", '"format"'),
                        ("timeZone=Mars", "no time zone"), ("timeZone=", "no time zone"), ("timeZone=%3C%2B03%3E-3/x", "no time zone"),
                        ("timeZone=../../etc/passwd", "no time zone")):
        refused(f"/export/usage/summary?{query}", 400, bad, says)
    for query, says in (("limit=0", 'limit "0" is no number from 1 to 1000'), ("limit=1001", "1 to 1000"), ("limit=x", "1 to 1000"), ("offset=1", '"offset" is unknown'),
                        ("conversationId=c", '"conversationId" is unknown'), ("startDate=x", "startDate")):
        refused(f"/export/conversations/summary?{query}", 400, bad, says)
    for query, says in (("format=csv", "there is json"), ("model=x", '"model"'), ("endDate=x", "endDate")):
        refused(f"/export/conversations?{query}", 400, bad, says)
    for query, says in (("dryRun=yes", "neither true nor false"), ("format=csv", "Content-Type says"), ("startDate=2025-01-01", '"startDate"')):
        refused(f"/import/usage?{query}", 400, bad, says, "POST", [("Content-Type", "text/csv")], b"x")

    # --- paths, methods, media types ---
    for path in ("/export/usagex", "/export/usage/", "/export/usage/summary/", "/export/usage/other", "/export/conversations/summary/", "/slash/x",
                 "/export/usage/summary%2fx"):
        refused(path, 404, "not_found", "nothing under this path")
    refused("/import/usage/x", 404, "not_found", "nothing", "POST", [("Content-Type", "text/csv")], b"x")
    for path, scope in SCOPES.items():
        for method in METHODS:
            allowed = ("POST",) if "import" in path else ("GET", "HEAD")
            if method in (*allowed, "HEAD"):
                continue
            r = refused(path, 405, "method_not_allowed", "GET|POST", method)
            t.is_(r.header("Allow"), ", ".join(allowed), "and what is allowed")
    for path, types in (("/import/usage", (None, "text/html", "text/csv; charset=latin1", "application/jsonx", "multipart/form-data")),
                        ("/import/conversations", (None, "text/csv", "text/plain"))):
        for kind in types:
            refused(path, 415, "unsupported_media_type", "imported as Content-Type", "POST", [("Content-Type", kind)] if kind else [], b"x")
    for encoding in ("gzip", "zstd", "br", "identity, gzip"):
        refused("/import/usage", 415, "unsupported_media_type", "without Content-Encoding", "POST",
                [("Content-Type", "text/csv"), ("Content-Encoding", encoding)], b"x")
    refused("/import/usage", 413, "too_large", "client_max_body_size", "POST", [("Content-Type", "text/csv")], b"x" * 2000)
    refused("/denied/", 403, "forbidden", "not allowed")

    # --- scopes ---
    for path, scope in SCOPES.items():
        method, headers, body = ("POST", [("Content-Type", "application/json")], b"{}") if "import" in path else ("GET", [], b"")
        for name, key in keys.items():
            if name == scope:
                r = nginx.get(path, key, method=method, headers=headers, body=body)
                t.is_((r.status, sidecar.requests[-1].text("Apikey-User")), (200, name), f"{path}: {name} will do")
                continue
            r = refused(path, 403, "insufficient_scope", "lacks a scope", method, headers, body, key)
            t.like(r.header("WWW-Authenticate"), f'error="insufficient_scope", scope="{scope}"$', "which is named")
        refused(path, 403, "insufficient_scope", "lacks", method, headers, body, none)
        refused(path, 401, "missing_api_key", "no API key", method, headers, body, None)
    r = refused("/asked-twice/", 403, "insufficient_scope", "lacks", key=keys["usage:read"])
    t.like(r.header("WWW-Authenticate"), 'scope="reports usage:read"', "with api_key_require both are needed")
    t.is_((nginx.get("/asked-twice/", reports).status, nginx.get("/slash/", alice).status, nginx.get("/regex", alice).status), (200, 200, 200), "other locations")
    t.is_(nginx.get("/asked-twice/nested/", t.key(scopes="x")).status, 401, "an unknown key")

    # --- HTTP/1.0 ---
    for path in ("/export/usage?format=csv", "/export/conversations"):
        with nginx.connect() as c:
            c.send(f"GET {path} HTTP/1.0\r\nAuthorization: Bearer {alice.key}\r\n\r\n")
            r = c.response()
        t.is_((r.status, json.loads(r.body)["code"]), (505, "http_version_not_supported"), f"{path} over HTTP/1.0: refused, never cut silently")
    with nginx.connect() as c:
        c.send(f"GET /export/usage/summary HTTP/1.0\r\nAuthorization: Bearer {alice.key}\r\n\r\n")
        r = c.response()
    t.is_((r.status, r.whole, r.header("Content-Length")), (200, True, "16"), "a summary has a length")
    with nginx.connect() as c:
        c.send(f"POST /import/usage HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {none.key}\r\nContent-Type: text/csv\r\nExpect: 100-continue\r\n"
               "Content-Length: 100\r\n\r\n")
        r = c.response("POST")
    t.is_((r.status, r.interim), (403, []), "a body that is not wanted is not asked for")
    with nginx.connect() as c:
        c.send(f"POST /import/usage HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice.key}\r\nContent-Type: text/html\r\nExpect: 100-continue\r\n"
               "Content-Length: 100\r\n\r\n")
        r = c.response("POST")
    t.is_((r.status, r.interim), (415, []), "nor one of another kind")
