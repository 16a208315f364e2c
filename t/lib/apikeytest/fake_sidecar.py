"""What nginx takes for apikeyd: records the requests of the content handlers, and answers as the test says."""

import base64
import contextlib
import os
import socket
import socketserver
import threading
import urllib.parse

from .http1 import chunk


class FakeSidecar:
    """str() of it follows api_key_sidecar. `answers`: bytes, or pieces of bytes (an iterable), for every request; a function of the
    request that gives these; None in the place of a piece: the connection is cut there."""

    def __init__(self, folder):
        self.path = f"{folder}/sidecar.sock"
        self.requests = []                 # Asked, in order
        self.connections = 0
        self._open = set()
        self.answers = whole(b'{"success":true}')
        self.start()

    def start(self):
        if os.path.exists(self.path):
            os.unlink(self.path)
        server = socketserver.ThreadingUnixStreamServer
        server.daemon_threads, server.request_queue_size = True, 256
        self._server = server(self.path, self._handler())
        os.chmod(self.path, 0o777)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def __str__(self):
        return f"unix:{self.path}"

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        if os.path.exists(self.path):
            os.unlink(self.path)

    def _handler(fake):                    # pylint: disable=no-self-argument
        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                fake.connections += 1
                fake._open.add(self.request)
                try:
                    self.serve()
                finally:
                    fake._open.discard(self.request)

            def serve(self):
                while (asked := read_request(self.rfile)) is not None:
                    fake.requests.append(asked)
                    answer = fake.answers(asked) if callable(fake.answers) else fake.answers
                    try:
                        for piece in [answer] if isinstance(answer, bytes) else answer:
                            if piece is None:
                                return
                            self.wfile.write(piece)
                            self.wfile.flush()
                    except OSError:
                        return             # nginx hung up
        return Handler


class Asked:
    """One request of nginx's."""

    def __init__(self, line, fields, body):
        self.method, target, self.version = line.split(" ")
        self.path, _, query = target.partition("?")
        self.parameters = dict(urllib.parse.parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
        self.fields, self.body = fields, body

    def field(self, name):
        """All values of a header field, decoded where they are base64url."""
        return [value for got, value in self.fields if got.lower() == name.lower()]

    def text(self, name):
        (value,) = self.field(name)
        return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode()


def read_request(file):
    try:
        line = file.readline().decode("latin-1").rstrip("\r\n")
        fields = []
        while (field := file.readline().decode("latin-1").rstrip("\r\n")):
            name, _, value = field.partition(":")
            fields.append((name, value.strip()))
        if not line:
            return None
        body = b""
        if any(name.lower() == "transfer-encoding" for name, _ in fields):
            while (size := int(file.readline(), 16)) > 0:
                body += file.read(size)
                file.readline()
            file.readline()
    except (OSError, ValueError):
        return None                        # nginx hung up
    return Asked(line, fields, body)


def whole(body, status="200 OK", content_type="application/json", more=()):
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {content_type}", f"Content-Length: {len(body)}", *more]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chunked(pieces, content_type="text/csv; charset=utf-8", end=True, more=()):
    """The head and each piece as a chunk; without `end` the connection is cut behind the last of them."""
    lines = ["HTTP/1.1 200 OK", f"Content-Type: {content_type}", "Transfer-Encoding: chunked", *more]
    yield "\r\n".join(lines).encode() + b"\r\n\r\n"
    for piece in pieces:
        yield chunk(piece)
    yield chunk(b"") if end else None
