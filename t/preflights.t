#!/usr/bin/python3
# OPTIONS needs a key like any method; limit_except lets all of it through, and a map lets only real preflights through.
# Hazards: P17

from lib.apikeytest import Test

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    map "$request_method $http_origin $http_access_control_request_method" $is_preflight {
        default               0;
        "~^OPTIONS \\S+ \\S+$" 1;
    }
    server {
        listen 127.0.0.1:%PORT%;
        include %API_KEY_PARAMS%;
        location /default/ { api_key "test"; proxy_pass http://%UPSTREAM%; }
        location /except/ {                # the upstream answers preflights
            limit_except OPTIONS { api_key "test"; }
            proxy_pass http://%UPSTREAM%;
        }
        location /except/scoped/ {
            limit_except OPTIONS { api_key "test"; api_key_require admin; }
            proxy_pass http://%UPSTREAM%;
        }
        location /map/ {                   # nginx answers preflights, and nothing else
            if ($is_preflight) {
                add_header Access-Control-Allow-Origin  https://app.example;
                add_header Access-Control-Allow-Headers Authorization;
                return 204;
            }
            api_key "test";
            proxy_pass http://%UPSTREAM%;
        }
    }
}
"""

PREFLIGHT = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST",
             "Access-Control-Request-Headers": "authorization"}
FORGED = {"X-User-Id": "mallory", "X-Api-Key-Id": "1", "X-Api-Key-Scopes": "*"}

with Test() as t:
    alice, stranger = t.key(user="alice", scopes="chat"), t.key()
    redis_proxy, upstream = t.redis_proxy(t.redis(keys=[alice])), t.upstream()
    nginx = t.nginx(CONF, redis=redis_proxy, upstream=upstream)

    def options(path, headers=PREFLIGHT, key=None, method="OPTIONS"):
        return nginx.get(path, key, dict(headers), method=method)

    r = options("/default/")
    t.is_((r.status, r.code), (401, "missing_api_key"), "by default a preflight needs a key")
    t.is_(options("/default/", key=alice).saw("X-User-Id"), ["alice"], "and passes with one")

    r = options("/except/", PREFLIGHT | FORGED)
    t.is_((r.status, r.json["method"]), (200, "OPTIONS"), "limit_except: it reaches the upstream without a key")
    t.is_([r.saw(name) for name in FORGED], [[], [], []], "limit_except: as nobody, whatever it says")
    r = options("/except/", key=stranger)
    t.is_((r.status, r.saw("X-User-Id"), r.saw("Authorization")), (200, [], []), "limit_except: a bad key is not read")
    r = options("/except/", key=alice)
    t.is_((r.status, r.saw("X-User-Id"), r.saw("Authorization")), (200, [], []), "limit_except: nor is a good one")
    t.is_(redis_proxy.count("HMGET"), 1, "limit_except: nothing was looked up for it")
    for method in ("GET", "HEAD", "POST", "DELETE", "FOO"):
        t.is_(options("/except/", method=method).status, 401, f"limit_except: {method} needs a key")
        t.is_(options("/except/", method=method, key=stranger).status, 401, f"limit_except: {method} needs a good key")
    t.is_(options("/except/", FORGED, alice, "POST").saw("X-User-Id"), ["alice"], "limit_except: and POST passes with it")
    r = options("/except/scoped/", key=alice, method="POST")
    t.is_((r.status, r.header("WWW-Authenticate")),
          (403, 'Bearer realm="test", error="insufficient_scope", scope="admin"'), "limit_except: with scopes, too")

    passed = len(upstream.requests)
    r = options("/map/")
    t.is_((r.status, r.header("Access-Control-Allow-Headers"), len(upstream.requests)), (204, "Authorization", passed),
          "map: nginx answers a preflight")
    for name, headers, method in (("OPTIONS alone", {}, "OPTIONS"),
                                  ("OPTIONS without Origin", {"Access-Control-Request-Method": "POST"}, "OPTIONS"),
                                  ("OPTIONS with Origin alone", {"Origin": "https://app.example"}, "OPTIONS"),
                                  ("GET with all of it", PREFLIGHT, "GET"), ("POST with all of it", PREFLIGHT, "POST")):
        r = options("/map/", headers, method=method)
        t.is_((r.status, r.code), (401, "missing_api_key"), f"map: {name} needs a key")
    t.is_(options("/map/", {}, alice).saw("X-User-Id"), ["alice"], "map: other OPTIONS pass with one")

    preflights = [x for x in nginx.wait_requests(1) if x["method"] == "OPTIONS" and x["status"] in (200, 204)]
    t.is_([(x["uri"], x["user"]) for x in preflights],
          [("/default/", "alice")] + [("/except/", "")] * 3 + [("/map/", ""), ("/map/", "alice")],
          "the log names a user only where a key was checked")
