#!/usr/bin/python3
# Beside other access rules: `satisfy any` combines 401 and 403, withdraws our challenge and document when another rule lets
# the request in, and then nobody's identity reaches the upstream, not even one that the client claims.
# Hazards: N10, N11, N12, V11

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
        satisfy any;
        include %API_KEY_PARAMS%;
        location /allowed { allow 127.0.0.1; deny all; api_key "test"; proxy_pass http://%UPSTREAM%; }
        location /denied { deny all; api_key "test"; proxy_pass http://%UPSTREAM%; }
        location /basic { auth_basic "b"; auth_basic_user_file %DIR%/users; api_key "test"; proxy_pass http://%UPSTREAM%; }
        location /scoped { auth_basic "b"; auth_basic_user_file %DIR%/users; api_key "test"; api_key_require x;
                           api_key_source header:X-Key; proxy_pass http://%UPSTREAM%; }
        location /refusing { auth_basic "b"; auth_basic_user_file %DIR%/users; api_key "test"; api_key_require x;
                             api_key_source header:X-Key; proxy_pass http://%REFUSING%; }
        location /all { satisfy all; deny all; api_key "test"; proxy_pass http://%UPSTREAM%; }
    }
    server {
        listen 127.0.0.1:%PORT_R%;
        access_log off;
        location /refusing/401 { return 401 "the upstream's own"; }
        location /refusing/403 { return 403 "the upstream's own"; }
    }
}
"""
BASIC = "Basic am9lOnB3"                               # joe:pw
CLAIM = {"X-User-Id": "mallory"}

with Test() as t:
    alice, reader, nobody = t.key(user="alice"), t.key(user="reader", scopes="read"), t.key(user=None)
    redis = t.redis(keys=[alice, reader])
    proxy = t.redis_proxy(redis)
    nginx = t.nginx(CONF.replace("%REFUSING%", "127.0.0.1:%PORT_R%"), redis=proxy, upstream=t.upstream())
    with open(f"{nginx.folder}/users", "w", encoding="ascii") as file:
        file.write("joe:{PLAIN}pw\n")

    answer = nginx.get("/allowed", alice, headers=CLAIM)
    t.is_((answer.status, answer.saw("X-User-Id")), (200, []), "N10: allow let it in: nobody's identity, nor the claimed one")
    t.is_(proxy.count("HMGET"), 0, "and no lookup")
    t.is_(nginx.get("/denied", alice).saw("X-User-Id"), ["alice"], "deny, but a good key")
    answer = nginx.get("/denied", nobody)
    t.is_((answer.status, answer.code), (401, "invalid_api_key"), "deny and a bad key")
    proxy.forget()
    t.is_(nginx.get("/all", alice).status, 403, "satisfy all: what deny refuses")
    t.is_(proxy.count("HMGET"), 0, "costs no lookup")

    answer = nginx.get("/basic", headers={"Authorization": BASIC} | CLAIM)
    t.is_((answer.status, answer.saw("X-User-Id")), (200, []), "N11: ours 401, then auth_basic: passes")
    t.is_(answer.all("WWW-Authenticate"), [], "without any challenge")
    answer = nginx.get("/basic", headers={"Authorization": "Basic d3Jvbmc6d3Jvbmc="})
    t.is_((answer.status, answer.code), (401, "missing_api_key"), "neither")
    t.is_(sorted(value.split()[0] for value in answer.all("WWW-Authenticate")), ["Basic", "Bearer"], "both challenges")
    t.is_(nginx.get("/basic", alice).saw("X-User-Id"), ["alice"], "a good key")

    answer = nginx.get("/scoped", headers={"Authorization": BASIC, "X-Key": reader.key})
    t.is_((answer.status, answer.saw("X-User-Id")), (200, []), "ours 403, then auth_basic: passes, as nobody")
    t.is_([answer.saw("X-Api-Key-Id"), answer.saw("X-Api-Key-Scopes")], [[], []], "in every respect")
    t.is_(answer.all("WWW-Authenticate"), [], "without any challenge")
    for status in (401, 403):
        for what, headers in (("no key", {}), ("a weak key", {"X-Key": reader.key})):
            answer = nginx.get(f"/refusing/{status}", headers={"Authorization": BASIC} | headers)
            t.is_((answer.status, answer.text, answer.all("WWW-Authenticate")), (status, "the upstream's own", []),
                  f"an upstream's own {status} stays its own, with {what}")
    t.is_([(row["key_status"], row["user"]) for row in nginx.wait_requests(12)[-5:]],
          [("forbidden", ""), ("missing", ""), ("forbidden", ""), ("missing", ""), ("forbidden", "")],
          "the log has our verdict, and nobody's name")

    redis.stop()
    t.is_(nginx.get("/basic", alice).status, 503, "N12: Redis away: 503 finishes the request")
    t.is_(nginx.get("/allowed", alice).status, 200, "but not where another rule came first")
    t.is_(nginx.get("/basic", headers={"Authorization": BASIC}).status, 200, "nor where there is no key to look up")
