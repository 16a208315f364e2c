"""A worker of nginx as Redis and apikeyd see one: registers, hears of changes, confirms them; or does not."""

import os
import secrets
import threading
import time

from .resp import RedisError

REGISTER_EVERY, LEASE = 0.25, 1.5


class FakeWorker:
    """`changes`: what it heard, as (hash or "*", receipt, time.monotonic()). Set at any time: `confirms`, `delay` (seconds
    before it confirms), `registers` (False: its lease ends)."""

    def __init__(self, redis, confirms=True, delay=0.0, registers=True, name=None):
        self.redis, self.confirms, self.delay, self.registers = redis, confirms, delay, registers
        self.name = name or f"fake:{os.getpid()}:{secrets.token_hex(8)}"
        self.changes = []
        self._stop = threading.Event()
        self._names = {name: f"{redis.prefix}{name}" for name in ("changed", "applied", "workers")}
        self._subscription, self._link, self._registrar = redis.client(), redis.client(), redis.client()
        self._subscription("SUBSCRIBE", self._names["changed"])
        if registers:
            self._register()
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._listen, self._keep_registered)]
        for thread in self._threads:
            thread.start()

    def heard(self, what):
        """How often it heard of this hash (or "*")."""
        return sum(change[0] == what for change in self.changes)

    def confirm(self, receipt, worker=None):
        self._link("PUBLISH", self._names["applied"], f"{worker or self.name} {receipt}")

    def leave(self):
        """As a worker that ends in order."""
        self.die()
        self.redis("ZREM", self._names["workers"], self.name)

    def die(self):
        """As a worker that is killed: its registration stays until it ends."""
        self._stop.set()
        for client in (self._subscription, self._link, self._registrar):
            client.shut()

    def _register(self):
        seconds, micros = self._registrar("TIME")
        ends = int(seconds) * 1000 + int(micros) // 1000 + int(LEASE * 1000)
        self._registrar("ZADD", self._names["workers"], ends, self.name)

    def _keep_registered(self):
        while not self._stop.wait(REGISTER_EVERY):
            try:
                if self.registers:
                    self._register()
            except RedisError:                         # a full Redis: no lease
                continue
            except OSError:                            # it went away: so does this worker
                return

    def _listen(self):
        while not self._stop.is_set():
            try:
                kind, _channel, payload = self._subscription.receive()
            except TimeoutError:
                continue
            except (OSError, RedisError):
                return
            if kind != "message":
                continue
            what, _, receipt = payload.partition(" ")
            self.changes.append((what, int(receipt), time.monotonic()))
            if self.confirms and receipt != "0":
                self._confirm_later(receipt)

    def _confirm_later(self, receipt):
        if self.delay:
            threading.Timer(self.delay, self._confirm_quietly, (receipt,)).start()
        else:
            self._confirm_quietly(receipt)

    def _confirm_quietly(self, receipt):
        try:
            if not self._stop.is_set():
                self.confirm(receipt)
        except (OSError, RedisError):
            pass
