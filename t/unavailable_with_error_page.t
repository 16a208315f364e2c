#!/usr/bin/python3
# error_page works on 503 while Redis is away: the page is sent once, the verdict is logged, and nobody is let in by it.
# Hazards: N6, R1

from lib.apikeytest import Test, wait_for

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    include %API_KEY_PARAMS%;
    server {
        listen 127.0.0.1:%PORT%;
        api_key "test";
        location /        { proxy_pass http://%UPSTREAM%; }
        location /plain   { proxy_pass http://%UPSTREAM%; error_page 503 /x; }
        location /named   { proxy_pass http://%UPSTREAM%; error_page 503 = @x; }
        location /guarded { proxy_pass http://%UPSTREAM%; error_page 503 /guarded/x; }
        location /again   { proxy_pass http://%UPSTREAM%; error_page 503 /again; recursive_error_pages on; }
        location = /x     { internal; api_key off; default_type text/plain; return 200 "later"; }
        location @x       { api_key off; proxy_pass http://%UPSTREAM%; }
    }
}
"""

with Test() as t:
    alice = t.key(user="alice")
    proxy, upstream = t.redis_proxy(t.redis(keys=[alice])), t.upstream()
    nginx = t.nginx(CONF, redis=proxy, upstream=upstream)
    t.is_(nginx.get("/", alice).status, 200, "Redis is in use")
    proxy.refuse()
    proxy.close_all()
    t.ok(nginx.wait_log("cannot be used"), "Redis is away")

    r = nginx.get("/plain", alice)
    t.is_((r.status, r.text, r.header("Retry-After")), (503, "later", "1"), "a page by its URI")
    r = nginx.get("/named", alice, headers={"X-User-Id": "mallory"})
    t.is_((r.status, r.json["path"], r.saw("X-User-Id")), (200, "/named", []), "a page by name has no identity")
    for path in ("/guarded", "/"):
        r = nginx.get(path, alice)
        t.is_((r.status, r.code, r.header("Retry-After")), (503, "api_key_unavailable", "1"),
              f"{path}: where the page cannot be had either, our own answer")
    t.is_(nginx.get("/again", alice).status, 500, "a page that leads to itself: nginx ends the circle")
    t.is_(nginx.get("/plain").status, 401, "whoever has no key is refused as always")

    logged = nginx.wait_requests(7)
    t.is_([(x["status"], x["key_status"], x["user"]) for x in logged],
          [(200, "valid", "alice"), (503, "unavailable", ""), (200, "unavailable", "")] +
          [(503, "unavailable", "")] * 2 + [(500, "unavailable", ""), (401, "missing", "")],
          "the verdict is known in the log, each request once")

    proxy.accept()
    t.ok(wait_for(lambda: nginx.get("/named", alice).json.get("headers") is not None
                  and nginx.requests()[-1]["key_status"] == "valid"), "Redis is back, and alice is let in")
