"""A DNS server on UDP, for nginx's `resolver`: it says what the test wants, or nothing, and counts what it is asked."""

import ipaddress
import socket
import struct
import threading

A, AAAA, IN = 1, 28, 1
CODES = {"SERVFAIL": 2, "NXDOMAIN": 3, "REFUSED": 5}


class Dns:
    """str() of it follows `resolver` in nginx.conf. dns["localhost"] = ["127.0.0.2", "::1"]; a name that was not set is
    NXDOMAIN, one without addresses has none. `mode`, to be set at any time: "answer", "silent", or an error for whatever
    is asked: "SERVFAIL", "NXDOMAIN", "REFUSED"."""

    def __init__(self, ttl=0, **names):
        self.ttl, self.names, self.mode = ttl, names, "answer"
        self.queries = []                  # (name, "A" or "AAAA")
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    def __str__(self):
        return "127.0.0.1:%d" % self._socket.getsockname()[1]

    def __setitem__(self, name, addresses):
        self.names[name] = addresses

    def _serve(self):
        while True:
            query, client = self._socket.recvfrom(512)
            name, kind, end = question_of(query)
            self.queries.append((name, {A: "A", AAAA: "AAAA"}.get(kind, kind)))
            if self.mode != "silent":
                self._socket.sendto(self._answer(query, name, kind, end), client)

    def _answer(self, query, name, kind, end):
        found = [ipaddress.ip_address(text) for text in self.names.get(name, ())]
        found = [a.packed for a in found if a.version == (4 if kind == A else 6)] if self.mode == "answer" else []
        code = CODES.get(self.mode, 0 if name in self.names else CODES["NXDOMAIN"])
        head = query[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, len(found), 0, 0)
        records = (struct.pack("!HHHIH", 0xC00C, kind, IN, self.ttl, len(a)) + a for a in found)
        return head + query[12:end] + b"".join(records)


def question_of(query):
    """Name, type and where the question ends; RFC 1035, 4.1."""
    labels, at = [], 12
    while (length := query[at]):
        labels.append(query[at + 1:at + 1 + length].decode("latin-1"))
        at += 1 + length
    return ".".join(labels), struct.unpack("!H", query[at + 1:at + 3])[0], at + 5
