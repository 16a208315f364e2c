#!/usr/bin/python3
# A public location that redirects to a protected one is no way round it, and the way back keeps the identity for the log.
# Hazards: N7

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

        location = /public      { try_files /nothing /protected; }
        location = /public-page { return 404; error_page 404 = /protected; }
        location = /protected   { api_key "protected"; proxy_pass http://%UPSTREAM%; }

        # Out of a protected location into a public one.
        location = /there       { try_files /nothing /and-back; }
        location = /and-back    { api_key "back"; proxy_pass http://%TO_PUBLIC%; }
        location = /end         { internal; proxy_pass http://%UPSTREAM%; }
        location = /open        { proxy_pass http://%UPSTREAM%; }
    }
}
"""

with Test() as t:
    alice, stranger = t.key(user="alice"), t.key(user="nobody")
    proxy, upstream, to_public = t.redis_proxy(t.redis(keys=[alice])), t.upstream(), t.upstream()
    to_public.extra_headers = [("X-Accel-Redirect", "/end")]
    nginx = t.nginx(CONF, redis=proxy, upstream=upstream, to_public=to_public)

    for path, realm in (("/public", "protected"), ("/public-page", "protected"), ("/there", "back")):
        r = nginx.get(path)
        t.is_((r.status, r.code, r.header("WWW-Authenticate")), (401, "missing_api_key", f'Bearer realm="{realm}"'),
              f"{path}: no key, no entry, and the challenge of where it led")
        t.is_(nginx.get(path, stranger).code, "invalid_api_key", f"{path}: a stranger is refused")
        t.is_(nginx.get(path, headers={"X-User-Id": "alice"}).status, 401, f"{path}: whatever he says of himself")
        proxy.forget()
        r = nginx.get(path, alice)
        t.is_((r.status, r.saw("X-User-Id")), (200, ["alice"]), f"{path}: alice is let in, and known at the end")
        t.is_(proxy.count("HMGET"), 1, f"{path}: one lookup")
    t.is_(len(upstream.requests), 3, "the API saw nobody else")

    logged = nginx.wait_requests(12)
    t.is_([(x["status"], x["key_status"], x["user"]) for x in logged],
          [(401, "missing", ""), (401, "invalid", ""), (401, "missing", ""), (200, "valid", "alice")] * 3,
          "the log says what the protected location found")

    proxy.forget()
    r = nginx.get("/open", alice, headers={"X-User-Id": "mallory"})
    t.is_((r.status, r.saw("X-User-Id"), proxy.count("HMGET")), (200, [], 0), "where no key is asked for, none is seen")
    logged = nginx.wait_requests(13)[12]
    t.is_((logged["key_status"], logged["user"]), ("", ""), "nor logged")
