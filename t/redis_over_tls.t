#!/usr/bin/python3
# Redis over TLS: served as without it, by name, by address, with the system's authorities, with 1.2 as with 1.3, in pieces
# of any size; a connection that breaks is made anew.
# Hazards: R25, R13, R29

import os
import socket

from lib.apikeytest import Test, split, split_anywhere, wait_for
from lib.apikeytest.http1 import request_bytes
from lib.apikeytest.tls import Authority

CONF = """
%GLOBALS%
worker_processes 1;
events { worker_connections 2048; }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% %CA% timeout=2s;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; include %API_KEY_PARAMS%; proxy_pass http://%UPSTREAM%; }
    }
}
"""


def use(place, ca=None):
    """nginx with this Redis, and a log of its own."""
    nginx.stop()
    open(nginx.error_log, "w", encoding="ascii").close()
    nginx.write_config(redis=place, ca=f"ca_file={ca}" if ca else "")
    nginx.start()
    return wait_for(lambda: nginx.get("/", alice).status == 200)


def is_served(what):
    """All are themselves, and whom nobody knows is refused."""
    got = [nginx.get("/", key) for key in (alice, bob, nobody)]
    t.is_([r.saw("X-User-Id") if r.status == 200 else r.status for r in got], [["alice"], ["bob"], 401], what)


def at_once(count):
    """So many requests, all sent before the first answer is read: {True} when each was served as himself."""
    keys = [alice, bob] * (count // 2)
    connections = [nginx.connect() for _ in keys]
    for connection, key in zip(connections, keys):
        connection.send(request_bytes("GET", "/", key))
    answers = [connection.response() for connection in connections]
    for connection in connections:
        connection.close()
    return {r.saw("X-User-Id") == [key.user] if r.status == 200 else r.status for r, key in zip(answers, keys)}


def answer_without_tls(port):
    with socket.create_connection(("127.0.0.1", port)) as plain:
        plain.settimeout(2)
        plain.sendall(b"*1\r\n$4\r\nPING\r\n")
        try:
            return plain.recv(100) if plain.recv(1) == b"+" else b""
        except ConnectionError:
            return b""


with Test() as t:
    alice, bob, nobody = t.key(user="alice"), t.key(user="bob"), t.key(user="nobody")
    password = t.secret("the-password-of-redis")
    redis = t.redis(keys=[alice, bob], tls=True, password=password)
    upstream = t.upstream()
    at = f"rediss://:{password}@{{}}:{redis.port}/0"
    nginx = t.nginx(CONF, redis=at.format("localhost"), ca=f"ca_file={redis.ca_file}", upstream=upstream)
    t.ok(wait_for(lambda: nginx.get("/", alice).status == 200), "by name: in use")
    is_served("and right")
    t.is_(at_once(100), {True}, "a hundred at once")
    t.is_(answer_without_tls(redis.port), b"", "that port speaks nothing but TLS")

    base = nginx.fds()
    for _ in range(5):
        redis("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        t.ok(wait_for(lambda: nginx.get("/", alice).status == 200), "killed: made anew")
    t.fds_return(nginx, base)
    t.ok(nginx.reload(), "a reload")
    is_served("and right again")

    t.ok(use(at.format("127.0.0.1"), redis.ca_file), "by address: in use")
    os.environ["SSL_CERT_FILE"] = redis.ca_file
    t.ok(use(at.format("localhost")), "without ca_file: the system's store (whose place OpenSSL takes from SSL_CERT_FILE)")
    del os.environ["SSL_CERT_FILE"]
    t.ok(not use(at.format("localhost")), "which does not know our authority")
    t.ok(nginx.wait_log("does not prove that it is localhost"), "as the log says")

    authority = Authority(t.new_folder("authority"))
    named = t.redis(keys=[alice, bob], tls=authority.certificate())
    t.ok(use(named, authority.file), "a certificate that has a common name and no other: known by it")
    for version in ("TLSv1.2", "TLSv1.3"):
        redis("CONFIG", "SET", "tls-protocols", version)
        t.ok(use(at.format("localhost"), redis.ca_file), f"{version}: in use")
        is_served("and right")

    # A TLS record is not a reply: both may end anywhere.
    direct = t.redis(keys=[alice, bob])
    proxy = t.redis_proxy(direct, tls=authority.certificate("localhost"))
    t.ok(use(proxy, authority.file), "through a proxy that speaks TLS")
    for fault in (split(1), split_anywhere()):
        proxy.on("HMGET", fault)
        proxy.on("GET", fault)
        is_served("replies in pieces")
        proxy.clear()
    for reset in (False, True):
        proxy.close_all(reset=reset)
        t.ok(wait_for(lambda: nginx.get("/", alice).status == 200), "closed, reset: made anew")
    is_served("and right")
    t.is_(at_once(400), {True}, "four hundred at once")
