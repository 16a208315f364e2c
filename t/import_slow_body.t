#!/usr/bin/python3
# A client that sends an import slowly holds nothing of Postgres meanwhile; one that stops sending, or leaves, is ended by nginx, leaves
# nothing behind, and its place is free.
# Hazards: X17, S12

import os
import socket
import time

from lib.apikeytest import Test, chunk, open_files, wait_for
from lib.apikeytest.unix_http import Sidecar

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone    keys:1m;
    api_key_redis   %REDIS%;
    api_key_sidecar %APIKEYD%;
    server {
        listen 127.0.0.1:%PORT%;
        listen 127.0.0.1:%PORT_H2% http2;
        api_key_usage off;
        client_body_timeout 1s;
        client_max_body_size 10m;
        location /usage { api_key "test"; api_key_import usage; }
    }
}
"""
HEADER = b"date,endpoint,requests,tokens,cost,model,status\n"
ROW = b"2026-11-28,/%d,1,2,0.5,m,success\n"
PIECE = HEADER + b"".join(ROW % n for n in range(10_000))          # more than any buffer on the way


def seconds(since):
    return f"{time.monotonic() - since:.2f} s"


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    scratch = t.new_folder("scratch")
    daemon = t.apikeyd(pg, redis, wait=None)
    daemon.env = {"TMPDIR": scratch}
    daemon.start()
    sidecar = Sidecar(daemon)
    key = daemon.ctl("keys", "create", "--user", "alice", "--name", "n", json=True)["key"]
    t.secret(key)
    nginx = t.nginx(CONF, redis=redis, apikeyd=daemon)
    observer = pg.connect()

    def of_postgres():
        """How many connections apikeyd has there, and how many of its transactions are no matter of a moment."""
        with observer.cursor() as cursor:
            cursor.execute("SELECT count(*), count(*) FILTER (WHERE xact_start < clock_timestamp() - interval '200 ms') "
                           "FROM pg_stat_activity WHERE application_name = 'apikeyd'")
            return cursor.fetchone()

    def holds_files():
        return bool(open_files(daemon.process.pid, scratch))

    def is_busy():
        return {429: True, 200: False}[sidecar.post("/import/usage?format=csv&dryRun=true", HEADER).status]

    def begin(framing="Transfer-Encoding: chunked", first=chunk(PIECE)):
        c = nginx.connect()
        c.send(f"POST /usage HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: text/csv\r\n{framing}\r\n\r\n")
        c.send(first)
        t.ok(wait_for(holds_files), "apikeyd reads it")
        return c

    def nothing_is_left(name):
        t.ok(wait_for(lambda: not holds_files(), 5), f"{name}: apikeyd has done with it")
        t.ok(wait_for(lambda: not is_busy(), 2), f"{name}: its place is free")
        t.is_(pg.value("SELECT count(*) FROM usage_records"), "0", f"{name}: nothing is stored")

    # --- it stops sending ---
    base = nginx.fds()
    before = of_postgres()
    began = time.monotonic()
    c = begin()
    t.is_(of_postgres(), before, "while it sends nothing, nothing of Postgres is held")
    t.ok(is_busy(), "but a place is")
    t.is_(c.rest(), b"", "nginx hangs up")
    t.ok(0.9 <= time.monotonic() - began < 5, "after client_body_timeout", seconds(began))
    t.is_([x["status"] for x in nginx.wait_requests(1)], [408], "408")
    nothing_is_left("stopped")
    t.like(daemon.log(), r'import usage \S+ of "alice": 9\d\d\d rows, \d+ bytes in \S+ s: the client has gone', "the log of apikeyd says why")

    # --- slow, but steady ---
    c = begin()
    for n in range(10):
        time.sleep(0.2)
        t.is_(of_postgres()[1], 0, "no transaction while the next bytes are awaited")
        c.send(chunk(ROW % (20_000 + n)))
    t.is_(nginx.requests()[1:], [], "it takes longer than client_body_timeout in all")
    c.send(b"0\r\n\r\n")
    r = c.response()
    t.is_((r.status, r.json["imported"]), (200, 10_010), "slow but steady is imported")
    pg.sql("DELETE FROM usage_records")

    # --- it leaves ---
    whole = len(PIECE)
    for name, framing, first in (("in chunks", "Transfer-Encoding: chunked", chunk(PIECE)), ("in a chunk", "Transfer-Encoding: chunked", chunk(PIECE)[:-1000]),
                                 ("before the last row", f"Content-Length: {whole + 33}", PIECE), ("in a row", f"Content-Length: {whole}", PIECE[:-20])):
        for how, leave in (("FIN", lambda c: c.close()), ("RST", lambda c: c.reset()), ("half closed", lambda c: c.socket.shutdown(socket.SHUT_WR))):
            count = len(nginx.requests())
            c = begin(framing, first)
            leave(c)
            nothing_is_left(f"{name}, {how}")
            t.ok(nginx.wait_requests(count + 1)[-1]["status"] in (400, 408, 499), "logged as such", nginx.requests()[-1])
            c.close()
    for how in ("the stream is reset", "the connection is closed"):
        c = nginx.connect2(port=nginx.ports["PORT_H2"])
        stream = c.send("POST", "/usage", key, {"content-type": "text/csv"}, open_end=PIECE[:10_000])
        t.ok(wait_for(holds_files), "HTTP/2: apikeyd reads it")
        if how == "the stream is reset":
            c.reset(stream)
        else:
            c.close()
        nothing_is_left(f"HTTP/2, {how}")
        c.close()
    t.fds_return(nginx, base + 1)          # a connection to apikeyd may be kept
    t.is_(os.listdir(scratch), [], "no temporary file has a name")
