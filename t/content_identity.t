#!/usr/bin/python3
# For whom content handlers act: whom a key or api_key_user names for this very request. nginx checks no subrequests, so they do; a key that
# is good elsewhere, or another rule that lets the client in, is no identity.
# Hazards: N9, V9, V11

import os

from lib.apikeytest import Test
from lib.apikeytest.fake_sidecar import FakeSidecar, whole

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone    keys:1m;
    api_key_redis   %REDIS%;
    api_key_sidecar %SIDECAR%;
    default_type    text/html;
    server {
        listen 127.0.0.1:%PORT%;
        root %DIR%/html;
        location /export/      { api_key "test"; api_key_export usage; }
        location /open/        { ssi on; }
        location /checked/     { api_key "test"; ssi on; alias %DIR%/html/open/; }
        location /added/       { add_before_body /export/; empty_gif; }
        location /any/         { satisfy any; allow all; api_key "test"; api_key_export usage; }
        location /any-key/     { satisfy any; deny all; api_key "test"; api_key_export usage; }
        location /basic/       { auth_basic "test"; auth_basic_user_file %DIR%/users; api_key_user $remote_user; api_key_export usage;
                                 location /basic/nested/ { api_key_export conversations; } }
        location /ssi-own/     { auth_basic off; ssi on; alias %DIR%/html/own/; }
        location /ssi-key/     { api_key "test"; api_key_source header:X-Key bearer; ssi on; alias %DIR%/html/own/; }
        location /named/       { allow all; api_key_user $arg_who; api_key_export usage; }
        location /both/        { api_key "test"; api_key_user "x-$api_key_user"; api_key_export usage; }
        location /redirected/  { api_key "test"; error_page 418 = /export/; return 418; }
        location /lost/        { api_key "test"; api_key_require other; error_page 403 = /export/; empty_gif; }
    }
}
"""

with Test() as t:
    alice, poor, admin = t.key(user="alice"), t.key(user="poor", scopes="chat"), t.key(user="admin", scopes="usage:read")
    sidecar = FakeSidecar(t.folder)
    sidecar.answers = whole(b"(data)")
    nginx = t.nginx(CONF, redis=t.redis(keys=[alice, poor, admin]), sidecar=sidecar, start=False)
    os.makedirs(f"{nginx.folder}/html/open")
    with open(f"{nginx.folder}/html/open/page", "w", encoding="ascii") as file:
        file.write('<!--#include virtual="/export/" -->')
    os.makedirs(f"{nginx.folder}/html/own")
    with open(f"{nginx.folder}/html/own/page", "w", encoding="ascii") as file:
        file.write('<!--#include virtual="/basic/" -->')
    with open(f"{nginx.folder}/users", "w", encoding="ascii") as file:
        file.write("carol:{PLAIN}secret\n")
    nginx.start()

    def asks(path, user, key_id, key=None, headers=()):
        before = len(sidecar.requests)
        r = nginx.get(path, key, headers=headers)
        asked = sidecar.requests[before:]
        t.is_((r.status, [a.text("Apikey-User") for a in asked], [a.text("Apikey-Key") for a in asked if a.field("Apikey-Key")]),
              (200, [user], [key_id] if key_id else []), f"{path}: in the name of {user}")
        return r

    def asks_nothing(path, status, key=None, headers=()):
        before = len(sidecar.requests)
        r = nginx.get(path, key, headers=headers)
        t.is_((r.status, len(sidecar.requests) - before), (status, 0), f"{path}: {status}, and apikeyd is asked nothing")
        return r

    asks("/export/", "alice", alice.id, alice)
    asks_nothing("/export/", 401)
    asks_nothing("/export/", 401, t.key())

    # --- subrequests ---
    r = asks("/checked/page", "alice", alice.id, alice)
    t.like(r.text, r"\(data\)", "a page that includes it, for who was verified")
    for who in (None, alice, t.key()):
        r = asks_nothing("/open/page", 200, who)
        t.unlike(r.text, r"\(data\)", "a page that verifies nobody includes nothing")
    r = asks_nothing("/checked/page", 200, poor)
    t.unlike(r.text, r"\(data\)", "nor for a key without the scope")
    t.unlike(asks_nothing("/added/", 200).text, r"\(data\)", "nor anything before what is added to")

    # --- other rules ---
    r = asks_nothing("/any/", 401)
    t.is_((r.code, r.header("WWW-Authenticate")), ("missing_api_key", 'Bearer realm="test"'), "let in by another rule: nobody is known")
    asks_nothing("/any/", 401, t.key())
    asks_nothing("/any/", 401, poor)
    asks("/any-key/", "alice", alice.id, alice)
    asks_nothing("/any-key/", 403, poor)
    asks("/redirected/", "alice", alice.id, alice)
    asks_nothing("/redirected/", 403, poor)
    asks("/lost/", "admin", admin.id, admin)      # refused there for another scope; here it has the one that is needed
    asks_nothing("/lost/", 403, poor)

    # --- api_key_user ---
    carol = {"Authorization": "Basic Y2Fyb2w6c2VjcmV0"}
    asks("/basic/", "carol", None, headers=carol)
    asks("/basic/nested/", "carol", None, headers=carol)
    asks_nothing("/basic/", 401)
    for key in (alice, None):
        t.unlike(asks_nothing("/ssi-key/page", 200 if key else 401, key, {} if key else carol).text, r"\(data\)", "nor beside a key")
    for who in (carol, {"Authorization": "Basic Y2Fyb2w6d3Jvbmc="}):         # nginx asks a subrequest for no password
        t.unlike(asks_nothing("/ssi-own/page", 200, headers=who).text, r"\(data\)", "api_key_user names nobody for a subrequest")
    asks("/both/", "x-alice", alice.id, alice)
    asks_nothing("/both/", 403, poor)
    r = asks_nothing("/named/", 401)
    t.is_((r.code, r.header("WWW-Authenticate")), ("missing_api_key", 'Bearer realm="API"'), "nobody is named")
    asks_nothing("/named/?who=%ff", 400)            # not among the parameters of an export
