#!/usr/bin/python3
# The harness drives nginx, HTTP/1, HTTP/2 and the echo upstream; tried on nginx alone.

from lib.apikeytest import Test, request_bytes, wait_for

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    server {
        listen 127.0.0.1:%PORT%;
        location /       { proxy_pass http://%UPSTREAM%; }
        location /static { return 200 "%TEXT%"; }
    }
    server {
        listen 127.0.0.1:%PORT_H2% http2;
        location / { proxy_pass http://%UPSTREAM%; }
    }
}
"""

with Test() as t:
    upstream = t.upstream()
    nginx = t.nginx(CONF, module=False, upstream=upstream, text="one")
    baseline = nginx.fds()
    t.is_(len(nginx.workers()), 2, "two workers")

    r = nginx.get("/x?y", headers=[("A", "1"), ("a", "2")])
    t.is_((r.status, r.json["path"], r.saw("A")), (200, "/x?y", ["1", "2"]), "a request arrives as it was sent")
    r = nginx.get("/", method="POST", body=b"hello")
    t.is_(r.json["body"], "hello", "with its body")
    r = nginx.get("/static", method="HEAD")
    t.is_((r.status, r.body, r.header("Content-Length")), (200, b"", "3"), "HEAD")

    with nginx.connect() as c:
        c.send(request_bytes(path="/static") * 3 + request_bytes(path="/last"))
        t.is_([c.response().text for _ in "123"] + [c.response().json["path"]], ["one"] * 3 + ["/last"], "pipelined")
        t.ok(c.is_quiet(), "nothing more comes")
        c.send("nonsense\r\n\r\n")
        t.is_(c.response().status, 400, "bytes that are no request")
    t.is_(nginx.get("/").whole, True, "a whole answer is known as such")

    with nginx.connect2(port=nginx.ports["PORT_H2"]) as c:
        streams = [c.send(path=f"/{n}") for n in range(100)]
        t.is_([r.json["path"] for r in c.wait(*streams)], [f"/{n}" for n in range(100)], "100 streams of HTTP/2")
        upstream.delay = 0.3
        given_up, kept = c.send(path="/a"), c.send(path="/b")
        c.reset(given_up)
        t.is_(c.wait(kept).json["path"], "/b", "RST_STREAM ends one of two")
        upstream.delay = 0

    with nginx.connect() as c:
        c.send("GET /half")
        c.reset()
    t.logged_once(nginx, 112)
    t.is_(sorted({x["status"] for x in nginx.requests()}), [200, 400, 499], "with their statuses")
    t.fds_return(nginx, baseline)

    old = nginx.workers()
    nginx.write_config(text="two")
    t.ok(nginx.reload(), "reloads")
    t.is_((nginx.get("/static").text, set(old) & set(nginx.workers())), ("two", set()), "to the new configuration")
    nginx.kill_worker(nginx.workers()[0])
    t.ok(wait_for(lambda: len(nginx.workers()) == 2), "a killed worker is replaced")

    status, output = t.nginx_check("events { } http { oops; }", module=False)
    t.ok(status != 0, "nginx -t fails")
    t.like(output, "unknown directive", "and says why")
    t.ok(nginx.quit(), "quits")
    t.ok(nginx.refuses_connections(), "and is gone")
