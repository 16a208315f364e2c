#!/usr/bin/python3
# nginx and apikeyd work with exactly the ACL users that docs/operations.md documents, with passwords from files, in a
# database other than 0: keys are cached, changes heard of and confirmed, usage may be appended. Without the
# second half of nginx's rule keys are looked up every time. A password that is changed is followed without a reload.
# Hazards: R9, R26

import os
import pathlib
import re

from lib.apikeytest import Test, wait_for
from lib.apikeytest.receipts import ReceiptClient

OPERATIONS = pathlib.Path(__file__).resolve().parent.parent / "docs/operations.md"
CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %URL% password_file=%DIR%/redis.password;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; api_key_cache valid=1h invalid=1h; empty_gif; }
        location = /metrics { api_key_metrics; }
    }
}
"""


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    os.chmod(path, 0o644)


def change(sql):
    return application.change(sql)[1]


def is_cached():
    """Are six requests in a row answered without a lookup?"""
    before = nginx.metrics()['lookups_total{outcome="found"}']
    return {nginx.get("/", alice).status for _ in "123456"} == {200} and nginx.metrics()['lookups_total{outcome="found"}'] == before


with Test() as t:
    rules = dict(re.findall(r"^ACL SETUSER (\w+) on >PASSWORD (.*)$", OPERATIONS.read_text(encoding="utf-8"), re.M))
    t.is_(sorted(rules), ["apikeyd", "nginx"], "both users are documented")
    pg, redis = t.postgres(), t.redis(port=True)
    alice = t.key(user="alice")
    pg.sql(f"INSERT INTO api_keys (id, user_id, name, key_hash, prefix) "
           f"VALUES ('{alice.id}', 'alice', 'k', '{alice.hash}', '{alice.prefix}')")
    for user, rule in rules.items():
        redis("ACL", "SETUSER", user, "on", f">{user}-one", *rule.split())
    secret = t.new_folder("secrets")
    os.chmod(secret, 0o755)
    write(f"{secret}/apikeyd", "apikeyd-one\n")
    daemon = t.apikeyd(pg, f"redis://apikeyd@127.0.0.1:{redis.port}/1", wait=None,
                       redis_password_file=f"{secret}/apikeyd")
    daemon.start(wait=False)
    nginx = t.nginx(CONF, start=False, url=f"redis://nginx@127.0.0.1:{redis.port}/1")
    write(f"{nginx.folder}/redis.password", "nginx-one\n")
    nginx.start()
    application = ReceiptClient(pg)
    t.ok(wait_for(lambda: nginx.get("/", alice).status == 200), "a key passes", daemon.log()[-2000:])
    t.ok(nginx.wait_watching(2), "two workers hear of changes", nginx.log()[-2000:])
    t.ok(wait_for(is_cached), "and use what they have cached")
    t.is_(change("UPDATE api_keys SET is_active = false"), "2/2", "it is revoked, which both confirm")
    t.is_({nginx.get("/", alice).status for _ in "123456"}, {401}, "and refused")
    daemon.ctl("sync")
    denied = redis("ACL", "LOG")
    t.is_(denied, [], "Redis denied nothing")

    # Usage is appended and counted, and nothing else is written.
    for words, allowed in ((("XADD", "apikey:usage", "*", "batch", "b"), True), (("XLEN", "apikey:usage"), True),
                           (("XLEN", "apikey:usage:dead"), True),
                           (("XPENDING", "apikey:usage", "apikeyd", "-", "+", "1"), True),
                           (("XADD", "apikey:usage:dead", "*", "batch", "b"), False),
                           (("XADD", f"apikey:k:{alice.hash}", "*", "batch", "b"), False),
                           (("XDEL", "apikey:usage", "1-1"), False), (("XRANGE", "apikey:usage", "-", "+"), False)):
        t.is_(redis("ACL", "DRYRUN", "nginx", *words) == "OK", allowed, f"{' '.join(words[:2])[:24]}: allowed is {allowed}")

    # Only the first half: an nginx that may read keys and nothing else.
    change("UPDATE api_keys SET is_active = true")
    reading = re.match(r"(.*?) %W~.* (\+hmget .*?\+time) ", rules["nginx"])
    redis("ACL", "SETUSER", "nginx", "reset", "on", ">nginx-one", *reading[1].split(), *reading[2].split())
    redis("CLIENT", "KILL", "USER", "nginx")
    t.ok(wait_for(lambda: nginx.metrics()["links_up"] == 2 and nginx.metrics()["watching_workers"] == 0),
         "without the second half of the rule: no worker hears of changes", nginx.log()[-2000:])
    t.ok(wait_for(lambda: {nginx.get("/", alice).status for _ in "123456"} == {200}), "keys pass")
    t.ok(not wait_for(is_cached, 0.5), "each by a lookup")
    change("UPDATE api_keys SET is_active = false")
    t.is_({nginx.get("/", alice).status for _ in "123456"}, {401}, "and a revoked one is refused")
    t.like(nginx.log(), "the subscription to changes at .* is down: Redis refused SUBSCRIBE", "the log says what is missing")

    redis("ACL", "SETUSER", "nginx", "resetpass", ">nginx-two")
    redis("CLIENT", "KILL", "USER", "nginx")
    t.ok(wait_for(lambda: nginx.get("/", alice).status == 503, 3), "an old password: cannot be known")
    t.ok(wait_for(lambda: "WRONGPASS" in nginx.log(), 3), "said in the log")
    t.unlike(nginx.log(), r"nginx-(one|two)", "without the password")
    write(f"{nginx.folder}/redis.password", "nginx-two\n")
    t.ok(wait_for(lambda: nginx.get("/", alice).status == 401, 3), "the new one is read without a reload")
