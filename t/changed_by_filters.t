#!/usr/bin/python3
# Where one of nginx' filters replaces the answer (412, 416), the request's identity is still known in the log.
# Hazards: N6

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
        location /         { }
        location /with/    { alias %DIR%/html/; error_page 412 416 /page; }
        location = /page   { internal; empty_gif; add_header X-Identity "$api_key_user" always; }
    }
}
"""

with Test() as t:
    alice = t.key(user="alice")
    proxy = t.redis_proxy(t.redis(keys=[alice]))
    nginx = t.nginx(CONF, start=False, redis=proxy)
    os.mkdir(f"{nginx.folder}/html")
    with open(f"{nginx.folder}/html/file.txt", "w", encoding="ascii") as file:
        file.write("a file\n")
    nginx.start()

    changes = ((412, {"If-Match": '"other"'}), (416, {"Range": "bytes=100-"}))
    for status, headers in changes:
        r = nginx.get("/file.txt", alice, headers=headers)
        t.is_((r.status, r.header("Content-Type")), (status, "text/html"), f"{status} is nginx' own")
    for status, headers in changes:
        r = nginx.get("/with/file.txt", alice, headers=headers)
        t.is_((r.status, r.header("X-Identity")), (status, "alice"), f"{status} with a page that needs a key: still alice")
    t.is_(proxy.count("HMGET"), 4, "one lookup each")
    t.is_([(x["key_status"], x["user"]) for x in nginx.wait_requests(4)], [("valid", "alice")] * 4, "the log knows her")
    t.is_([x["status"] for x in nginx.requests()], [412, 416] * 2, "with the right status")
