#!/usr/bin/python3
# worker_shutdown_timeout ends a WebSocket and a long answer: each is counted once, and what the old worker counted is in Redis.
# Hazards: N22, U2

import socketserver
import threading

from lib.apikeytest import Test, request_bytes, usage, wait_for
from lib.apikeytest.ports import free_port
from lib.apikeytest.upstream import read_request

CONF = """
%GLOBALS%
worker_processes 1;
worker_shutdown_timeout 700ms;
events { }
http {
    %HTTP%
    api_key_zone           keys:1m;
    api_key_redis          %REDIS%;
    api_key_usage_interval 200ms;
    server {
        listen 127.0.0.1:%PORT%;
        location / {
            api_key            "test";
            proxy_http_version 1.1;
            proxy_set_header   Upgrade    $http_upgrade;
            proxy_set_header   Connection "upgrade";
            proxy_buffering    off;
            proxy_pass         http://127.0.0.1:%UPSTREAM_PORT%;
        }
    }
}
"""
UPGRADE = [("Upgrade", "websocket"), ("Connection", "Upgrade")]


class Endless(socketserver.StreamRequestHandler):
    """An upgrade where it is asked for, else an answer that never ends."""

    def handle(self):
        headers = dict(read_request(self.rfile)["headers"])
        if headers.get("Upgrade"):
            self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        else:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nfirst words")
        while data := self.request.recv(1000):
            self.request.sendall(data)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


def open_both():
    """A WebSocket and a long answer, both begun."""
    websocket, long = nginx.connect(), nginx.connect()
    websocket.send(request_bytes(key=socket_key, headers=UPGRADE))
    t.is_(websocket.response().status, 101, "a WebSocket is open")
    websocket.send(b"hello")
    t.is_(websocket.socket.recv(10), b"hello", "and in use")
    long.send(request_bytes(key=long_key))
    t.like(long.socket.recv(1000).decode("latin-1"), "200 OK", "an answer has begun")
    return websocket, long


def closed(client):
    while client.socket.recv(1000):
        pass
    return True


with Test() as t:
    socket_key, long_key = t.key(user="socket"), t.key(user="long")
    redis, port = t.redis(keys=[socket_key, long_key]), free_port()
    threading.Thread(target=Server(("127.0.0.1", port), Endless).serve_forever, daemon=True).start()
    nginx = t.nginx(CONF, redis=redis, upstream_port=port)

    # A reload, and then the end of nginx.
    for rounds, ends in enumerate((nginx.reload, lambda: nginx.quit(5)), 1):
        clients = open_both()
        t.ok(ends(), "the old worker ends when its time is up")
        t.ok(all(closed(client) for client in clients), "and with it both connections")
        t.is_(usage.wait_counted(redis, 2 * rounds), 2 * rounds, "each is counted once")
        t.is_(usage.by(redis, "user"), {"socket": rounds, "long": rounds}, "for whom it was")
    t.is_(sorted(line["user"] for line in nginx.requests()), ["long", "long", "socket", "socket"], "and logged once")
    t.unlike(nginx.log(), "has not taken", "nothing is left in the zone")
