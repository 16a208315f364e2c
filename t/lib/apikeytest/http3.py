"""HTTP/3, many streams at once: the other half of t/lib/http3/http3_client.cpp, which does what is asked in JSON.

Debian's Python has no QUIC; Debian's ngtcp2 and nghttp3 are C. The client is built where the nginx under test has HTTP/3.
"""

import json
import os
import select
import subprocess
import time

from . import places
from .http1 import Response
from .process import need
from .tap import skip_all

REQUEST_CANCELLED = 0x10c                  # RFC 9114 §8.1


def need_http3():
    """Skips the test where nginx has no HTTP/3: before any check."""
    if not places.nginx_has("http_v3"):
        skip_all("the nginx under test has no HTTP/3 (--with-http_v3_module): docs/development.md, \"Another nginx\"")
    if not places.HTTP3_CLIENT.exists():
        skip_all("the HTTP/3 client is only built for a tree in which an nginx with HTTP/3 was built")


class Http3Connection:
    """A connection that is made with the first request, or at once without a `session`. A session (of `.sessions` of an
    earlier connection): what is sent before the first wait() goes as early data, where nginx allows that (`.early`)."""

    def __init__(self, port, timeout=10.0, session=None):
        need(places.HTTP3_CLIENT, "the HTTP/3 client", places.MAKE_HINT)
        self._process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", str(places.HTTP3_CLIENT)], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, start_new_session=True)
        self.timeout = timeout
        self.responses = {}                # by stream: a Response once its end has come
        self.resets = {}                   # by stream: the error code of RESET_STREAM
        self.sessions = []                 # what nginx gave for a later connection
        self.early = None                  # True: the server took early data; None: no handshake yet
        self.going_away = False            # GOAWAY: no more streams, but those that are open are answered
        self.closed = False                # the end of the connection; why, in words
        self._open, self._interim, self._next = {}, {}, 0
        self._received, self._connect = b"", {"do": "connect", "port": port, "session": session}
        if session is None:
            self.connect()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def connect(self):
        """Does so if it has not been done: the first packet has what was sent before."""
        if self._connect:
            command, self._connect = self._connect, None
            self._tell(command)

    def send(self, method="GET", path="/", key=None, headers=(), body=b"", authority="localhost", open_end=None):
        """Starts a request; returns its stream. `open_end`: a body that is not the end of it; see more()."""
        fields = [(":method", method), (":scheme", "https"), (":authority", authority), (":path", path)]
        if key is not None:
            fields.append(("authorization", f"Bearer {getattr(key, 'key', key)}"))
        fields += headers.items() if isinstance(headers, dict) else headers
        stream, self._next = self._next, self._next + 4
        text = (body if open_end is None else open_end).decode("latin-1")
        self._tell({"do": "send", "fields": fields, "body": text, "end": open_end is None})
        return stream

    def more(self, stream, body=b"", end=False):
        """More of a body."""
        self._tell({"do": "body", "stream": stream, "body": body.decode("latin-1"), "end": end})

    def reset(self, stream):
        """Gives a request up in both directions, as browsers do. What has been sent whole and was acknowledged cannot be reset
        (RFC 9000 §3.1): then it is STOP_SENDING alone."""
        self.break_off(stream)
        self.stop(stream)

    def stop(self, stream):
        """STOP_SENDING: wants no more of the answer."""
        self._give_up("stop", stream)

    def break_off(self, stream):
        """RESET_STREAM alone: no more of the request will come."""
        self._give_up("reset", stream)

    def _give_up(self, how, stream):
        self.wait_until(lambda: self.early is not None)    # before the handshake there is no stream
        self._tell({"do": how, "stream": stream, "code": REQUEST_CANCELLED})

    def request(self, method="GET", path="/", key=None, headers=(), body=b""):
        return self.wait(self.send(method, path, key, headers, body))

    def wait(self, *streams):
        """Reads until all these streams have ended; one Response, or a list of them; None for a reset one."""
        self.wait_until(lambda: all(s in self.responses or s in self.resets for s in streams))
        found = [self.responses.get(s) for s in streams]
        return found[0] if len(streams) == 1 else found

    def wait_until(self, condition):
        """Reads until condition() is true, or the connection has ended; its value."""
        self.connect()
        end = time.monotonic() + self.timeout
        while not condition() and not self.closed:
            if not select.select([self._process.stdout], [], [], max(0, end - time.monotonic()))[0]:
                raise TimeoutError("no answer over HTTP/3")
            self._read()
        return condition()

    def begun(self, stream):
        """What has come of an answer so far, None before its fields."""
        return self.responses.get(stream) or self._open.get(stream)

    def _read(self):
        data = os.read(self._process.stdout.fileno(), 65536)
        self.closed = self.closed or not data and "the client ended"
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            event = json.loads(line)
            getattr(self, "_on_" + event.pop("is").replace(" ", "_"))(**event)

    def _on_ready(self, early):
        self.early = early

    def _on_fields(self, stream, fields):
        if stream in self._open:           # trailers
            return
        response = Response(int(fields[0][1]), "", [tuple(field) for field in fields[1:]])
        if response.status < 200:
            self._interim.setdefault(stream, []).append(response)
        else:
            response.interim = self._interim.pop(stream, [])
            self._open[stream] = response

    def _on_data(self, stream, data):
        self._open[stream].body += data.encode("latin-1")

    def _on_end(self, stream):
        self.responses[stream] = self._open.pop(stream)

    def _on_reset(self, stream, code):
        self.resets[stream] = code

    def _on_closed_stream(self, stream, code):
        if stream not in self.responses:
            self.resets.setdefault(stream, code)

    def _on_session(self, **session):
        self.sessions.append(session)

    def _on_going_away(self):
        self.going_away = True

    def _on_closed(self, why):
        self.closed = why

    def _tell(self, command):
        try:
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self.closed = self.closed or "the client ended"

    def close(self):
        """CONNECTION_CLOSE."""
        try:
            self._process.stdin.close()
            self._process.wait(5)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            pass
        self.vanish()

    def vanish(self):
        """Is gone without a packet: nginx learns of it by its timeouts."""
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
