#!/usr/bin/python3
# apikeyctl doctor on a system that is as it should be finds nothing, with exactly the rights that docs/operations.md gives:
# apikeyd's ACL in Redis, the role apikeyd in Postgres. It changes nothing, and lists the workers with their leases.
# Hazards: R26

import pathlib
import re

from lib.apikeytest import Test, apikeyctl, wait_for
from lib.apikeytest.doctor import Doctor, write_secret

OPERATIONS = pathlib.Path(__file__).resolve().parent.parent / "docs/operations.md"
CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    api_key_cache valid=1h invalid=1h;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; empty_gif; }
        location = /metrics { api_key_metrics; }
    }
}
"""
CHECKS = """settings postgres.connection postgres.version postgres.primary postgres.read_only postgres.schema postgres.roles
    postgres.row_security postgres.policies postgres.triggers postgres.role postgres.privileges postgres.usage postgres.rows clock.postgres
    redis.connection redis.version redis.role redis.cluster redis.eviction redis.memory redis.persistence redis.saving
    clock.redis redis.epoch redis.leader redis.workers usage.stream usage.group usage.dead socket.directory socket.path socket.owner socket.mode
    files.redis_password""".split()

with Test() as t:
    (rule,) = re.findall(r"^ACL SETUSER apikeyd on >PASSWORD (.*)$", OPERATIONS.read_text(encoding="utf-8"), re.M)
    password = "the-password-of-apikeyd"
    pg, redis = t.postgres(), t.redis(port=True, options={"appendonly": "yes"})
    redis("ACL", "SETUSER", "apikeyd", "on", f">{password}", *rule.split())
    as_apikeyd = f"host={pg.folder} user=apikeyd dbname={pg.database}"
    secret = write_secret(t.new_folder("secrets") + "/redis", password + "\n")
    daemon = t.apikeyd(as_apikeyd, f"redis://apikeyd@127.0.0.1:{redis.port}/0", wait=None, redis_password_file=secret)
    daemon.start(wait=False)
    made = daemon.ctl("keys", "create", "--user", "alice", "--name", "k", json=True)
    t.secret(made["key"])
    nginx = t.nginx(CONF, redis=redis)
    nginx.wait_watching(2)
    t.ok(wait_for(lambda: redis.epoch() and len(redis.workers()) == 2), "all parts run")

    doctor = Doctor(t, daemon.config)
    found = doctor.run()
    t.is_([check for check, f in found.items() if f[0] not in ("ok", "note")], [], "nothing is wrong", str(found))
    t.is_(sorted(found), sorted(CHECKS), "every check has a finding")
    t.is_({c for c, f in found.items() if f[0] == "note"}, set(), "nor noted")
    t.is_(redis("ACL", "LOG"), [], "Redis denied nothing")
    t.like(found["redis.connection"][1], r"redis://127.0.0.1:\d+/0, as apikeyd$", "where Redis is, and as whom")
    t.like(found["postgres.connection"][1], rf"^apikeyd@{pg.folder}:5432/{pg.database}$", "the same for Postgres")
    t.like(found["redis.workers"][1], r"^2 workers hear of changes: \S+:\d+:\w+ \d+ ms, \S+ \d+ ms$", "workers and leases")
    t.like(found["redis.memory"][1], r"^\d+ MiB used, maxmemory is not set$", "its memory")
    t.like(found["clock.redis"][1], r"^Redis' clock is [+-]0\.\d{3} s from this machine's \(within 0\.\d{3} s\)$", "its clock")

    status, text = doctor.text()
    t.is_(status, 0, "exit status 0")
    lines = text.splitlines()
    t.like(lines[0], r"^ok       settings               /\S+$", "one line each, aligned")
    t.is_(lines[-1], f"{len(CHECKS)} ok, 0 warnings, 0 errors", "the last line sums up")
    t.is_(len(lines), len(CHECKS) + 1, "nothing else")
    t.like(apikeyctl("doctor", "--help"), "changes nothing", "--help")
    status, _, error = apikeyctl("doctor", "--nonsense", status=None)
    t.is_(status, 2, "wrong use: exit status 2", error)
    status, text = Doctor(t, "/nowhere/apikeyd.yaml").text()
    t.is_(status, 1, "no settings: exit status 1")
    t.like(text, r"^error    settings  /nowhere/apikeyd.yaml: cannot be read", "and the file is named")

    t.is_(redis("EXISTS", "apikey:usage:dead"), 0, "nothing was made in Redis")
    doctor.never_said(password)
