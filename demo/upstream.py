#!/usr/bin/python3
"""The API behind nginx in the demo: answers with what it was told about the caller; POST gets a streamed completion, as of OpenAI's
API.  usage: upstream.py PORT"""
import http.server
import json
import sys
import time

WORDS = ["Counted", " as", " it", " passes", "."]


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

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        common = {"object": "chat.completion.chunk", "model": asked["model"]}
        events = [common | {"choices": [{"index": 0, "delta": {"content": word}}], "usage": None} for word in WORDS]
        usage = {"prompt_tokens": 1200, "completion_tokens": 350, "prompt_tokens_details": {"cached_tokens": 1024}}
        events.append(common | {"choices": [], "usage": usage})
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for data in [*map(json.dumps, events), "[DONE]"]:
            event = f"data: {data}\n\n".encode()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))
            time.sleep(0.1)
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *arguments):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Echo).serve_forever()
