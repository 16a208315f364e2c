#!/usr/bin/python3
# apikeyctl doctor tells a standby from a primary and goes on looking, notices a pooler in between and a database that was never
# migrated, and what does not answer holds it up for seconds only.
# Hazards: G17

import contextlib
import os
import socket
import threading
import time

from lib.apikeytest import Test
from lib.apikeytest.doctor import Doctor


class Pooler:
    """Between libpq and Postgres: gives a session another number than the server process, as PgBouncer does. With
    silent=True nobody ever gets an answer."""

    def __init__(self, folder, postgres, silent=False):
        self.folder, self.to, self.silent, self.held = folder, f"{postgres.folder}/.s.PGSQL.5432", silent, []
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(f"{folder}/.s.PGSQL.5432")
        self.server.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            client, _ = self.server.accept()
            if self.silent:
                self.held.append(client)
                continue
            server = socket.socket(socket.AF_UNIX)
            server.connect(self.to)
            threading.Thread(target=self.copy, args=(client, server, lambda data: data), daemon=True).start()
            threading.Thread(target=self.copy, args=(server, client, self.renumber), daemon=True).start()

    @staticmethod
    def renumber(data):
        """BackendKeyData: "K", its length, the process, the secret."""
        before, key, after = data.partition(b"K\0\0\0\x0c")
        return before + key + b"\0\xff\xff\xff" + after[4:] if key else data

    @staticmethod
    def copy(source, target, change):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(change(data))
            target.shutdown(socket.SHUT_WR)


with Test() as t:
    pg, redis = t.postgres(), t.redis(options={"appendonly": "yes"})
    daemon = t.apikeyd(pg, redis)
    t.worker(redis)
    doctor = Doctor(t, daemon.config)

    def connect_to(host):
        daemon.settings["postgres"] = f"host={host} user=apikeyd dbname={pg.database}"
        daemon.write_config()

    pooler = Pooler(t.new_folder("pooler"), pg)
    connect_to(pg.folder)
    t.ok("postgres.pooler" not in doctor.run(), "a direct connection is no pooler's")
    connect_to(pooler.folder)
    found = doctor.run().get("postgres.pooler", ("-", "", ""))
    t.is_(found[0], "note", "a pooler is noted")
    t.like(found[2], "must be in session mode", "with what it needs")
    doctor.all_well("and all is well")

    fresh = t.postgres(migrated=False)
    daemon.settings["postgres"] = fresh.dsn
    daemon.write_config()
    doctor.finds("postgres.schema", "error", "the database has no schema of ours", 'run "apikeyctl migrate"', "an empty database",
                 others=["postgres.roles"])

    silent = Pooler(t.new_folder("silent"), pg, silent=True)
    connect_to(silent.folder)
    began = time.monotonic()
    doctor.finds("postgres.connection", "error", "timeout", "Does PostgreSQL run", "a server that is silent")
    t.ok(time.monotonic() - began < 6, "within seconds", f"{time.monotonic() - began:.1f} s")

    connect_to(pg.folder)
    with open(f"{pg.data}/postgresql.conf", "a", encoding="ascii") as conf:
        conf.write("wal_level = replica\n")
    pg.restart()
    pg.stop()
    with open(f"{pg.data}/standby.signal", "w", encoding="ascii"):
        pass
    pg.start()
    found = doctor.run()
    level, message, advice = found.get("postgres.primary", ("-", "", ""))
    t.is_(level, "error", "a standby", str(found))
    t.like(message, "it is a standby: nothing can be changed there", "it says so")
    t.like(advice, "name the primary", "and what to do")
    t.is_([found.get(check, "-")[0] for check in ("postgres.connection", "postgres.schema", "postgres.triggers", "redis.epoch")],
          ["ok"] * 4, "the rest is looked at all the same")
    os.unlink(f"{pg.data}/standby.signal")
