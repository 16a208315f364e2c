#!/usr/bin/python3
# A WebSocket is opened with a good key alone, and lives on when that key is revoked; when worker_shutdown_timeout runs out
# it is closed, and logged once.
# Hazards: P24, N22

import socketserver
import threading
import time

from lib.apikeytest import Test, request_bytes, wait_for
from lib.apikeytest.ports import free_port
from lib.apikeytest.upstream import read_request

CONF = """
%GLOBALS%
worker_processes 1;
worker_shutdown_timeout 1s;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS%;
    server {
        listen 127.0.0.1:%PORT%;
        location / {
            api_key            "test";
            include            %API_KEY_PARAMS%;
            proxy_http_version 1.1;
            proxy_set_header   Upgrade    $http_upgrade;
            proxy_set_header   Connection "upgrade";
            proxy_pass         http://127.0.0.1:%UPSTREAM_PORT%;
        }
    }
}
"""

UPGRADE = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"),
           ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]
opened = []                                # what the upstream was asked for


class Echo(socketserver.StreamRequestHandler):
    """Switches protocols and sends back what comes: to nginx a WebSocket is no more than that."""

    def handle(self):
        opened.append(dict(read_request(self.rfile)["headers"]))
        self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        while data := self.request.recv(1000):
            self.request.sendall(data)


class EchoServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


def open_websocket(key):
    client = nginx.connect()
    client.send(request_bytes(key=key, headers=UPGRADE))
    return client, client.response()


def echoes(client, data):
    client.send(data)
    return client.socket.recv(1000) == data


with Test() as t:
    alice, bob, stranger = t.key(user="alice"), t.key(user="bob"), t.key()
    redis, port = t.redis(keys=[alice, bob]), free_port()
    threading.Thread(target=EchoServer(("127.0.0.1", port), Echo).serve_forever, daemon=True).start()
    nginx = t.nginx(CONF, redis=redis, upstream_port=port)

    for key, code, name in ((None, "missing_api_key", "no key"), (stranger, "invalid_api_key", "an unknown key")):
        client, r = open_websocket(key)
        t.is_((r.status, r.code, r.header("Upgrade")), (401, code, None), f"{name}: refused")
        t.is_(client.request(key=None).status, 401, "and the connection is one for requests still")
        client.close()
    t.is_(opened, [], "the upstream saw none of them")

    client, r = open_websocket(alice)
    t.is_((r.status, r.header("Upgrade")), (101, "websocket"), "a good key: switched")
    t.is_([opened[0].get(name) for name in ("X-User-Id", "Authorization")], ["alice", None], "the upstream knows who it is")
    t.ok(echoes(client, b"\x81\x05hello"), "bytes pass")

    redis("DEL", f"apikey:k:{alice.hash}")
    redis("PUBLISH", "apikey:changed", f"{alice.hash} 0")
    t.ok(wait_for(lambda: nginx.get("/", alice).status == 401), "the key is revoked")
    t.is_(open_websocket(alice)[1].code, "invalid_api_key", "and opens no other")
    t.ok(echoes(client, b"\x81\x03bye"), "what is open goes on: only its opening was a request")

    begun = time.monotonic()
    t.ok(nginx.reload(wait_old=False), "a reload")
    nginx.wait_log("gracefully shutting down")         # from then on only the new worker accepts
    other, r = open_websocket(bob)
    t.is_(r.status, 101, "the new worker serves")
    t.ok(echoes(client, b"more"), "the old one lets its stream run")
    t.is_(client.socket.recv(1000), b"", "until worker_shutdown_timeout ends it")
    t.ok(time.monotonic() - begun > 0.8, "not before")
    t.ok(wait_for(lambda: len(nginx.workers()) == 1), "the old worker is gone")
    t.unlike(nginx.log(), "open socket", "with nothing left open")
    t.ok(echoes(other, b"still here"), "the other stream is untouched")
    wait_for(lambda: any(x["status"] == 101 for x in nginx.requests()))
    t.is_([x["user"] for x in nginx.requests() if x["status"] == 101], ["alice"], "it is logged once, as hers")
    other.close()
    wait_for(lambda: [x["status"] for x in nginx.requests()].count(101) == 2)
    t.is_([x["user"] for x in nginx.requests() if x["status"] == 101], ["alice", "bob"], "and so is the other")
