#!/usr/bin/python3
# error_page works on refusals: by URI and by name, on a protected page, recursively; the log still has the verdict.
# Hazards: N6, N14

from lib.apikeytest import Test

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

        location /plain     { proxy_pass http://%UPSTREAM%; error_page 401 /page; error_page 403 /page; }
        location /changed   { proxy_pass http://%UPSTREAM%; error_page 401 =402 /page; }
        location /named     { proxy_pass http://%UPSTREAM%; error_page 401 = @login; }
        location /elsewhere { proxy_pass http://%UPSTREAM%; error_page 401 https://example.com/login; }
        location /scopes    { proxy_pass http://%UPSTREAM%; error_page 403 = @login; api_key_require admin; }

        # The page needs a key itself.
        location /guarded   { proxy_pass http://%UPSTREAM%; error_page 401 /guarded/page; }
        location /again     { proxy_pass http://%UPSTREAM%; error_page 401 /again; recursive_error_pages on; }
        location /twice     { proxy_pass http://%UPSTREAM%; error_page 401 = @twice; recursive_error_pages on; }
        location @twice     { proxy_pass http://%UPSTREAM%; error_page 401 = @login; recursive_error_pages on; }

        # A page of an answer that the API gave to a request that was let in.
        location /intercept { proxy_pass http://unix:%UPSTREAM_401%; proxy_intercept_errors on; error_page 401 /intercepted; }
        location /intercepted { internal; proxy_pass http://%UPSTREAM%; }

        location /page      { internal; api_key off; default_type text/plain; return 200 "our page"; }
        location @login     { api_key off; proxy_pass http://%UPSTREAM%; }
    }
    server {
        listen unix:%UPSTREAM_401%;
        return 401 "the API's own page";
    }
}
"""

PLAIN, INVALID = 'Bearer realm="test"', 'Bearer realm="test", error="invalid_token"'

with Test() as t:
    alice, stranger = t.key(user="alice", scopes="chat"), t.key(user="nobody")
    proxy, upstream = t.redis_proxy(t.redis(keys=[alice])), t.upstream()
    nginx = t.nginx(CONF, redis=proxy, upstream=upstream, upstream_401=f"{t.folder}/401.sock")
    told = []

    def get(path, key, lookups):
        proxy.forget()
        r = nginx.get(path, key)
        told.append(nginx.wait_requests(len(told) + 1)[-1])
        t.is_(proxy.count("HMGET"), lookups, f"{path}: lookups")
        return r

    for key, challenge in ((None, PLAIN), (stranger, INVALID)):
        lookups = 0 if key is None else 1
        r = get("/plain", key, lookups)
        t.is_((r.status, r.text, r.header("WWW-Authenticate")), (401, "our page", challenge), "a page by its URI")
        t.is_(r.header("Content-Type"), "text/plain", "is sent as it is")
        r = get("/changed", key, lookups)
        t.is_((r.status, r.text), (402, "our page"), "with another status")
        r = get("/named", key, lookups)
        t.is_((r.status, r.json["path"], r.saw("X-User-Id")), (200, "/named", []), "a page by name has no identity")
        r = get("/elsewhere", key, lookups)
        t.is_((r.status, r.header("Location")), (302, "https://example.com/login"), "a page elsewhere")
        r = get("/guarded", key, lookups)
        t.is_((r.status, r.code), (401, "missing_api_key" if key is None else "invalid_api_key"),
              "a page that needs a key ends as our own answer")
        t.is_(r.header("WWW-Authenticate"), challenge, "with one challenge")
        r = get("/again", key, lookups)
        t.is_((r.status, r.text.count("500")), (500, 2), "a page that leads to itself: nginx ends the circle")
        r = get("/twice", key, lookups)
        t.is_((r.status, r.json["path"]), (200, "/twice"), "a page of a page")

    r = get("/scopes", alice, 1)
    t.is_((r.status, r.json["path"]), (200, "/scopes"), "a page for whoever lacks a scope")
    t.is_(told[-1]["key_status"], "forbidden", "whose verdict is logged")
    r = get("/plain", alice, 1)
    t.is_((r.status, r.saw("X-User-Id")), (200, ["alice"]), "whoever may, sees none of the pages")
    r = get("/intercept", alice, 1)
    t.is_((r.status, r.json["path"], r.saw("X-User-Id")), (401, "/intercepted", ["alice"]),
          "a page for the API's own 401: its client is still alice")
    t.is_(r.all("WWW-Authenticate"), [], "and no challenge of ours")

    t.is_([x["key_status"] for x in told], ["missing"] * 7 + ["invalid"] * 7 + ["forbidden", "valid", "valid"],
          "the verdict is known in the log, wherever the request ended")
    t.is_([x["user"] for x in told], [""] * 14 + ["alice"] * 3, "and whose key it was")
    t.is_([x["uri"] for x in told if x["status"] == 401],
          ["/page", "/guarded/page"] * 2 + ["/intercepted"], "each request ended once")
