#!/usr/bin/python3
# However a request wanders inside of nginx it counts once, with the status that was sent, under the location in which its key was
# judged last; the subrequests that it makes count nothing.
# Hazards: U2, N5, N6, N7, N8, N9

import os

from lib.apikeytest import Test
from lib.apikeytest import usage

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone  keys:32m;
    api_key_redis %REDIS%;
    api_key_usage_interval 100ms;
    default_type text/html;
    server {
        listen 127.0.0.1:%PORT%;
        root %DIR%/html;
        api_key "test";

        location /index/        { index page; }
        location = /index/page  { }
        location /try           { try_files /none /tried; }
        location = /tried       { proxy_pass http://%UPSTREAM%; }
        location /accel         { proxy_pass http://127.0.0.1:%PORT_U%; }
        location = /to/checked  { internal; alias %DIR%/html/page; }
        location = /to/public   { internal; api_key off; alias %DIR%/html/page; }
        location /named         { try_files /none @named; }
        location @named         { proxy_pass http://%UPSTREAM%; }
        location /error/checked { error_page 404 /sorry/checked; }
        location /error/public  { error_page 404 /sorry/public; }
        location /error/saved   { error_page 404 =200 /sorry/public; }
        location /error/named   { proxy_pass http://127.0.0.1:1; error_page 502 = @named; }
        location /error/sent    { proxy_pass http://127.0.0.1:%PORT_U%; proxy_intercept_errors on; error_page 500 503 /sorry/public; }
        location = /sorry/checked { alias %DIR%/html/page; }
        location = /sorry/public  { api_key off; alias %DIR%/html/page; }
        location /rewritten     { rewrite ^ /tried last; }
        location /narrower      { api_key off; try_files /none /admin; }
        location = /admin       { api_key_require admin; empty_gif; }
        location /refused       { api_key_require admin; error_page 403 /sorry/public; empty_gif; }
        location ~ ^/regex/\\d+$ { if ($arg_x) { set $x 1; } empty_gif; }
        location /limited       { limit_except GET { } empty_gif; }

        location /mirror        { mirror /inner; proxy_pass http://%UPSTREAM%; }
        location /auth_request  { auth_request /inner; empty_gif; }
        location /turned_away   { auth_request /inner/403; empty_gif; }
        location /ssi           { ssi on; }
        location /added         { add_before_body /inner; add_after_body /inner; alias %DIR%/html/page; }
        location /slice         { slice 2; proxy_set_header Range $slice_range; proxy_pass http://127.0.0.1:%PORT_U%/page; }
        location /inner/403     { proxy_pass http://127.0.0.1:%PORT_U%/error/403; }
        location /inner         { proxy_pass http://%UPSTREAM%; }
        location /others/       { api_key off; auth_request /inner; mirror /inner; ssi on; alias %DIR%/html/; }
    }
    server {
        listen 127.0.0.1:%PORT_U%;
        access_log off;
        root %DIR%/html;
        default_type text/html;
        location /accel/checked { add_header X-Accel-Redirect /to/checked; return 200; }
        location /accel/public  { add_header X-Accel-Redirect /to/public; return 200; }
        location /error/sent    { return 500; }
        location /error/403     { return 403; }
    }
}
"""

# path, status, counts as: (location, success or error), or None
TABLE = [
    ("/index/", 200, ("/index/page", "success")),
    ("/try", 200, ("/tried", "success")),
    ("/accel/checked", 200, ("/to/checked", "success")),
    ("/accel/public", 200, ("/accel", "success")),
    ("/named", 200, ("@named", "success")),
    ("/error/checked", 404, ("/sorry/checked", "error")),
    ("/error/public", 404, ("/error/public", "error")),
    ("/error/saved", 200, ("/error/saved", "success")),
    ("/error/named", 200, ("@named", "success")),
    ("/error/sent", 500, ("/error/sent", "error")),
    ("/rewritten", 200, ("/tried", "success")),
    ("/narrower", 403, ("/admin", "error")),
    ("/refused", 403, ("/refused", "error")),
    ("/regex/12", 200, (r"^/regex/\d+$", "success")),
    ("/regex/12?x=1", 200, (r"^/regex/\d+$", "success")),
    ("/limited", 200, ("/limited", "success")),
    ("/mirror", 200, ("/mirror", "success")),
    ("/auth_request", 200, ("/auth_request", "success")),
    ("/turned_away", 403, ("/turned_away", "error")),
    ("/ssi", 200, ("/ssi", "success")),
    ("/added", 200, ("/added", "success")),
    ("/slice", 200, ("/slice", "success")),
    ("/page", 200, ("/", "success")),              # no location: the server's own rules
    ("/others/ssi", 200, None),
]


def make_pages(folder):
    os.makedirs(f"{folder}/html/index")
    for name, text in {"ssi": '1<!--#include virtual="/inner" -->2', "page": "0123456789", "index/page": "page"}.items():
        with open(f"{folder}/html/{name}", "w", encoding="ascii") as file:
            file.write(text)


with Test() as t:
    alice = t.key(user="alice", scopes="chat")
    redis, upstream = t.redis(keys=[alice]), t.upstream()
    nginx = t.nginx(CONF, start=False, redis=redis, upstream=upstream)
    make_pages(nginx.folder)
    nginx.start()
    expected = {}
    for path, status, counts in TABLE:
        r = nginx.get(path, alice)
        t.is_((r.status, r.whole), (status, True), f"{path}: {status}")
        if counts:
            expected[counts] = expected.get(counts, 0) + 1
    # POST where limit_except has its own rules: the name is that of the location around it.
    t.is_(nginx.get("/limited", alice, method="POST", body=b"x").status, 404, "POST to /limited, where nothing answers it")
    expected["/limited", "error"] = 1

    usage.wait_counted(redis, sum(expected.values()))
    found = usage.by(redis, "endpoint", "status")
    for name in sorted(set(expected) | set(found)):
        t.is_(found.get(name), expected.get(name), f"counted: {' '.join(name)}")
    t.is_(set(usage.by(redis, "user")), {"alice"}, "all of them alice's")
    asked = [request["path"] for request in upstream.requests]
    t.is_(asked.count("/inner"), 8, "though subrequests went to the upstream", *asked)
