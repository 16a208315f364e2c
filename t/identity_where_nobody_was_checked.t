#!/usr/bin/python3
# Where our handler did not run, or refused and something else let the request on, the upstream sees nobody's identity.
# Hazards: V11, P14

from lib.apikeytest import Test, wait_for
from lib.apikeytest.recorders import FastCgi

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    underscores_in_headers on;
    include %API_KEY_PARAMS%;
    server {
        listen 127.0.0.1:%PORT%;
        api_key "test";
        location /allowed/ { satisfy any; allow all; proxy_pass http://%UPSTREAM%; }
        location /basic/ {
            satisfy any; auth_basic "x"; auth_basic_user_file %DIR%/users;
            api_key_source header:X-Key; api_key_require admin;
            proxy_pass http://%UPSTREAM%;
        }
        location /asked/ { satisfy any; auth_request /yes; proxy_pass http://%UPSTREAM%; }
        location = /yes { proxy_pass http://%UPSTREAM%; }
        location /off/ { api_key off; proxy_pass http://%UPSTREAM%; }
        location /except/ { api_key off; limit_except PUT { api_key "test"; } proxy_pass http://%UPSTREAM%; }
        location /refused/ { error_page 401 503 = @outside; proxy_pass http://%UPSTREAM%; }
        location /denied/ { deny all; error_page 403 = @outside; proxy_pass http://%UPSTREAM%; }
        location /too-large/ { client_max_body_size 1; error_page 413 = @outside; proxy_pass http://%UPSTREAM%; }
        location /rewritten/ { error_page 418 = @outside; return 418; }
        location /mirrored/ { api_key off; mirror /mirror; proxy_pass http://%UPSTREAM%; }
        location = /mirror { internal; proxy_pass http://%UPSTREAM%; }
        location /parent/ { api_key off; auth_request /child; proxy_pass http://%UPSTREAM%; }
        location = /child { proxy_pass http://%UPSTREAM%; }
        location /fastcgi/ { satisfy any; allow all; fastcgi_pass %FASTCGI%; }
        location @outside { api_key off; proxy_pass http://%UPSTREAM%; }
        error_page 405 = @outside;         # nginx's own, for TRACE
    }
}
"""

FORGED = [("X-User-Id", "mallory"), ("x_user_id", "mallory"), ("X-Api-Key-Id", "1"), ("x_api-key_id", "1"),
          ("X-Api-Key-Scopes", "*"), ("X_API_KEY_SCOPES", "*")]

with Test() as t:
    alice, stranger, limited = t.key(user="alice"), t.key(), t.key(user="limited", scopes="chat")
    proxy, upstream, fastcgi = t.redis_proxy(t.redis(keys=[alice, limited])), t.upstream(), FastCgi(t)
    nginx = t.nginx(CONF, redis=proxy, upstream=upstream, fastcgi=fastcgi)
    with open(f"{nginx.folder}/users", "w", encoding="ascii") as file:
        file.write("joe:{PLAIN}pw\n")

    def identities(requests):
        return [(name, value) for request in requests for name, value in request["headers"]
                if name.lower().replace("_", "-").startswith(("x-user", "x-api", "auth"))]

    def check(name, path, key=None, headers=(), calls=1, **request):
        upstream.requests.clear()
        r = nginx.get(path, key, [*FORGED, *headers], **request)
        t.is_(r.status, 200, f"{name}: let through")
        wait_for(lambda: len(upstream.requests) >= calls)
        t.is_((len(upstream.requests), identities(upstream.requests)), (calls, []), f"{name}: as nobody")

    def check_all():
        check("allow", "/allowed/")
        check("allow, with a good key", "/allowed/", alice)
        check("auth_basic", "/basic/", headers=[("Authorization", "Basic am9lOnB3")])
        for what, key in (("unknown", stranger.key), ("malformed", "a b"), ("good but lacks a scope", limited.key)):
            check(f"auth_basic, with a key that is {what}", "/basic/",
                  headers=[("Authorization", "Basic am9lOnB3"), ("X-Key", key)])
        check("auth_request", "/asked/", calls=2)
        check("api_key off, with a good key", "/off/", alice)
        check("limit_except", "/except/", alice, method="PUT")
        check("deny, and an error page", "/denied/", alice)
        check("a body that is too large, and an error page", "/too-large/", alice, method="POST", body=b"long")
        check("a return, and an error page", "/rewritten/", alice)
        check("a method of nginx's, and an error page", "/refused/", alice, method="TRACE")
        for what, key in (("no key", None), ("a malformed one", "a b"), ("an unknown one", stranger)):
            check(f"{what}, and an error page", "/refused/", key)
        check("mirror", "/mirrored/", alice, calls=2)
        check("auth_request for a protected child", "/parent/", alice, calls=2)
        t.is_(nginx.get("/fastcgi/", alice, FORGED).status, 200, "FastCGI, allow: let through")
        t.ok(not [name for name, _ in fastcgi.requests[-1] if name.startswith(("HTTP_X_", "HTTP_AUTH"))], "as nobody",
             fastcgi.requests[-1])

    nginx.get("/refused/", stranger)       # no request here leaves anything to the next
    t.is_(nginx.get("/allowed/x", alice, FORGED).status, 200, "let through by address")
    t.is_(nginx.get("/refused/", alice, FORGED).saw("X-User-Id"), ["alice"], "a good key where it is asked for")
    proxy.forget()
    check_all()
    t.is_({args[1][-64:] for _, args in proxy.commands if args[0] == "HMGET"}, {stranger.hash, limited.hash},
          "keys were looked up only where they were asked for")
    proxy.refuse()
    proxy.close_all()
    check("no Redis, and an error page", "/refused/", alice)
