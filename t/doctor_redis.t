#!/usr/bin/python3
# apikeyctl doctor names what is wrong with Redis, each thing broken for real: eviction, memory, persistence, its role, the
# epoch, the leader, clocks, a Redis that is away or refuses us.
# Hazards: R28

import os
import time

from lib.apikeytest import Test, array, delay, replace, wait_for
from lib.apikeytest.doctor import Doctor, write_secret

with Test() as t:
    pg, redis = t.postgres(), t.redis(port=True, options={"appendonly": "yes"})
    proxy = t.redis_proxy(redis)
    daemon = t.apikeyd(pg, redis)
    worker = t.worker(redis)
    doctor = Doctor(t, daemon.config)
    doctor.all_well("all is well at first")

    def set_to(name, value):
        redis("CONFIG", "SET", name, value)

    # --- what Redis is set to ---
    for policy, level in (("allkeys-lru", "error"), ("allkeys-random", "error"), ("volatile-ttl", "warning")):
        set_to("maxmemory-policy", policy)
        doctor.finds("redis.eviction", level, rf"{policy}: may evict", "CONFIG SET maxmemory-policy noeviction", policy)
    set_to("maxmemory-policy", "noeviction")
    used = int(redis("INFO", "memory").split("used_memory:")[1].split()[0])
    set_to("maxmemory", int(used * 1.04))
    doctor.finds("redis.memory", "warning", r"MiB used: over 90 %", "CONFIG SET maxmemory", "nearly full")
    set_to("maxmemory", 1)
    doctor.finds("redis.memory", "error", "Redis is full", "CONFIG SET maxmemory", "full", others=["redis.workers"])
    set_to("maxmemory", 0)
    t.ok(wait_for(lambda: len(redis.workers()) == 1), "the worker is back")
    set_to("appendonly", "no")
    doctor.finds("redis.persistence", "warning", "AOF is off: usage.*would be lost", "appendonly yes", "no AOF")
    set_to("appendonly", "yes")
    os.mkdir(f"{redis.folder}/dump.rdb")
    set_to("stop-writes-on-bgsave-error", "no")
    redis("BGSAVE", "SCHEDULE")
    t.ok(wait_for(lambda: "rdb_last_bgsave_status:err" in redis("INFO", "persistence")), "a save fails")
    doctor.finds("redis.saving", "error", "rdb_last_bgsave_status:err", "Redis' log", "cannot save")
    os.rmdir(f"{redis.folder}/dump.rdb")
    redis("BGSAVE", "SCHEDULE")
    t.ok(wait_for(lambda: "rdb_last_bgsave_status:ok" in redis("INFO", "persistence")), "it saves again")

    # --- apikeyd and what it writes ---
    daemon.stop()
    doctor.finds("redis.leader", "error", "no apikeyd leads .apikey:leader is absent.", "start apikeyd", "no leader")
    redis("DEL", "apikey:epoch")
    doctor.finds("redis.epoch", "error", "there is no epoch: .*503", "start apikeyd", "no epoch", others=["redis.leader"])
    redis("SET", "apikey:epoch", f"{'0' * 40} pass")
    doctor.finds("redis.epoch", "error", "of another run of Redis", "start apikeyd", "old epoch", others=["redis.leader"])
    redis("SET", "apikey:leader", "somebody")
    doctor.finds("redis.epoch", "error", "another run of Redis.* yet", "is filling Redis: ask again", "being filled")
    redis("DEL", "apikey:leader", "apikey:epoch")
    redis("LPUSH", "apikey:epoch", "x")
    doctor.finds("redis.epoch", "error", "another type", "apikey:", "a list in its place", others=["redis.leader"])
    redis("DEL", "apikey:epoch")
    daemon.start()
    doctor.all_well("with apikeyd again all is well")

    # --- its clock ---
    direct = daemon.settings["redis"]
    daemon.settings["redis"] = str(proxy)
    daemon.write_config()
    for ahead, level, text in ((-3, "warning", r"-[23]\.\d{3} s"), (3600, "error", r"\+3(599|600)\.\d{3} s")):
        proxy.on("TIME", lambda lane, frame, s=ahead: [array(str(int(time.time()) + s), "0")])
        found = doctor.run()["clock.redis"]
        t.is_(found[0], level, f"Redis' clock {ahead:+} s: {level}")
        t.like(found[1], f"Redis' clock is {text} from this machine's", "the difference with its sign")
        t.like(found[2], "NTP", "and what to do")
        proxy.clear()
    def slowly(lane, frame):
        moment = time.time() - 0.5
        return delay(1.7)(lane, array(str(int(moment)), str(int(moment % 1 * 1e6))))

    proxy.on("TIME", slowly)
    found = doctor.run()["clock.redis"]
    t.like(found[1], r"^Redis' clock is -1\.\d{3} s .*within 0\.[89]\d\d s", "a slow answer says little")
    t.is_(found[0], "ok", "and what may be the network's is not held against the clock")
    proxy.clear()
    proxy.on("XINFO", replace(b"nonsense\r\n"))
    doctor.finds("redis.answers", "error", "the rest of Redis was not looked at", "Redis' log", "nonsense from Redis")
    proxy.clear()
    proxy.mode = "hole"
    began = time.monotonic()
    doctor.finds("redis.connection", "error", "no answer within 2000 ms", "Does Redis run", "Redis is silent")
    t.ok(time.monotonic() - began < 4, "within seconds")

    # --- whom it lets in ---
    password = "the-password-of-redis"
    redis("ACL", "SETUSER", "apikeyd", "on", f">{password}", "~*", "&*", "+@all")
    secret = write_secret(t.new_folder("secrets") + "/redis", "a-wrong-password\n")
    daemon.settings |= {"redis": direct.replace("//", "//apikeyd@"), "redis_password_file": secret}
    daemon.write_config()
    doctor.finds("redis.connection", "error", "WRONGPASS", r"apikeyd.yaml:\d+: correct user and password", "wrong password")
    write_secret(secret, password + "\n")
    doctor.all_well("the right one")
    for command, checks in (("info", ["redis.info"]), ("time", ["clock.redis"]), ("get", ["redis.epoch", "redis.leader"]),
                            ("zrange", ["redis.workers"]), ("xinfo", ["usage.stream", "usage.dead"])):
        redis("ACL", "SETUSER", "apikeyd", f"-{command}")
        doctor.finds(checks[0], "warning", f"may not do {command} .NOPERM.", rf"^ACL SETUSER apikeyd \+{command}$",
                     f"without {command}", others=checks)
        redis("ACL", "SETUSER", "apikeyd", f"+{command}")
    redis("ACL", "SETUSER", "apikeyd", "resetkeys", "~other:*")
    doctor.finds("redis.workers", "warning", "may not read apikey:", r"^ACL SETUSER apikeyd ~apikey:\*$", "without keys",
                 others=["redis.epoch", "redis.leader", "usage.stream", "usage.dead"])
    redis("ACL", "SETUSER", "apikeyd", "~*")

    # --- what it is ---
    redis("REPLICAOF", "127.0.0.1", "1")
    found = doctor.run()["redis.role"]
    t.is_(found[0], "error", "a replica")
    t.like(found[1] + found[2], "replica.*name the master", "and what to do")
    redis("REPLICAOF", "NO", "ONE")
    worker.die()
    daemon.stop()
    redis.stop()
    doctor.finds("redis.connection", "error", "Connection refused", "Does Redis run there", "Redis is down")
    doctor.never_said(password, "a-wrong-password")
