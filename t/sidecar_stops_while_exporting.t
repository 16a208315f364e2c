#!/usr/bin/python3
# apikeyd that is stopped, or killed, during exports and imports: a short one is finished, a long one breaks off within 5 s and shows
# it, an import leaves nothing behind.
# Hazards: S12, S16

import time

from lib.apikeytest import Test, chunk, wait_for
from lib.apikeytest.unix_http import Sidecar, fill_usage

CSV = b"date,endpoint,requests,tokens,cost,model,status\n"


def half_an_import(sidecar):
    c = sidecar.connect()
    c.send(sidecar.request("/import/usage?format=csv", user="bob", method="POST", headers=[("Transfer-Encoding", "chunked")]))
    row = b"2026-01-01T00:00:00Z,/a,1,2,0.5,m,success\n"
    c.send(chunk(CSV + row))
    return c


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    fill_usage(pg, 300_000)
    fill_usage(pg, 20_000, "carol")
    daemon = t.apikeyd(pg, redis)
    sidecar = Sidecar(daemon)
    t.is_(sidecar.get("/export/usage", user="bob").status, 200, "it serves")
    kept = sidecar.connect()
    export, upload = sidecar.begin("/export/usage?format=csv"), half_an_import(sidecar)
    t.ok(export.begun(), "an export has begun")
    began = time.monotonic()
    daemon.process.send_signal(15)
    t.ok(wait_for(lambda: "2 requests are cut" in daemon.log(), 10), "what takes too long is cut")
    t.ok(daemon.stop(5), "it stops")
    took = time.monotonic() - began
    t.ok(2.5 < took < 5, "within 5 s, most of which was given to what runs", f"{took:.1f} s")
    answer = export.response()
    t.is_((answer.status, answer.whole), (200, False), "the export shows that something is missing")
    t.is_((lambda a: (a.status, a.code))(upload.response()), (503, "service_unavailable"), "the import is told so")
    t.is_(kept.rest(), b"", "and who asked for nothing is hung up on")
    t.is_(pg.value("SELECT count(*) FROM usage_records WHERE user_id = 'bob'"), "0", "nothing is imported")
    t.like(daemon.log(), r"export usage \S+ of \"alice\": .* apikeyd is being stopped", "the log says why")

    # --- a short one is finished: its client reads as soon as the signal is sent ---
    daemon.start()
    export = sidecar.begin("/export/usage?format=csv", user="carol")
    t.ok(export.begun(), "an export has begun")
    daemon.process.send_signal(15)
    answer = export.response()
    t.ok(answer.whole and answer.body.count(b"\n") == 20_001, "it is finished")
    t.is_(answer.header("Connection"), None, "it had begun before")
    t.ok(daemon.stop(4), "then apikeyd stops")

    # --- killed ---
    daemon.start()
    export, upload = sidecar.begin("/export/usage?format=csv"), half_an_import(sidecar)
    t.ok(export.begun(), "an export has begun")
    daemon.kill()
    t.ok(not export.response().whole, "the export shows that something is missing")
    t.is_(pg.value("SELECT count(*) FROM usage_records WHERE user_id = 'bob'"), "0", "nothing is imported")
