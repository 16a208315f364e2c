#!/usr/bin/python3
# Whatever internal redirects a request takes between protected locations, its key is looked up once and it stays himself.
# Hazards: N5

import os

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
        root %DIR%/html;
        api_key "test";
        include %API_KEY_PARAMS%;

        location = /try-file      { try_files /file.txt /end; add_header X-Identity "$api_key_user $api_key_id"; }
        location = /try-last      { try_files /nothing /nothing/here /end; }
        location = /try-named     { try_files /nothing @end; }
        location = /rewrite       { rewrite ^ /end last; }
        location = /rewrite-twice { rewrite ^ /rewrite last; }
        location = /not-there     { error_page 404 = /end; }
        location = /not-named     { error_page 404 = @end; }
        location = /accel         { proxy_pass http://%REDIRECTING%; }
        location = /accel-named   { proxy_pass http://%REDIRECTING_TO_NAMED%; }
        location = /chain         { try_files /nothing /accel; }
        location /dir/            { index first.txt last.txt; }
        location = /dir/last.txt  { add_header X-Identity "$api_key_user $api_key_id"; }
        location = /open/chain    { api_key off; try_files /nothing /chain; }

        location = /end           { internal; proxy_pass http://%UPSTREAM%; }
        location @end             { proxy_pass http://%UPSTREAM%; }
    }
}
"""

PROXIED = ("/try-last", "/try-named", "/rewrite", "/rewrite-twice", "/not-there", "/not-named", "/accel",
           "/accel-named", "/chain", "/open/chain")
FILES = ("/try-file", "/dir/")


def make_files(folder):
    os.makedirs(f"{folder}/html/dir")
    for name in ("file.txt", "dir/last.txt"):
        with open(f"{folder}/html/{name}", "w", encoding="ascii") as file:
            file.write("a file\n")


with Test() as t:
    alice, bob, stranger = t.key(user="alice"), t.key(user="bob"), t.key(user="nobody")
    proxy = t.redis_proxy(t.redis(keys=[alice, bob]))
    upstream, redirecting, to_named = t.upstream(), t.upstream(), t.upstream()
    redirecting.extra_headers = [("X-Accel-Redirect", "/end")]
    to_named.extra_headers = [("X-Accel-Redirect", "@end")]
    nginx = t.nginx(CONF, start=False, redis=proxy, upstream=upstream, redirecting=redirecting,
                    redirecting_to_named=to_named)
    make_files(nginx.folder)
    nginx.start()

    with nginx.connect() as c:
        for path in PROXIED:
            for key in (alice, bob):
                proxy.forget()
                r = c.request(path=path, key=key)
                t.is_((r.status, r.saw("X-User-Id"), r.saw("X-Api-Key-Id")), (200, [key.user], [key.id]),
                      f"{path}: {key.user} arrives as such")
                t.is_(proxy.count("HMGET"), 1, f"{path}: after one lookup")
        for path in FILES:
            proxy.forget()
            r = c.request(path=path, key=alice)
            t.is_((r.status, r.text, r.header("X-Identity")), (200, "a file\n", f"alice {alice.id}"), f"{path}: alice")
            t.is_(proxy.count("HMGET"), 1, f"{path}: after one lookup")

    asked = 2 * len(PROXIED) + len(FILES)
    logged = nginx.wait_requests(asked)
    t.is_(len(logged), asked, "each request is logged once")
    t.is_({(x["key_status"], x["user"]) for x in logged}, {("valid", "alice"), ("valid", "bob")}, "with its identity")

    seen = len(upstream.requests)
    for path in PROXIED + FILES:
        proxy.forget()
        r = nginx.get(path, stranger)
        t.is_((r.status, r.code, proxy.count("HMGET")), (401, "invalid_api_key", 1), f"{path}: a stranger is refused")
        t.is_(nginx.get(path).code, "missing_api_key", f"{path}: and whoever has no key")
    t.is_(len(upstream.requests), seen, "neither reached the API")
