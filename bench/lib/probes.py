"""Connections that ask each worker about one key again and again, and note when it was last accepted."""

import re
import select
import socket
import time

from .load import request

GIVE_UP = 5.0         # seconds


class Probe:
    """A kept connection to one worker, with one request at a time on it."""

    def __init__(self, port, key):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=GIVE_UP)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""
        self.begin(key)
        self.status, self.worker = self.finish()

    def fileno(self):
        return self.socket.fileno()

    def begin(self, key):
        self.request = request(key)
        self.last_accepted = None     # when the last 200 arrived, in seconds since 1970, as Postgres tells its commits
        self.refused_since = None     # when the first 401 after it arrived
        self.socket.sendall(self.request)

    def finish(self):
        """Waits for the answer that is still to come; (status, worker)."""
        while (answer := self._take()) is None:
            pass
        return answer

    def go_on(self):
        """When something can be read: notes the answer and asks again."""
        if (answer := self._take()) is None:
            return
        now = time.time()
        if answer[0] == 200:
            self.last_accepted, self.refused_since = now, None
        elif answer[0] == 401:
            self.refused_since = self.refused_since or now
        else:
            raise RuntimeError(f"a probe was answered with {answer[0]}")
        self.socket.sendall(self.request)

    def _take(self):
        """Reads what has come; (status, worker) when that completes the answer, else None."""
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("a probe's connection was closed")
        self.received += data
        head, separator, body = self.received.partition(b"\r\n\r\n")
        if not separator or len(body) < int(re.search(rb"Content-Length: (\d+)", head)[1]):
            return None
        self.received = b""
        return int(head[9:12]), int(re.search(rb"X-Worker: (\d+)", head)[1])


def probe_each_worker(port, workers, key):
    """One probe for each of so many workers, with a key that is good; the kernel chooses who takes a connection, so many are
    opened and most closed again."""
    probes, end = {}, time.monotonic() + 2 * GIVE_UP
    while len(probes) < workers:
        if time.monotonic() > end:
            raise RuntimeError(f"of {workers} workers only {list(probes)} take connections and answer 200")
        probe = Probe(port, key)
        if probe.status != 200 or probes.setdefault(probe.worker, probe) is not probe:
            probe.socket.close()
    return list(probes.values())


def ask_until(probes, over, also=()):
    """Asks until over() is true; wakes up for `also` (connections), too."""
    end = time.monotonic() + GIVE_UP
    while not over():
        if time.monotonic() > end:
            raise RuntimeError(f"not over after {GIVE_UP} s: last answers "
                               f"{[(p.worker, p.last_accepted, p.refused_since) for p in probes]}")
        for readable in select.select([*probes, *also], [], [], 0.001)[0]:
            if isinstance(readable, Probe):
                readable.go_on()
