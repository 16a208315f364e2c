#!/usr/bin/python3
"""The API behind nginx in the demo: answers with what it was told about the caller.  usage: upstream.py PORT"""
import http.server
import json
import sys


class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        seen = {name: self.headers.get(name) for name in
                ("X-User-Id", "X-Api-Key-Id", "X-Api-Key-Scopes", "Authorization")}
        body = (json.dumps({"path": self.path, "received": seen}, indent=2) + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Echo).serve_forever()
