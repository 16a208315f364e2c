#!/usr/bin/python3
# Where there is no memory for a request, that one fails, before its first byte or visibly in its middle; apikeyd lives, others are served,
# usage is applied.
# Hazards: S14

import resource

from lib.apikeytest import Test, memory_of, places, skip_all, usage, wait_for
from lib.apikeytest.unix_http import Sidecar, fill_usage

MIB = 1024 * 1024
LARGE = 48 * MIB                           # one message; libpq's buffer for it is 64 MiB
CSV = b"date,endpoint,requests,tokens,cost,model,status\n2026-11-28,/e,1,2,0.5,m,success\n"

if places.SLOW:
    skip_all("a sanitizer ends a program that has no memory")


def data_bytes():
    """What RLIMIT_DATA bounds."""
    return memory_of(daemon.process.pid, "VmData") * 1024


def allow(more):
    """So many bytes more than it has now; None: any."""
    most = resource.RLIM_INFINITY if more is None else data_bytes() + more
    resource.prlimit(daemon.process.pid, resource.RLIMIT_DATA, (most, resource.RLIM_INFINITY))


def conversation(user, identity, size):
    pg.sql(f"INSERT INTO conversations (user_id, id) VALUES ('{user}', '{identity}'); "
           f"INSERT INTO messages (user_id, id, conversation_id, position, role, content) VALUES ('{user}', '{identity}', '{identity}', 0, 'user', repeat('x', {size}))")


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    fill_usage(pg, 1000, "bob")
    conversation("alice", "huge", LARGE)
    conversation("carol", "1-small", MIB)
    conversation("carol", "2-huge", LARGE)
    daemon = t.apikeyd(pg, redis)
    sidecar = Sidecar(daemon)
    slot, key_id = usage.Slot(), usage.make_key(pg, "dave")
    t.is_([sidecar.get("/export/usage", user="bob").status, sidecar.get("/export/conversations", user="bob").status], [200, 200], "it serves")
    wait_for(lambda: data_bytes() < 64 * MIB, 3)

    def others_are_served(name):
        answer = sidecar.get("/export/usage?format=csv", user="bob")
        t.is_((answer.status, answer.whole, answer.body.count(b"\n")), (200, True, 1001), f"{name}: another is served")
        t.is_(sidecar.post("/import/usage?format=csv&dryRun=true", CSV, user="bob").status, 200, f"{name}: and may import")
        before = int(pg.value("SELECT coalesce(sum(requests), 0) FROM usage_records WHERE user_id = 'dave'"))
        usage.ship(redis, slot.batch(usage.row("dave", key_id), keys=[usage.used(key_id, usage.MINUTE)]))
        t.ok(wait_for(lambda: int(pg.value("SELECT coalesce(sum(requests), 0) FROM usage_records WHERE user_id = 'dave'")) > before), f"{name}: usage is applied")

    seen = set()
    for more in (24, 80, 120, 170, 230, 500):
        for user, place in (("alice", "before its first byte"), ("carol", "in its middle")):
            allow(more * MIB)
            name = f"{more} MiB more, {place}"
            with sidecar.begin("/export/conversations", user=user) as c:
                answer = c.response()
            if answer.status == 200 and answer.whole:
                t.ok(len(answer.body) > LARGE, f"{name}: enough: all of it", len(answer.body))
                seen.add((user, "whole"))
            elif answer.status == 200:
                t.ok(user == "carol" or len(answer.body) >= MIB, f"{name}: it breaks off, and shows it", len(answer.body))
                seen.add((user, "cut"))
            else:
                t.is_((answer.status, answer.code, answer.header("Retry-After")), (503, "service_unavailable", "5"), f"{name}: 503")
                seen.add((user, "503"))
        others_are_served(f"{more} MiB more")
        allow(None)
    t.ok({("alice", "503"), ("carol", "cut"), ("carol", "whole")} <= seen, "all of it was seen", seen)
