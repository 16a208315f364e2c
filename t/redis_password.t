#!/usr/bin/python3
# Redis that wants another password, or allows too little: unavailable, said in few lines that never show the password.
# A password that was changed is read from its file without a reload.
# Hazards: R9

import os
import re
import time

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


def status():
    return nginx.get("/", alice).status


def becomes(wanted, what):
    begun = time.monotonic()
    t.ok(wait_for(lambda: status() == wanted), what, f"still {status()}", nginx.log()[-500:])
    return time.monotonic() - begun


def write_password(text):
    path = f"{folder}/password"
    with open(path, "w", encoding="ascii") as file:
        file.write(text + "\n")
    os.chmod(path, 0o644)
    return path


def restart_nginx(place):
    """On this Redis, with a log of its own."""
    nginx.stop()
    open(nginx.error_log, "w", encoding="ascii").close()
    nginx.write_config(redis=place)
    nginx.start()


def kill_clients():
    redis("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


with Test() as t:
    first, second = t.secret("the-first-password-1"), t.secret("the-second-password-2")
    alice = t.key(user="alice")
    redis = t.redis(keys=[alice], password=first, port=True)
    folder = t.new_folder("secrets")
    nginx = t.nginx(CONF, redis=f"unix:{redis.socket_path}")

    becomes(503, "no password: unavailable")
    t.ok(nginx.wait_log(r"\[error\].*Redis refused INFO: NOAUTH Authentication required"), "the log says NOAUTH")

    restart_nginx(f"unix:{redis.socket_path} password_file={write_password(first)}")
    becomes(200, "the right password: served")

    # Rotation, in the order that hurts: Redis first, then the file.
    redis("CONFIG", "SET", "requirepass", second)
    redis.password = second
    t.is_(status(), 200, "Redis' password changes: the open connection is still good")
    kill_clients()
    becomes(503, "a new connection is not")
    t.ok(nginx.wait_log(r"\[error\].*Redis refused the user or password: WRONGPASS"), "the log says WRONGPASS")
    time.sleep(2)
    t.is_(status(), 503, "and so it stays")
    write_password(second)
    took = becomes(200, "the new password in the file: served")
    t.ok(took < 2, "within a second, without a reload", f"{took:.3f} s")
    t.note(f"served {took:.3f} s after the file was written")
    t.ok(nginx.wait_log(r"is in use again"), "the log says that it is over")
    lines = [re.sub(r".*(cannot be used: .*);.*", r"\1", x) for x in nginx.log().splitlines() if "[error]" in x]
    t.ok(len(lines) <= 3 and len(lines) == len(set(lines)), "each cause was logged once in its ten seconds", *lines)

    # A user of its own that may do too little, at each of the commands.
    place = f"redis://reader:{second}@127.0.0.1:{redis.port}"
    for denied, allowed, reason in (("info", "+get +hmget +select", "Redis refused INFO: NOPERM"),
                                    ("get", "+info +hmget +select", "Redis refused GET of the epoch: NOPERM"),
                                    ("hmget", "+info +get +select", "Redis refused HMGET of a key: NOPERM")):
        redis("ACL", "SETUSER", "reader", "reset", "on", f">{second}", "~apikey:*", *allowed.split())
        restart_nginx(place)
        becomes(503, f"{denied} is not allowed: unavailable")
        t.ok(nginx.wait_log(rf"\[error\].*{reason}"), "the log says NOPERM, and of what")
        redis("ACL", "SETUSER", "reader", f"+{denied}")
        becomes(200, "allowed: served")
        redis("ACL", "SETUSER", "reader", f"-{denied}")
        becomes(503, "not any more: unavailable")
    redis("ACL", "SETUSER", "reader", "+hmget", "resetkeys", "~other:*")
    kill_clients()
    becomes(503, "the keys are not allowed: unavailable")
    redis("ACL", "SETUSER", "reader", "~apikey:*")
    becomes(200, "allowed: served")

    redis("ACL", "SETUSER", "reader", "off")
    kill_clients()
    becomes(503, "the user is switched off: unavailable")

    # A server that knows no AUTH repeats what it was told; the log must not.
    simple = t.redis(keys=[alice], options={"rename-command": ["AUTH", ""]}, port=True)
    restart_nginx(f"redis://reader:{second}@127.0.0.1:{simple.port}")
    becomes(503, "AUTH is unknown: unavailable")
    t.ok(nginx.wait_log(r"\[error\].*Redis refused the user or password: ERR unknown command ;"), "without its arguments")
