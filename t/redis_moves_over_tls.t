#!/usr/bin/python3
# Over TLS a Redis that has moved must prove that it has the name of api_key_redis, whatever address DNS gives for it.
# Hazards: R24, R25

from lib.apikeytest import Test, wait_for

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    resolver      %DNS% valid=1s ipv6=off;
    api_key_zone  keys:1m;
    api_key_redis rediss://localhost:%REDIS_PORT%/0 ca_file=%CA% timeout=2s;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; include %API_KEY_PARAMS%; proxy_pass http://%UPSTREAM%; }
    }
}
"""


def user():
    answer = nginx.get("/", alice)
    return answer.saw("X-User-Id")[0] if answer.status == 200 else answer.status


def redis_at(address, name, certificate, **options):
    redis = t.redis(tls=certificate, options={"bind": address}, **options)
    redis.add(alice, user=name)
    redis.trust()
    return redis


with Test() as t:
    alice = t.key(user="alice")
    authority = t.authority()
    one = redis_at("127.0.0.1", "one", authority.certificate("localhost"))
    two = redis_at("127.0.0.2", "two", authority.certificate("localhost"), port=one.port)
    other = redis_at("127.0.0.3", "other", authority.certificate("other.example", "127.0.0.3"), port=one.port)
    dns = t.dns(localhost=["127.0.0.1"])
    nginx = t.nginx(CONF, dns=dns, redis_port=one.port, ca=authority.file, upstream=t.upstream())
    t.ok(wait_for(lambda: user() == "one"), "Redis is in use")

    dns["localhost"] = ["127.0.0.3"]
    one.kill()
    t.ok(nginx.wait_log(r'"localhost" is now at 127\.0\.0\.3'), "DNS names a stranger")
    t.ok(nginx.wait_log(r"cannot be used: .*does not prove that it is localhost"), "who cannot prove to be Redis")
    t.is_({user() for _ in range(20)}, {503}, "nobody is served by him")

    dns["localhost"] = ["127.0.0.2"]
    t.ok(wait_for(lambda: user() == "two"), "DNS names one who can: served", nginx.log()[-600:])
