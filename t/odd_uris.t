#!/usr/bin/python3
# However a request writes its URI, it is checked by the rules of the location that serves it; the identity never hangs on it.
# Hazards: P25

from lib.apikeytest import Test, request_bytes

CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    server {
        listen 127.0.0.1:%PORT%;
        listen 127.0.0.1:%PORT_H2% http2;
        server_name api.example;
        location /         { return 200 "public"; }
        location /private/ { api_key "test"; include %API_KEY_PARAMS%; proxy_pass http://%UPSTREAM%; }
        location /admin/   { api_key "test"; api_key_require admin; empty_gif; }
    }
    server {
        listen 127.0.0.1:%PORT%;
        server_name other.example;
        location / { api_key "other"; empty_gif; }
    }
}
"""

# Ways to write something under /private/ (a client's own business), and what nginx refuses as no URI at all.
PRIVATE = ["/private/x", "//private/x", "/./private/x", "/public/../private/x", "/public/%2e%2e/private/x", "/%70rivate/x",
           "/public/%2E%2e/%70%72ivate//x", "/private/../private/x", "/private/x?a=/public", "/private/x#/public",
           "/private%2fx", "http://api.example/private/x", "HTTP://API.Example/private/x", "http://api.example//private/./x",
           "http://api.example/public/../private/x"]
MALFORMED = ["/%00private/x", "/private/%00", "/private/%zz", "/../private/x", "/public/../../private/x", "http://", "private/x"]
PUBLIC = ["/", "/PRIVATE/x", "/private/../x", "/private/%2e%2e/x", "/x?/private/", "http://api.example/", "/a%2fb"]


def ask(target, key=None, host="api.example"):
    with nginx.connect() as client:
        client.send(request_bytes(path=target, key=key, host=host))
        return client.response()


with Test() as t:
    alice, stranger = t.key(user="alice", scopes="chat"), t.key()
    upstream = t.upstream()
    nginx = t.nginx(CONF, redis=t.redis(keys=[alice]), upstream=upstream)

    for target in PRIVATE:
        t.is_((ask(target).code, ask(target, stranger).code), ("missing_api_key", "invalid_api_key"), f"{target}: checked")
        r = ask(target, alice)
        t.is_((r.status, r.saw("X-User-Id")), (200, ["alice"]), f"{target}: served as oneself")
    t.is_(upstream.saw("X-User-Id"), ["alice"] * len(PRIVATE), "nobody else came through")

    for target in MALFORMED:
        t.is_({(r.status, r.code) for r in (ask(target), ask(target, alice))}, {(400, None)}, f"{target}: nginx's 400")
    for target in PUBLIC:
        t.is_((ask(target).status, ask(target, alice).status), (200, 200), f"{target}: not protected")

    t.is_(ask("/private/../admin/x", alice).code, "insufficient_scope", "a path that leads elsewhere is judged there")
    t.is_(ask("/admin/../private/x", alice).status, 200, "also to where less is asked for")
    for target, host in (("http://other.example/private/x", "api.example"), ("/private/x", "OTHER.example"),
                         ("http://other.example/", "nowhere.example")):
        t.is_(ask(target, host=host).header("WWW-Authenticate"), 'Bearer realm="other"', f"{target} at {host}: by its server")
    t.is_(ask("http://api.example/", host="other.example").text, "public", "the URI's host counts, not the header's")

    with nginx.connect2(port=nginx.ports["PORT_H2"]) as client:
        for target in ("//private/x", "/public/../private/x", "/%70rivate/x"):
            answers = [client.request(path=target, key=key) for key in (None, stranger, alice)]
            t.is_([r.status for r in answers], [401, 401, 200], f"HTTP/2: {target}")
        t.is_(client.request(path="/private/%00", key=alice).status, 400, "HTTP/2: what is no URI")
    t.is_({x["user"] for x in nginx.requests() if x["status"] != 200}, {"", "alice"}, "the log names nobody else")
