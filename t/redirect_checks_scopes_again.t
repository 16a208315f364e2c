#!/usr/bin/python3
# An internal redirect into a location that needs other scopes, or takes the key from elsewhere, is judged by that location;
# the same key is not looked up twice.
# Hazards: N8

from lib.apikeytest import Test

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    server {
        listen 127.0.0.1:%PORT%;
        include %API_KEY_PARAMS%;
        api_key "test";

        location = /read         { api_key_require read; try_files /nothing /write; }
        location = /any          { try_files /nothing /write; }
        location = /accel        { api_key_require read; proxy_pass http://%REDIRECTING%; }
        location = /write        { api_key_require read write; proxy_pass http://%UPSTREAM%; }

        # The other way: who may not write gets a page for which reading is enough.
        location = /write-or-read { api_key_require write; error_page 403 =200 /may-read; proxy_pass http://%UPSTREAM%; }
        # A request with two keys: each location has its own.
        location = /header        { api_key_source header:X-Key; try_files /nothing /write; }

        location = /may-read      { internal; api_key_require read; proxy_pass http://%UPSTREAM%; }
    }
}
"""

with Test() as t:
    reader, writer = t.key(user="reader", scopes="read"), t.key(user="writer", scopes="read write")
    nothing, all_of_them = t.key(user="nothing", scopes="other"), t.key(user="all", scopes="*")
    proxy = t.redis_proxy(t.redis(keys=[reader, writer, nothing, all_of_them]))
    upstream, redirecting = t.upstream(), t.upstream()
    redirecting.extra_headers = [("X-Accel-Redirect", "/write")]
    nginx = t.nginx(CONF, redis=proxy, upstream=upstream, redirecting=redirecting)

    for path in ("/read", "/any", "/accel"):
        proxy.forget()
        r = nginx.get(path, reader)
        t.is_((r.status, r.code), (403, "insufficient_scope"), f"{path}: who may only read does not get to write")
        t.like(r.header("WWW-Authenticate"), 'error="insufficient_scope", scope="read write"$',
               f"{path}: the challenge names the scopes of where it was refused")
        t.is_(proxy.count("HMGET"), 1, f"{path}: one lookup")
        for key in (writer, all_of_them):
            r = nginx.get(path, key)
            t.is_((r.status, r.saw("X-User-Id")), (200, [key.user]), f"{path}: {key.user} may")
        t.is_(proxy.count("HMGET"), 3, f"{path}: one lookup each")

    proxy.forget()
    r = nginx.get("/write-or-read", reader)
    t.is_((r.status, r.saw("X-User-Id")), (200, ["reader"]), "refused for writing, let in for reading")
    t.is_(r.json["path"], "/may-read", "at the page for readers")
    t.is_(nginx.get("/write-or-read", writer).json["path"], "/write-or-read", "who may write gets there")
    r = nginx.get("/write-or-read", nothing)
    t.is_((r.status, r.code), (403, "insufficient_scope"), "who may neither is refused")
    t.is_(proxy.count("HMGET"), 3, "with one lookup each")

    proxy.forget()
    r = nginx.get("/header", writer, headers={"X-Key": reader.key})
    t.is_((r.status, r.saw("X-User-Id")), (200, ["writer"]), "two keys: the last location's own counts")
    t.is_(nginx.get("/header", reader, headers={"X-Key": writer.key}).status, 403, "also when it may less than the first")
    t.is_(nginx.get("/header", writer, headers={"X-Key": "nonsense"}).status, 401, "and the first location's is needed, too")
    t.is_(proxy.count("HMGET"), 5, "each key is looked up")

    logged = nginx.wait_requests(15)
    t.is_([(x["status"], x["key_status"], x["user"]) for x in logged],
          [(403, "forbidden", "reader"), (200, "valid", "writer"), (200, "valid", "all")] * 3 +
          [(200, "valid", "reader"), (200, "valid", "writer"), (403, "forbidden", "nothing"),
           (200, "valid", "writer"), (403, "forbidden", "reader"), (401, "invalid", "")],
          "the log names the last verdict, and whose key it was")
