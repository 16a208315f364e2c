#!/usr/bin/python3
# apikeyctl doctor on what a Redis is before anything in it is looked at: TLS that proves nothing, still loading, an old version,
# cluster mode; and over TLS all is well.
# Hazards: R6, R25

import threading

from lib.apikeytest import Test, bulk, wait_for
from lib.apikeytest.doctor import Doctor
from lib.apikeytest.ports import free_port

KEYS = 200


def restart_loading(redis, seconds):
    """Redis begins again, and takes so long to load."""
    redis.stop()
    redis.options |= {"key-load-delay": int(seconds * 1e6 / KEYS), "loading-process-events-interval-bytes": "1024"}

    def life():
        redis.start()
        threading.Event().wait()           # for ever: the process ends with the thread that started it

    threading.Thread(target=life, daemon=True).start()


with Test() as t:
    pg = t.postgres()
    certified = t.redis(tls=True, options={"appendonly": "yes"})
    daemon = t.apikeyd(pg, certified, redis_ca_file=certified.ca_file)
    t.worker(certified)
    doctor = Doctor(t, daemon.config)
    found = doctor.run()
    t.is_([check for check, f in found.items() if f[0] in ("warning", "error")], [], "all is well over TLS")
    t.like(found["redis.connection"][1], r"^rediss://localhost:\d+/0, as default, over TLS$", "which it says")
    daemon.settings["redis_ca_file"] = t.authority(name="another").file
    daemon.write_config()
    doctor.finds("redis.connection", "error", "does not prove that it is localhost", "redis_ca_file", "somebody else's certificate")
    daemon.settings["redis_ca_file"] = certified.ca_file
    password = t.secret("the-password-of-redis")
    plain = t.redis(port=True, options={"appendonly": "yes"})
    daemon.settings["redis"] = f"rediss://:{password}@localhost:{plain.port}/0"
    daemon.write_config()
    doctor.finds("redis.connection", "error", "TLS", "tls-port", "no TLS on that port")
    doctor.never_said(password)
    daemon.stop()
    del daemon.settings["redis_ca_file"]

    def asks(redis):
        daemon.settings["redis"] = str(redis)
        daemon.write_config()

    proxy = t.redis_proxy(plain)
    asks(proxy)
    t.worker(plain)
    proxy.on("INFO", lambda lane, frame: [bulk(plain("INFO").replace("redis_version:7", "redis_version:6"))])
    filled = ["redis.epoch", "redis.leader"]
    doctor.finds("redis.version", "warning", "^Redis 6", "^install Redis 7 or newer$", "an old one", others=filled)

    cluster = t.redis(options={"appendonly": "yes", "cluster-enabled": "yes", "cluster-config-file": "nodes.conf",
                               "cluster-port": free_port()}, port=True)     # else 10,000 above, where outgoing connections are
    asks(cluster)
    found = doctor.run()
    t.is_(found["redis.cluster"][0], "error", "cluster mode", str(found))
    t.like(found["redis.cluster"][1] + found["redis.cluster"][2], "several slots.*cluster-enabled no", "and what to do")

    loading = t.redis()
    asks(loading)
    loading("MSET", *sum(([f"padding:{n}", "x" * 300] for n in range(KEYS)), []))
    loading("SAVE")
    restart_loading(loading, 3.0)
    t.ok(wait_for(lambda: doctor.run()["redis.connection"][1].endswith("(LOADING)"), 10), "still loading")
    doctor.finds("redis.connection", "error", "is loading its data", "^wait until it has loaded", "loading")
    t.ok(wait_for(lambda: doctor.run()["redis.connection"][0] == "ok", 20), "when it has loaded it is heard")
