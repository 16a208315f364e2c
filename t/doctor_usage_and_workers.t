#!/usr/bin/python3
# apikeyctl doctor names what is wrong with the workers' leases and with the stream of usage: its group, its type, what was refused.
# The prefix is the configured one.

import time

from lib.apikeytest import Test, wait_for
from lib.apikeytest.doctor import Doctor


def ms_ago(seconds):
    return f"{int((time.time() - seconds) * 1000)}-0"


with Test() as t:
    pg, redis = t.postgres(), t.redis(options={"appendonly": "yes"}, prefix="other:")
    daemon = t.apikeyd(pg, redis, redis_prefix="other:")
    doctor = Doctor(t, daemon.config)

    # --- workers ---
    doctor.finds("redis.workers", "warning", r"no nginx worker hears of changes .other:workers has no lease that lasts.",
                 "start nginx.*api_key_redis_prefix", "no worker")
    worker = t.worker(redis, name="web1:1:0000000000000001")
    doctor.all_well("a worker")
    other = t.worker(redis, registers=False, name="web2:2:0000000000000002")
    redis("ZADD", "other:workers", "1000", other.name)
    message = doctor.run()["redis.workers"][1]
    t.like(message, r"^1 worker hears of changes: ", "a lease that has ended does not count")
    t.like(message, rf"{other.name} ended", "and is said")
    t.like(message, rf"{worker.name} \d{{3,4}} ms", "beside the one that lasts")
    redis("ZADD", "other:workers", "inf", "\x1b[31mred")
    t.like(doctor.text()[1], r"\?\[31mred", "a name's control bytes do not reach the terminal")
    redis("ZREM", "other:workers", "\x1b[31mred")
    worker.die()
    t.ok(wait_for(lambda: max(redis.workers().values()) < 0), "its lease ends")
    doctor.finds("redis.workers", "warning", "no nginx worker.*web1:1:0+1 ended", "start nginx", "a dead worker")
    daemon.stop()                          # it would put it right
    redis("DEL", "other:workers")
    redis("SET", "other:workers", "x")
    doctor.finds("redis.workers", "error", "another type stands there", "under the prefix other:", "no sorted set",
                 others=["redis.leader"])
    redis("DEL", "other:workers")
    daemon.start()
    t.worker(redis)

    # --- usage, without an apikeyd that works on the stream; for one that leads ---
    daemon.stop()
    redis("SET", "other:leader", "somebody", "PX", 60_000)
    redis("DEL", "other:usage")
    t.like(doctor.run()["usage.stream"][1], "there is no other:usage: no usage was shipped yet", "no stream is no fault")
    redis("SET", "other:usage", "x")
    doctor.finds("usage.stream", "error", "another type stands there", "DEL it", "no stream")
    redis("DEL", "other:usage")
    redis("XADD", "other:usage", ms_ago(30), "batch", "a b c")
    redis("XADD", "other:usage", "*", "batch", "a b d")
    doctor.finds("usage.group", "error", "other:usage has no consumer group apikeyd", "^XGROUP CREATE other:usage apikeyd 0 ",
                 "no group")
    redis("XGROUP", "CREATE", "other:usage", "somebody", "0")
    doctor.finds("usage.group", "error", "no consumer group apikeyd", "XGROUP CREATE", "another group")
    redis("XGROUP", "CREATE", "other:usage", "apikeyd", "0")
    found = doctor.run()
    t.like(found["usage.stream"][1], r"^other:usage has 2 entries, the oldest of [345]\d s ago$", "its length and age")
    t.like(found["usage.group"][1], "^0 entries are handed out", "nothing is pending")
    redis("XREADGROUP", "GROUP", "apikeyd", "one", "COUNT", "1", "STREAMS", "other:usage", ">")
    t.like(doctor.run()["usage.group"][1], "^1 entry is handed out and not applied yet, to 1 consumer$", "one is")
    doctor.all_well("with its group all is well")
    redis("DEL", "other:usage")
    redis("XADD", "other:usage", ms_ago(3600), "batch", "a b c")
    redis("XGROUP", "CREATE", "other:usage", "apikeyd", "0")
    doctor.finds("usage.stream", "error", "1 entry, the oldest of 36\\d\\d s ago: it is not applied", "is apikeyd running", "stuck")
    redis("DEL", "other:usage")
    redis("XADD", "other:usage:dead", "*", "reason", "22003")
    doctor.finds("usage.dead", "warning", "Postgres refused usage .*other:usage:dead has 1 entry", "^XRANGE other:usage:dead", "dead")
    t.like(doctor.text()[1], r"^warning  usage.dead .*\n         -> XRANGE other:usage:dead", "as text, the advice is below it")
    redis("DEL", "other:usage:dead")
    doctor.all_well("all is well at the end")
