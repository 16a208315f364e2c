"""Upstreams of other protocols than HTTP/1: each keeps what nginx sent for a request, and answers 200.

    fastcgi = FastCgi(t)         str() of it follows fastcgi_pass; stopped with the test
    fastcgi.requests             one list of (name, value) per request, doubles and order as they came
    fastcgi.saw("HTTP_COOKIE")   every value of that name in the last request
"""

import socketserver
import struct
import threading

from .ports import free_port
from .tap import bail_out

try:
    import h2.config
    import h2.connection
    import h2.events
except ImportError:
    h2 = None


class Recorder:
    def __init__(self, test):
        self.requests = []
        self.port = free_port()
        recorder = self

        class Handler(socketserver.StreamRequestHandler):
            disable_nagle_algorithm = True

            def handle(self):
                try:
                    recorder.serve(self.rfile, self.wfile)
                except (OSError, struct.error, ValueError):
                    pass                   # nginx hung up

        server = socketserver.ThreadingTCPServer
        server.allow_reuse_address, server.daemon_threads = True, True
        self._server = server(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        test.upstreams.append(self)

    def __str__(self):
        return f"127.0.0.1:{self.port}"

    def saw(self, name):
        return [value for got, value in self.requests[-1] if got == name]

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    def serve(self, rfile, wfile):
        """One connection: append to .requests, answer."""
        raise NotImplementedError


CGI_ANSWER = b"Status: 200 OK\r\nContent-Type: text/plain\r\n\r\nrecorded\n"


class FastCgi(Recorder):
    BEGIN, END, PARAMS, STDIN, STDOUT = 1, 3, 4, 5, 6

    def serve(self, rfile, wfile):
        params = b""
        while True:
            _, kind, request, length, padding, _ = struct.unpack(">BBHHBB", rfile.read(8))
            content = rfile.read(length)
            rfile.read(padding)
            if kind == self.PARAMS:
                params += content
            if kind == self.STDIN and not content:
                break
        self.requests.append(list(self.pairs(params)))
        wfile.write(self.record(self.STDOUT, request, CGI_ANSWER) + self.record(self.STDOUT, request, b"") +
                    self.record(self.END, request, bytes(8)))

    @staticmethod
    def record(kind, request, content):
        return struct.pack(">BBHHBB", 1, kind, request, len(content), 0, 0) + content

    @staticmethod
    def pairs(data):
        at = 0
        while at < len(data):
            sizes = []
            for _ in "nv":
                if data[at] < 128:
                    sizes.append(data[at])
                    at += 1
                else:
                    sizes.append(struct.unpack_from(">I", data, at)[0] & 0x7fffffff)
                    at += 4
            name, value = data[at:at + sizes[0]], data[at + sizes[0]:at + sum(sizes)]
            at += sum(sizes)
            yield name.decode("latin-1"), value.decode("latin-1")


class Uwsgi(Recorder):
    def serve(self, rfile, wfile):
        _, size, _ = struct.unpack("<BHB", rfile.read(4))
        data, texts, at = rfile.read(size), [], 0
        while at < len(data):
            length = struct.unpack_from("<H", data, at)[0]
            texts.append(data[at + 2:at + 2 + length].decode("latin-1"))
            at += 2 + length
        self.requests.append(list(zip(texts[::2], texts[1::2])))
        wfile.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nrecorded\n")


class Scgi(Recorder):
    def serve(self, rfile, wfile):
        size = b""
        while (digit := rfile.read(1)) != b":":
            size += digit
        texts = rfile.read(int(size)).decode("latin-1").split("\0")[:-1]
        self.requests.append(list(zip(texts[::2], texts[1::2])))
        wfile.write(CGI_ANSWER)


class Grpc(Recorder):
    """Answers every call with an empty message stream and grpc-status 0."""

    def __init__(self, test):
        if h2 is None:
            bail_out("no module h2 for /usr/bin/python3 (apt install python3-h2)")
        self.trailers = []                 # of all calls
        super().__init__(test)

    def serve(self, rfile, wfile):
        connection = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=False, header_encoding="latin-1", validate_inbound_headers=False))
        connection.initiate_connection()
        wfile.write(connection.data_to_send())
        while data := rfile.read1(65536):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    self.requests.append(list(event.headers))
                elif isinstance(event, h2.events.TrailersReceived):
                    self.trailers += event.headers
                elif isinstance(event, h2.events.DataReceived):
                    connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    connection.send_headers(event.stream_id, [(":status", "200"), ("content-type", "application/grpc")])
                    connection.send_headers(event.stream_id, [("grpc-status", "0")], end_stream=True)
            wfile.write(connection.data_to_send())
