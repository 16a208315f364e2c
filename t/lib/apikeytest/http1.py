"""HTTP/1 by hand: exactly these bytes go out, exactly those came back."""

import json
import socket
import struct


class Response:
    def __init__(self, status, reason, headers, body=b"", whole=True):
        self.status, self.reason, self.headers, self.body = status, reason, headers, body
        self.whole = whole                 # False: the connection ended before the body did
        self.interim = []                  # the 1xx answers that came first

    def all(self, name):
        """Every value of a header, in order."""
        return [value for got, value in self.headers if got.lower() == name.lower()]

    def header(self, name):
        """Its only value, None when it is missing; more than one is an error."""
        values = self.all(name)
        if len(values) > 1:
            raise AssertionError(f"{len(values)} headers {name}: {values}")
        return values[0] if values else None

    @property
    def text(self):
        return self.body.decode("latin-1")

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """The `code` of a problem document, None for anything else."""
        if self.header("Content-Type") != "application/problem+json":
            return None
        return self.json.get("code")

    def saw(self, name):
        """From the echo upstream: every value it received of a header. Of any other answer: what came instead, so that a check
        fails by it and not the test."""
        try:
            return [value for got, value in self.json["headers"] if got.lower() == name.lower()]
        except (ValueError, LookupError, TypeError):
            return [repr(self)]

    def __repr__(self):
        return f"<{self.status} {self.reason} {self.headers} {self.body[:200]!r}>"


def chunk(data):
    """A chunk of a body (RFC 9112 §7.1); of no data: the end of it."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def request_bytes(method="GET", path="/", key=None, headers=(), body=b"", host="localhost", version="1.1"):
    lines = [f"{method} {path} HTTP/{version}"]
    lines += [f"Host: {host}"] if host is not None else []
    lines += [f"Authorization: Bearer {getattr(key, 'key', key)}"] if key is not None else []
    lines += [f"{name}: {value}" for name, value in (headers.items() if isinstance(headers, dict) else headers)]
    lines += [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


class NoAnswer(ConnectionError):
    """The connection was closed without a byte of an answer."""


class Connection:
    def __init__(self, port, timeout=10.0):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

    def request(self, method="GET", path="/", key=None, headers=(), body=b""):
        self.send(request_bytes(method, path, key, headers, body))
        return self.response(method)

    def response(self, method="GET"):
        """The next answer in line. `method` of its request: HEAD has no body."""
        interim = []
        while True:
            found = self._head()
            if found.status >= 200 or found.status == 101:
                break
            interim.append(found)
        found.interim = interim
        if method != "HEAD" and found.status not in (101, 204, 304):
            self._body(found)
        return found

    def _head(self):
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if not self._more():
                kind = ConnectionError if self._buffer else NoAnswer
                raise kind(f"closed without a whole answer, after {bytes(self._buffer)!r}")
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[:end + 4]
        version, status, reason = (first.split(" ", 2) + [""])[:3]
        if not version.startswith("HTTP/1."):
            raise ConnectionError(f"not an HTTP answer: {first!r}")
        pairs = [line.partition(":") for line in lines]
        return Response(int(status), reason, [(name, value.strip(" \t")) for name, _, value in pairs])

    def _body(self, response):
        if (response.header("Transfer-Encoding") or "").lower() == "chunked":
            parts = []                     # and joined once: a body may be long
            while (size := self._chunk(parts)) > 0:
                pass
            response.body, response.whole = b"".join(parts), size == 0
        elif (length := response.header("Content-Length")) is not None:
            while len(self._buffer) < int(length) and self._more():
                pass
            response.body = bytes(self._buffer[:int(length)])
            response.whole = len(response.body) == int(length)
            del self._buffer[:int(length)]
        else:
            response.body = self.rest()

    def _chunk(self, parts):
        """Adds one chunk to the parts of a body; its size, -1 when the connection ended in it."""
        while (end := self._buffer.find(b"\r\n")) < 0:
            if not self._more():
                return -1
        size = int(self._buffer[:end].split(b";")[0], 16)
        while len(self._buffer) < end + 2 + size + 2:
            if not self._more():
                parts.append(bytes(self._buffer[end + 2:]))
                return -1
        parts.append(bytes(self._buffer[end + 2:end + 2 + size]))
        del self._buffer[:end + 2 + size + 2]
        return size

    def _more(self):
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            return False
        self._buffer += data
        return bool(data)

    def rest(self):
        """All bytes until the other side closes."""
        while self._more():
            pass
        data, self._buffer = bytes(self._buffer), bytearray()
        return data

    def is_quiet(self, seconds=0.1):
        """True when nothing arrives for so long (and the other side does not close)."""
        timeout = self.socket.gettimeout()
        self.socket.settimeout(seconds)
        try:
            if not self._buffer:
                self._more()
            return False                   # there was something, if only the end
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(timeout)

    def close(self):
        self.socket.close()

    def reset(self):
        """Leaves with RST instead of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
