"""Hears which workers confirm which changes, as apikeyd does."""

import threading

from .process import wait_for
from .resp import RedisError


class Applied:
    """`by(receipt)`: the workers that have confirmed it so far."""

    def __init__(self, redis):
        self._client, self._heard = redis.client(), {}
        self._client("SUBSCRIBE", f"{redis.prefix}applied")
        threading.Thread(target=self._listen, daemon=True).start()

    def by(self, receipt):
        return sorted(self._heard.get(str(receipt), ()))

    def wait(self, receipt, workers, timeout=10):
        """True when so many have confirmed it."""
        return bool(wait_for(lambda: len(self.by(receipt)) >= workers, timeout))

    def _listen(self):
        while True:
            try:
                kind, _channel, payload = self._client.receive()
            except TimeoutError:
                continue
            except (OSError, RedisError):
                return
            if kind == "message":
                worker, _, receipt = payload.partition(" ")
                self._heard.setdefault(receipt, set()).add(worker)
