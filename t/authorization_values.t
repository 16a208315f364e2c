#!/usr/bin/python3
# How an Authorization value is read: any case of the scheme, spaces around, other schemes; HTTP/1.1 and HTTP/2 agree.
# Hazards: P4, P5, P6, P7, P8, P13

from lib.apikeytest import Test, authorization

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
        location / {
            api_key    "test";
            include    %API_KEY_PARAMS%;
            proxy_pass http://%UPSTREAM%;
        }
    }
}
"""


def http1(value):
    return nginx.get("/", headers=[("Authorization", value)])


def http2(value):
    with nginx.connect2(port=nginx.ports["PORT_H2"]) as client:
        return client.request(headers=[("authorization", value)])


with Test() as t:
    alice, short = t.key(user="alice"), t.key(user="short", text="x")
    proxy = t.redis_proxy(t.redis(keys=[alice, short]))
    nginx = t.nginx(CONF, redis=proxy, upstream=t.upstream())
    authorization.check(t, proxy, alice.key, {"1.1": http1, "2": http2})
