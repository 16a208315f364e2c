"""HTTP/2 without TLS (prior knowledge), many streams at once; on Debian's python3-h2.

GOAWAY is read here: h2 takes it for the end of the connection, and nginx answers the streams that are open (RFC 9113 §6.8).
"""

import contextlib
import socket

from .http1 import Response
from .tap import bail_out

try:
    import h2.config
    import h2.connection
    import h2.events
except ImportError:
    h2 = None


FRAME_HEADER, GOAWAY = 9, 7    # bytes of a frame's header; the type (RFC 9113 §4.1)


class Http2Connection:
    def __init__(self, port, timeout=10.0):
        if h2 is None:
            bail_out("no module h2 for /usr/bin/python3 (apt install python3-h2)")
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        # What a test sends may be wrong on purpose: h2 is to pass it on as it is.
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            header_encoding="latin-1", validate_outbound_headers=False, normalize_outbound_headers=False))
        self._h2.initiate_connection()
        self.responses = {}                # by stream: a Response once its end has come
        self.resets = {}                   # by stream: the error code of RST_STREAM
        self.going_away = False            # GOAWAY: no more streams, but those that are open are answered
        self.closed = False                # the end of the connection
        self._open, self._rest = {}, b""
        self._flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, method="GET", path="/", key=None, headers=(), body=b"", authority="localhost", open_end=None):
        """Starts a request; returns its stream. `open_end`: a body that is not the end of it; see trailers()."""
        stream = self._h2.get_next_available_stream_id()
        fields = [(":method", method), (":scheme", "http"), (":authority", authority), (":path", path)]
        if key is not None:
            fields.append(("authorization", f"Bearer {getattr(key, 'key', key)}"))
        fields += headers.items() if isinstance(headers, dict) else headers
        self._h2.send_headers(stream, fields, end_stream=not body and open_end is None)
        if open_end is not None:
            self._h2.send_data(stream, open_end)
        if body:
            self._h2.send_data(stream, body, end_stream=True)
        self._flush()
        return stream

    def more(self, stream, data, end=False):
        """More of a body that was left open; not beyond window()."""
        self._h2.send_data(stream, data, end_stream=end)
        self._flush()

    def window(self, stream):
        """How many bytes of a body the other side takes now; read() may make it more."""
        return self._h2.local_flow_control_window(stream)

    def trailers(self, stream, headers):
        """Ends a request with a block of fields behind its body."""
        self._h2.send_headers(stream, headers, end_stream=True)
        self._flush()

    def reset(self, stream):
        self._h2.reset_stream(stream, 8)   # CANCEL
        self._flush()

    def request(self, method="GET", path="/", key=None, headers=(), body=b""):
        return self.wait(self.send(method, path, key, headers, body))

    def wait(self, *streams):
        """Reads until all these streams have ended; one Response, or a list of them; None for a reset one."""
        while not self.closed and any(s not in self.responses and s not in self.resets for s in streams):
            self._read()
        found = [self.responses.get(s) for s in streams]
        return found[0] if len(streams) == 1 else found

    def read(self):
        """Waits for the next bytes, and takes them in."""
        self._read()

    def _read(self):
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        if not data:
            self.closed = True
            return
        for event in self._h2.receive_data(self._without_goaway(data)):
            self._handle(event)
        self._flush()

    def _without_goaway(self, data):
        """The whole frames of what has come so far, but for GOAWAY."""
        data, frames, at = self._rest + data, b"", 0
        while len(data) - at >= FRAME_HEADER:
            end = at + FRAME_HEADER + int.from_bytes(data[at:at + 3], "big")
            if end > len(data):
                break
            if data[at + 3] == GOAWAY:
                self.going_away = True
            else:
                frames += data[at:end]
            at = end
        self._rest = data[at:]
        return frames

    def _handle(self, event):
        if isinstance(event, h2.events.ResponseReceived):
            fields = dict(event.headers[:1])
            self._open[event.stream_id] = Response(int(fields[":status"]), "", list(event.headers[1:]))
        elif isinstance(event, h2.events.DataReceived):
            self._open[event.stream_id].body += event.data
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.responses[event.stream_id] = self._open.pop(event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            self.resets[event.stream_id] = event.error_code

    def _flush(self):
        data = self._h2.data_to_send()
        if data:
            with contextlib.suppress(ConnectionError):     # what was answered before the end can be read
                self.socket.sendall(data)

    def close(self):
        self.socket.close()
