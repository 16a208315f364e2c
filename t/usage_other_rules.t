#!/usr/bin/python3
# Beside other rules: a request counts when its key was verified before another rule refused it, and does not when it was let in
# without regard to its key. A preflight without a key is nobody's; post_action counts nothing more.
# Hazards: U2, P17, N10, N11

from lib.apikeytest import Test, delay, request_bytes, wait_for
from lib.apikeytest import usage

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone  keys:32m;
    api_key_redis %REDIS% timeout=5s;
    api_key_usage_interval 100ms;
    limit_req_zone $api_key_id zone=by_key:1m rate=1r/m;
    limit_req_zone all         zone=by_server:1m rate=1r/m;
    auth_basic_user_file %DIR%/users;
    map "$request_method $http_origin $http_access_control_request_method" $is_preflight {
        default                0;
        "~^OPTIONS \\S+ \\S+$" 1;
    }
    server {
        listen 127.0.0.1:%PORT%;
        api_key "test";
        api_key_source header:X-Key;
        location /deny/before   { deny all; empty_gif; }
        location /deny/after    { api_key_phase preaccess; deny all; empty_gif; }
        location /limit/before  { limit_req zone=by_server; proxy_pass http://%UPSTREAM%; }
        location /limit/after   { api_key_phase preaccess; limit_req zone=by_key; limit_req_status 429; proxy_pass http://%UPSTREAM%; }
        location /basic         { auth_basic "b"; empty_gif; }
        location /any/allow     { satisfy any; allow all; empty_gif; }
        location /any/deny      { satisfy any; deny all; empty_gif; }
        location /any/basic     { satisfy any; auth_basic "b"; empty_gif; }
        location /any/scope     { satisfy any; api_key_require admin; auth_basic "b"; empty_gif; }
        location /options       { proxy_pass http://%UPSTREAM%; }
        location /except        { limit_except OPTIONS { api_key "test"; } api_key off; proxy_pass http://%UPSTREAM%; }
        location /map           { if ($is_preflight) { return 204; } proxy_pass http://%UPSTREAM%; }
        location /post          { post_action /account; empty_gif; }
        location = /account     { internal; proxy_pass http://%UPSTREAM%; }
        location /late          { api_key off; post_action /account; proxy_pass http://%UPSTREAM%; }
    }
}
"""
BASIC = ("Authorization", "Basic am9lOnB3")        # joe:pw
PREFLIGHT = (("Origin", "https://app.example"), ("Access-Control-Request-Method", "POST"))

with Test() as t:
    alice, stranger = t.key(user="alice", scopes="chat"), t.key()
    redis, upstream = t.redis(keys=[alice]), t.upstream()
    proxy = t.redis_proxy(redis)
    nginx = t.nginx(CONF, redis=proxy, upstream=upstream)
    with open(f"{nginx.folder}/users", "w", encoding="ascii") as file:
        file.write("joe:{PLAIN}pw\n")
    expected = {}

    def ask(name, path, status, counts=None, key=alice, headers=(), method="GET"):
        headers = [*headers, *([("X-Key", key.key)] if key else [])]
        t.is_(nginx.get(path, headers=headers, method=method).status, status, f"{name}: {status}")
        if counts:
            expected[path, counts] = expected.get((path, counts), 0) + 1

    ask("deny, which is asked before the key", "/deny/before", 403)
    ask("deny, asked after it", "/deny/after", 403, "error")
    ask("a limit, not yet reached", "/limit/before", 200, "success")
    ask("refused by it before the key is verified", "/limit/before", 503)
    ask("a limit per key, not yet reached", "/limit/after", 200, "success")
    ask("refused by it when the key is verified", "/limit/after", 429, "error")
    ask("auth_basic, which is asked after the key", "/basic", 401, "error")
    ask("let in by both", "/basic", 200, "success", headers=[BASIC])
    ask("satisfy any: allow, which is asked before the key", "/any/allow", 200)
    ask("satisfy any: the key", "/any/deny", 200, "success")
    ask("satisfy any: the key, before auth_basic is asked", "/any/basic", 200, "success", headers=[BASIC])
    ask("satisfy any: not the key, but auth_basic", "/any/basic", 200, key=stranger, headers=[BASIC])
    ask("satisfy any: a key that lacks a scope, and auth_basic", "/any/scope", 200, headers=[BASIC])
    ask("satisfy any: a key that lacks a scope, and no other", "/any/scope", 401, "error")

    ask("a preflight without a key", "/options", 401, key=None, headers=PREFLIGHT, method="OPTIONS")
    ask("a preflight with one", "/options", 200, "success", headers=PREFLIGHT, method="OPTIONS")
    ask("a preflight that limit_except lets through", "/except", 200, key=None, headers=PREFLIGHT, method="OPTIONS")
    ask("with a key that nobody looks at", "/except", 200, headers=PREFLIGHT, method="OPTIONS")
    ask("what limit_except does not let through", "/except", 200, "success")
    ask("a preflight that nginx answers", "/map", 204, headers=PREFLIGHT, method="OPTIONS")

    ask("a request with a post_action", "/post", 200, "success")
    t.ok(wait_for(lambda: upstream.requests[-1]["path"] == "/account"), "which follows it")
    # It is a part of its request: where only the post_action asks for a key, the request counts there.
    with nginx.connect() as client:
        t.is_(client.request(path="/late", headers=[("X-Key", alice.key)]).status, 200, "a request that needs none, whose post_action does: 200")
        t.ok(wait_for(lambda: [r["path"] for r in upstream.requests].count("/account") == 2), "its post_action")
    expected["/account", "success"] = 1

    # The client leaves before its key is verified: there is nobody to count it for.
    proxy.on("HMGET", delay(0.3), nth=1)
    with nginx.connect() as client:
        client.send(request_bytes(path="/options", headers=[("X-Key", alice.key)]))
        wait_for(lambda: proxy.count("HMGET") > 10)

    usage.wait_counted(redis, sum(expected.values()))
    found = usage.by(redis, "endpoint", "status")
    for name in sorted(set(expected) | set(found)):
        t.is_(found.get(name), expected.get(name), f"counted: {' '.join(name)}")
    t.is_(set(usage.by(redis, "user")), {"alice"}, "all of them alice's")
    t.is_([x["status"] for x in nginx.wait_requests(23)].count(499), 1, "one client left")
