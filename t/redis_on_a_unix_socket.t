#!/usr/bin/python3
# Redis on a Unix socket, in a database of its own; a socket that is missing, dead or closed to us is no Redis, and the log
# says which and why. TLS, which is not built yet, is refused when nginx.conf is read.
# Hazards: R25

import os
import socket

from lib.apikeytest import Test, wait_for

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; empty_gif; }
    }
}
"""


def use(place):
    """nginx with this Redis, and a log of its own."""
    nginx.stop()
    open(nginx.error_log, "w", encoding="ascii").close()
    nginx.write_config(redis=place)
    nginx.start()


def status(key):
    return nginx.get("/", key).status


def is_unusable(place, reason):
    use(place)
    t.ok(wait_for(lambda: status(alice) == 503), f"{place[:5]}… {reason}: unavailable")
    t.ok(nginx.wait_log(rf"\[error\].*api_key: Redis at {place.split('?')[0]}\?db=0 cannot be used: .*{reason}"),
         "the log says where and why", nginx.log()[-400:])


with Test() as t:
    alice, bob, nobody = t.key(user="alice"), t.key(user="bob"), t.key(user="nobody")
    redis = t.redis(keys=[alice])
    client = redis.client()
    client("SELECT", "2")
    client("HSET", f"apikey:k:{bob.hash}", *sum(bob.redis_fields().items(), ()))
    client("SET", "apikey:epoch", f"{redis.run_id()} 1")
    client.close()
    path = redis.socket_path
    nginx = t.nginx(CONF, redis=f"unix:{path}")
    t.ok(wait_for(lambda: status(alice) == 200), "a Unix socket")
    t.is_([status(bob), status(nobody)], [401, 401], "what is in another database is not there")
    use(f"unix:{path}?db=2")
    t.ok(wait_for(lambda: status(bob) == 200), "in that database it is")
    t.is_([status(alice), status(nobody)], [401, 401], "and the first is not")

    is_unusable("unix:/nowhere/redis.sock", "2: No such file or directory")
    plain = os.path.join(t.new_folder("plain"), "file")
    open(plain, "w", encoding="ascii").close()
    os.chmod(plain, 0o777)
    is_unusable(f"unix:{plain}", "111: Connection refused")
    dead = os.path.join(t.new_folder("dead"), "socket")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(dead)
    os.chmod(dead, 0o777)
    is_unusable(f"unix:{dead}", "111: Connection refused")
    if os.geteuid() == 0:                          # then the workers are www-data
        os.chmod(path, 0o600)
        is_unusable(f"unix:{path}", "13: Permission denied")
        os.chmod(path, 0o777)
        t.ok(wait_for(lambda: status(alice) == 200), "opened to us: served, without a reload")

    # It goes and comes back in its place.
    use(f"unix:{path}")
    t.ok(wait_for(lambda: status(alice) == 200), "in use")
    redis.stop()
    t.ok(wait_for(lambda: status(alice) == 503), "it goes: unavailable")
    redis.start()
    redis.add(alice)
    redis.trust()
    t.ok(wait_for(lambda: status(alice) == 200), "it comes back: served")

    for place, words in {"unix:redis.sock": "absolute path", "unix:": "absolute path", f"unix:/{'x' * 107}": "107 bytes",
                         f"unix:{path}?db=x": "not a number", f"unix:{path}?database=1": r"only \?db=number"}.items():
        code, output = t.nginx_check(CONF, redis=place)
        t.ok(code != 0, f"{place[:30]}: refused when nginx.conf is read")
        t.like(output, words, "with the reason")
