"""Between apikeyd and Postgres: can hold what a client sends until the test says so, and can ask a server, on a connection that nobody uses
just now, what the session has been left with."""

import contextlib
import os
import socket
import struct
import threading

CANCELLED = b"\0C57014\0"                 # the field of an error that has its SQLSTATE
IDLE = b"Z\0\0\0\x05I"                     # ReadyForQuery, in no transaction


def messages(data):
    """The whole ones of a server, and what is behind them."""
    found = []
    while len(data) >= 5 and len(data) > (size := struct.unpack("!I", data[1:5])[0]):
        found.append(data[:1 + size])
        data = data[1 + size:]
    return found, data


def waits(data):
    """Whether this is the end of what a server says before it waits: behind it there are only notifications, which a session that listens is told at any time."""
    _, idle, after = data.rpartition(IDLE)
    told, rest = messages(after)
    return bool(idle) and not rest and all(message[:1] == b"A" for message in told)


class Link:
    """One client's connection."""

    def __init__(self, proxy, client):
        self.proxy, self.client, self.sent, self.tail, self.lock = proxy, client, 0, b"", threading.RLock()
        self.server = socket.socket(socket.AF_UNIX)
        self.server.connect(proxy.to)
        for work in (self._to_server, self._to_client):
            threading.Thread(target=work, daemon=True).start()

    def _to_server(self):
        with contextlib.suppress(OSError):
            while data := self.client.recv(65536):
                self.proxy.hold(data)
                with self.lock:
                    self.tail = b""
                    self.server.sendall(data)
            self.server.shutdown(socket.SHUT_WR)

    def _to_client(self):
        with contextlib.suppress(OSError):
            while True:
                data = self.server.recv(65536, socket.MSG_PEEK)
                with self.lock:
                    data = self._receive_now()
                    if data is None:
                        continue           # it was an answer to us
                    if not data:
                        break
                    self.tail += data
                    self.tail = self.tail[self.tail.rfind(IDLE):] if IDLE in self.tail else self.tail[-len(IDLE):]
                self.client.sendall(data)
        with contextlib.suppress(OSError):
            self.client.shutdown(socket.SHUT_RDWR)
            self.client.close()
        self.server.close()
        self.proxy.links.discard(self)

    def _receive_now(self):
        try:
            return self.server.recv(65536, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None

    def ask(self, sql):
        """The only row of it, as text; None where somebody is at work, or this was cancelled or hung up on like what others ask."""
        with self.lock, contextlib.suppress(OSError):
            if not waits(self.tail):
                return None
            text = sql.encode() + b"\0"
            self.server.sendall(b"Q" + struct.pack("!I", len(text) + 4) + text)
            answer = b""
            while not waits(answer):
                if not (more := self.server.recv(65536)):
                    return None
                answer += more
            self.client.sendall(b"".join(message for message in messages(answer)[0] if message[:1] == b"A"))
            return None if CANCELLED in answer else self._row(answer)
        return None

    @staticmethod
    def _row(answer):
        answer = next(message for message in messages(answer)[0] if message[:1] in b"DE")
        if answer[:1] == b"E":
            raise RuntimeError(f"Postgres: {answer!r}")
        fields, at = [], 7
        for _ in range(struct.unpack("!H", answer[5:7])[0]):
            (size,) = struct.unpack("!i", answer[at:at + 4])
            fields.append(None if size < 0 else answer[at + 4:at + 4 + size].decode())
            at += 4 + max(size, 0)
        return fields


class PostgresProxy:
    """`folder`: where its socket is (host=…)."""

    def __init__(self, folder, postgres):
        self.folder, self.to, self.links = folder, f"{postgres.folder}/.s.PGSQL.5432", set()
        self.hold = lambda data: None      # called with what a client sends, before that goes on
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(f"{folder}/.s.PGSQL.5432")
        os.chmod(f"{folder}/.s.PGSQL.5432", 0o777)
        self.server.listen(128)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            client, _ = self.server.accept()
            self.links.add(Link(self, client))

    def ask_idle(self, sql):
        """What each server answers whose client is in no transaction and waits for nothing."""
        return [row for link in list(self.links) if (row := link.ask(sql)) is not None]
