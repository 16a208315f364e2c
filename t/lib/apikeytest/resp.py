"""Redis' protocol: finding where a frame ends, reading it, writing a command, and a small blocking client."""

import socket


class RedisError(Exception):
    pass


def frame_end(buffer, start=0):
    """The index after the frame that starts at `start`, or -1 when more bytes are needed. RESP2 and RESP3."""
    at, left = start, 1
    while left:
        line_end = buffer.find(b"\r\n", at)
        if line_end < 0:
            return -1
        kind = buffer[at]
        left -= 1
        if kind in b"$=!":
            size = int(buffer[at + 1:line_end])
            at = line_end + 2
            if size >= 0:
                at += size + 2
                if at > len(buffer):
                    return -1
            continue
        if kind in b"*~>":
            left += max(0, int(buffer[at + 1:line_end]))
        elif kind in b"%|":
            left += 2 * int(buffer[at + 1:line_end]) + (kind == 0x7c)
        elif kind not in b"+-:_,#(":
            raise RedisError(f"not a Redis reply: {bytes(buffer[at:at + 40])!r}")
        at = line_end + 2
    return at


def parse(buffer, at=0):
    """(value, index after it) of a complete frame. Errors come as RedisError values; text as str (latin-1)."""
    line_end = buffer.index(b"\r\n", at)
    kind, line, at = buffer[at:at + 1], bytes(buffer[at + 1:line_end]).decode("latin-1"), line_end + 2
    if kind in (b"$", b"="):
        size = int(line)
        return (None, at) if size < 0 else (bytes(buffer[at:at + size]).decode("latin-1"), at + size + 2)
    if kind in (b"*", b"~", b">", b"%"):
        if int(line) < 0:
            return None, at
        items = []
        for _ in range(int(line) * (2 if kind == b"%" else 1)):
            item, at = parse(buffer, at)
            items.append(item)
        return items, at
    if kind == b":":
        return int(line), at
    if kind == b"-":
        return RedisError(line), at
    return (None if kind == b"_" else line), at


def _bytes(value):
    return value if isinstance(value, bytes) else str(value).encode("latin-1")


def command(*args):
    """A command as bytes on the wire."""
    parts = [b"*%d\r\n" % len(args)]
    for arg in map(_bytes, args):
        parts.append(b"$%d\r\n%s\r\n" % (len(arg), arg))
    return b"".join(parts)


def bulk(value):
    """One bulk string, nil for None: for replies that a test makes up."""
    return b"$-1\r\n" if value is None else b"$%d\r\n%s\r\n" % (len(_bytes(value)), _bytes(value))


def array(*values):
    """An array of bulk strings: for replies that a test makes up."""
    return b"*%d\r\n" % len(values) + b"".join(map(bulk, values))


class RedisClient:
    """client("GET", "a") sends a command and returns its value; errors are raised."""

    def __init__(self, address, timeout=10.0):
        self._socket = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(address)
        except OSError:
            self._socket.close()
            raise
        self._buffer = bytearray()

    def __call__(self, *args):
        self.send(*args)
        return self.receive()

    def set_timeout(self, seconds):
        """How long receive() waits from now on before it raises TimeoutError."""
        self._socket.settimeout(seconds)

    def send(self, *args):
        self._socket.sendall(command(*args))

    def send_raw(self, data):
        self._socket.sendall(data)

    def receive(self):
        value = parse(self.receive_frame())[0]
        if isinstance(value, RedisError):
            raise value
        return value

    def receive_frame(self):
        """The bytes of one whole reply."""
        while (end := frame_end(self._buffer)) < 0:
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionError("Redis closed the connection")
            self._buffer += data
        frame = bytes(self._buffer[:end])
        del self._buffer[:end]
        return frame

    def pipeline(self, commands):
        """Sends all, then returns all values; errors are values here."""
        values = []
        for first in range(0, len(commands), 500):
            chunk = commands[first:first + 500]
            self._socket.sendall(b"".join(command(*c) for c in chunk))
            values += [parse(self.receive_frame())[0] for _ in chunk]
        return values

    def close(self):
        self._socket.close()

    def shut(self):
        """Also wakes up a thread that waits for a reply: it gets a ConnectionError."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
