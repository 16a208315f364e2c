#!/usr/bin/python3
# nginx checks no subrequests: where one enters a protected location the module warns once per worker, and the identity
# there is the main request's, never what the client claims.
# Hazards: N9, V11

import os

from lib.apikeytest import Test, wait_for

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    include %API_KEY_PARAMS%;
    default_type text/html;
    server {
        listen 127.0.0.1:%PORT%;
        root %DIR%/html;
        location /inner/       { api_key "test"; proxy_pass http://%UPSTREAM%; }

        location /auth_request { auth_request /inner/a; empty_gif; }
        location /mirror       { mirror /inner/m; empty_gif; }
        location /ssi          { ssi on; }
        location /added_before { add_before_body /inner/b; }
        location /added_after  { add_after_body /inner/c; }

        # The right way: the location that makes them is protected.
        location /checked/     { api_key "test"; alias %DIR%/html/; auth_request /inner/a; mirror /inner/m; ssi on; }
        # Slices are subrequests to the location itself, which was checked.
        location /slice        { api_key "test"; slice 2; proxy_set_header Range $slice_range; proxy_pass http://%SLICED%; }
    }
    server {
        listen unix:%SLICES%;
        access_log off;
        root %DIR%/html;
    }
}
"""

PATHS = ("/auth_request", "/mirror", "/ssi", "/added_before", "/added_after")


def make_pages(folder):
    os.mkdir(f"{folder}/html")
    for name, text in {"ssi": '<!--#include virtual="/inner/s" -->', "added_before": "page", "added_after": "page",
                       "slice": "0123456789"}.items():
        with open(f"{folder}/html/{name}", "w", encoding="ascii") as file:
            file.write(text)


def warnings():
    return [line for line in nginx.log().splitlines() if "subrequest" in line]


with Test() as t:
    alice, stranger = t.key(user="alice"), t.key(user="nobody")
    proxy, upstream = t.redis_proxy(t.redis(keys=[alice])), t.upstream()
    nginx = t.nginx(CONF, start=False, redis=proxy, upstream=upstream, slices=f"{t.folder}/slices.sock",
                    sliced="unix:%SLICES%")
    make_pages(nginx.folder)
    nginx.start()

    r = nginx.get("/slice", alice)
    t.is_((r.status, r.text), (200, "0123456789"), "slices of a protected location")
    t.is_(proxy.count("HMGET"), 1, "cost one lookup")
    t.is_(nginx.get("/slice", stranger).status, 401, "and need a key")
    t.is_(warnings(), [], "and no warning: the request was checked")

    proxy.forget()
    for count, path in enumerate(PATHS, 1):
        r = nginx.get(path, stranger, headers={"X-User-Id": "mallory", "X-Api-Key-Id": "1"})
        t.is_(r.status, 200, f"{path}: passes")
        t.ok(wait_for(lambda: len(upstream.requests) == count), f"{path}: the subrequest gets in without a check")
        t.is_(len(warnings()), 1, f"{path}: there is one warning in all", *warnings())
    t.is_((upstream.saw("X-User-Id"), upstream.saw("X-Api-Key-Id")), ([], []), "as nobody, whatever the client claims")
    t.is_(proxy.count("HMGET"), 0, "nothing was looked up")
    t.like(warnings()[0], r'\[warn\].*"/inner/".*protect the location that makes them', "which says where and what to do")

    # The main request is checked: its subrequests come in its name.
    r = nginx.get("/checked/ssi", stranger)
    t.is_((r.status, r.code, len(upstream.requests)), (401, "invalid_api_key", len(PATHS)), "a stranger causes none")
    r = nginx.get("/checked/ssi", alice, headers={"X-User-Id": "mallory"})
    t.is_((r.status, r.saw("X-User-Id")), (200, ["alice"]), "SSI in the name of alice")
    t.ok(wait_for(lambda: upstream.saw("X-User-Id") == ["alice"] * 3), "auth_request and mirror, too")
    t.is_(proxy.count("HMGET"), 2, "one lookup each")
    logged = nginx.wait_requests(9)
    t.is_([(x["status"], x["user"]) for x in logged],
          [(200, "alice"), (401, "")] + [(200, "")] * len(PATHS) + [(401, ""), (200, "alice")],
          "the log has the main requests, each once")

    nginx.reload()
    nginx.get("/auth_request")
    nginx.get("/auth_request")
    t.is_(len(warnings()), 2, "another worker warns again", *warnings())
