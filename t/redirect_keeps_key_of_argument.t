#!/usr/bin/python3
# A key that came as an argument is still the request's key after a redirect or rewrite that dropped the arguments.
# Hazards: N5, P14

from lib.apikeytest import Test

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    map $args $args_without_key {          # as in docs/directives.md
        default                                         $args;
        "~^(?<before>(?:.*&)?)key=[^&]*&?(?<after>.*)$" $before$after;
    }
    server {
        listen 127.0.0.1:%PORT%;
        include %API_KEY_PARAMS%;
        api_key        "test";
        api_key_source arg:key;

        location = /direct      { proxy_pass http://%UPSTREAM%; }
        location = /try         { try_files /nothing /direct; }
        location = /accel       { proxy_pass http://%REDIRECTING%; }
        location = /rewrite     { rewrite ^ /direct? last; }
        location = /strip       { rewrite ^ /stripped? break; proxy_pass http://%UPSTREAM%; }
        location = /set         { set $args $args_without_key; proxy_pass http://%UPSTREAM%; }
        location = /named       { try_files /nothing @named; }
        location @named         { proxy_pass http://%UPSTREAM%; }
        location = /bearer-only { api_key_source bearer; proxy_pass http://%UPSTREAM%; }
        location = /to-bearer   { try_files /nothing /bearer-only; }
        location = /replaced    { rewrite ^ /direct?key=%OTHER%? last; }
    }
}
"""

with Test() as t:
    alice, bob, stranger = t.key(user="alice"), t.key(user="bob"), t.key(user="nobody")
    other = t.key(user="other")
    proxy = t.redis_proxy(t.redis(keys=[alice, bob, other]))
    upstream, redirecting = t.upstream(), t.upstream()
    redirecting.extra_headers = [("X-Accel-Redirect", "/direct")]
    nginx = t.nginx(CONF, redis=proxy, upstream=upstream, redirecting=redirecting, other=other.key)

    for path in ("/direct", "/try", "/accel", "/rewrite", "/strip", "/set", "/named"):
        proxy.forget()
        r = nginx.get(f"{path}?key={alice.key}&x=y")
        t.is_((r.status, r.status == 200 and r.saw("X-User-Id")), (200, ["alice"]), f"{path}: alice")
        t.is_(proxy.count("HMGET"), 1, f"{path}: one lookup")
        r = nginx.get(f"{path}?key={stranger.key}")
        t.is_((r.status, r.code), (401, "invalid_api_key"), f"{path}: a stranger is refused")
        t.is_(nginx.get(f"{path}?x=y").code, "missing_api_key", f"{path}: no key is none")
        t.is_(nginx.get(f"{path}?key={alice.key}&key={bob.key}").code, "malformed_api_key", f"{path}: two are neither")

    t.is_(nginx.get(f"/strip?key={alice.key}").json["path"], "/stripped", "a rewrite keeps the key from the API")
    for sent, got in (("key={}", "/set?"), ("a=b&key={}", "/set?a=b&"), ("key={}&c=d", "/set?c=d"),
                      ("a=b&key={}&c=d", "/set?a=b&c=d"), ("monkey=x&key={}", "/set?monkey=x&")):
        t.is_(nginx.get("/set?" + sent.format(alice.key)).json["path"].rstrip("?"), got.rstrip("?"), f"{sent}: so does set")
    r = nginx.get(f"/to-bearer?key={alice.key}")
    t.is_((r.status, r.code), (401, "missing_api_key"), "a location that takes no argument takes none by a detour")
    t.is_(nginx.get(f"/replaced?key={alice.key}").saw("X-User-Id"), ["alice"], "what the client sent comes first")
    t.is_(nginx.get("/replaced").saw("X-User-Id"), ["other"], "and then what nginx.conf made of it")
    redirecting.extra_headers = [("X-Accel-Redirect", f"/direct?key={other.key}")]
    t.is_(nginx.get(f"/accel?key={alice.key}").saw("X-User-Id"), ["alice"], "an upstream cannot change who asks")
