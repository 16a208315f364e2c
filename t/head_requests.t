#!/usr/bin/python3
# HEAD gets the status and the headers of GET and no body, refused or not, and is one request in the log.
# Hazards: P16

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
        listen 127.0.0.1:%PORT_H2% http2;
        api_key "test";
        root %DIR%;
        location / { }
        location /scoped/ { api_key_require admin; }
    }
}
"""

with Test() as t:
    alice, late, stranger = t.key(user="alice", scopes="chat"), t.key(expires=1), t.key()
    redis_proxy = t.redis_proxy(t.redis(keys=[alice, late]))
    nginx = t.nginx(CONF, redis=redis_proxy)
    with open(f"{nginx.folder}/file", "w", encoding="ascii") as file:
        file.write("content")

    def steady(headers):
        return [(name.lower(), value) for name, value in headers if name.lower() != "date"]

    def compare(name, status, path, key, **options):
        """GET and HEAD over both versions; the log has one line for each."""
        with nginx.connect() as client, nginx.connect2(port=nginx.ports["PORT_H2"]) as client2:
            for version, connection in (("1.1", client), ("2", client2)):
                got = connection.request("GET", path, key, **options)
                head = connection.request("HEAD", path, key, **options)
                again = connection.request("GET", path, key, **options)
                t.is_((got.status, head.status, again.status), (status,) * 3, f"HTTP/{version}: {name}: the same status")
                t.is_(steady(head.headers), steady(got.headers), f"HTTP/{version}: {name}: the same headers")
                t.is_((head.body, int(head.header("Content-Length")), again.body), (b"", len(got.body), got.body),
                      f"HTTP/{version}: {name}: no body, but its length, and the next answer is right")
        return 6

    count = compare("a good key", 200, "/file", alice)
    count += compare("a good key, no such file", 404, "/none", alice)
    count += compare("no key", 401, "/file", None)
    count += compare("a malformed key", 401, "/file", "a b")
    count += compare("an unknown key", 401, "/file", stranger)
    count += compare("an expired key", 401, "/file", late)
    count += compare("a scope is missing", 403, "/scoped/file", alice)
    redis_proxy.refuse()
    redis_proxy.close_all()
    count += compare("no Redis", 503, "/file", alice)

    t.logged_once(nginx, count)
    methods = [x["method"] for x in nginx.requests()]
    t.is_(methods.count("HEAD"), count // 3, "a third of them HEAD")
