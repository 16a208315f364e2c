#!/usr/bin/python3
# nginx and apikeyd work with exactly the ACL users that docs/operations.md documents, with passwords from files, in a
# database other than 0; a password that is changed is followed without a reload.
# Hazards: R9, R26

import os
import pathlib
import re

from lib.apikeytest import Test, wait_for

OPERATIONS = pathlib.Path(__file__).resolve().parent.parent / "docs/operations.md"
CONF = """
%GLOBALS%
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %URL% password_file=%DIR%/redis.password;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; empty_gif; }
    }
}
"""


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    os.chmod(path, 0o644)


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
    t.ok(wait_for(lambda: nginx.get("/", alice).status == 200, 5), "a key passes", daemon.log()[-2000:])
    pg.sql("UPDATE api_keys SET is_active = false")
    t.ok(wait_for(lambda: nginx.get("/", alice).status == 401, 3), "and is revoked", daemon.log()[-2000:])
    denied = redis("ACL", "LOG")
    t.is_(denied, [], "Redis denied nothing")

    redis("ACL", "SETUSER", "nginx", "resetpass", ">nginx-two")
    redis("CLIENT", "KILL", "USER", "nginx")
    t.ok(wait_for(lambda: nginx.get("/", alice).status == 503, 3), "an old password: cannot be known")
    t.ok(wait_for(lambda: "WRONGPASS" in nginx.log(), 3), "said in the log")
    t.unlike(nginx.log(), r"nginx-(one|two)", "without the password")
    write(f"{nginx.folder}/redis.password", "nginx-two\n")
    t.ok(wait_for(lambda: nginx.get("/", alice).status == 401, 3), "the new one is read without a reload")
