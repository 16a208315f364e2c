"""An upstream whose answers do not end by themselves, for what becomes of the usage of such requests."""

import socketserver
import threading

from .upstream import read_request

EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: 1\n\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
BROKEN = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbut no more"


class UnfinishedUpstream:
    """Answers by path: /silent not at all; /broken with a part of what it announced; /socket with bytes that come back; anything else
    with a first event, and the last one when `go_on` is set. `.asked`: the paths, in order."""

    def __init__(self):
        self.asked, self.go_on = [], threading.Event()
        upstream = self

        class Answer(socketserver.StreamRequestHandler):
            def handle(self):
                upstream.answer(self)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = daemon_threads = True

        server = Server(("127.0.0.1", 0), Answer)
        self.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def answer(self, connection):
        path = read_request(connection.rfile)["path"]
        self.asked.append(path)
        if path == "/silent":
            connection.request.recv(1000)
        elif path == "/broken":
            connection.wfile.write(BROKEN)
        elif path == "/socket":
            connection.wfile.write(SWITCHED)
            while data := connection.request.recv(1000):
                connection.request.sendall(data)
        else:
            connection.wfile.write(EVENTS)
            self.go_on.wait(20)
            connection.wfile.write(b"data: 2\n\n")
