"""The API behind nginx: answers with JSON of exactly what it received."""

import json
import socketserver
import threading
import time

from .ports import free_port


class Upstream:
    """str() of it follows proxy_pass http://. `delay` (seconds before the answer) may be changed at any time."""

    def __init__(self, delay=0.0):
        self.delay = delay
        self.extra_headers = []            # (name, value) of every answer, for X-Accel-Redirect and the like
        self.requests = []                 # a dict per request: method, path, headers, body
        self.port = free_port()
        server = socketserver.ThreadingTCPServer
        server.allow_reuse_address, server.daemon_threads, server.request_queue_size = True, True, 512
        self._server = server(("127.0.0.1", self.port), self._handler())
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def __str__(self):
        return f"127.0.0.1:{self.port}"

    def saw(self, name):
        """Every value of a header, over all requests."""
        return [value for request in self.requests for got, value in request["headers"]
                if got.lower() == name.lower()]

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    def _handler(upstream):                # pylint: disable=no-self-argument
        class Handler(socketserver.StreamRequestHandler):
            disable_nagle_algorithm = True

            def handle(self):
                while (request := read_request(self.rfile)) is not None:
                    upstream.requests.append(request)
                    if upstream.delay:
                        time.sleep(upstream.delay)
                    try:
                        goes_on = upstream.serve(request, self.wfile)
                    except OSError:
                        return             # nginx hung up
                    if not goes_on or wants_close(request):
                        return
        return Handler

    def serve(self, request, file):
        """Answers; False: the connection ends with that."""
        file.write(self.answer(request))
        return True

    def answer(self, request):
        body = json.dumps(request).encode()
        lines = ["HTTP/1.1 200 OK", "Content-Type: application/json", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in self.extra_headers]
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        return head if request["method"] == "HEAD" else head + body


def read_request(file):
    try:
        first = file.readline().decode("latin-1").split()
        headers = []
        while (line := file.readline().decode("latin-1").rstrip("\r\n")):
            name, _, value = line.partition(":")
            headers.append((name, value.strip(" \t")))
    except OSError:
        return None
    if len(first) != 3:
        return None
    lower = {name.lower(): value for name, value in headers}
    body = file.read(int(lower.get("content-length", 0)))
    return {"method": first[0], "path": first[1], "version": first[2], "headers": headers,
            "body": body.decode("latin-1")}


def wants_close(request):
    connection = {name.lower(): value.lower() for name, value in request["headers"]}.get("connection", "")
    return connection == "close" or (request["version"] == "HTTP/1.0" and connection != "keep-alive")
