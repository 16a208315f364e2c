#!/usr/bin/python3
# Under valgrind: nothing is read before it was written, nowhere where nothing is, and nothing is lost, whatever becomes of a request,
# through a reload to the end. AddressSanitizer does not see the first, and of what is lost it is not asked in Debian's nginx.
# Hazards: N1, N2, N15, R25

import json
import os
import re

from lib.apikeytest import Gate, Test, close, places, request_bytes, skip_all, usage, wait_for
from lib.apikeytest.openai_upstream import OpenAiUpstream
from lib.apikeytest.process import need, read

VALGRIND = "/usr/bin/valgrind"
SUPPRESSIONS = places.REPO / "tests" / "valgrind.supp"
CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone           keys:1m;
    api_key_redis          %REDIS% %CA% timeout=20s;
    api_key_cache          valid=1m;
    api_key_usage_interval 100ms;
    api_key_spool          %SPOOL%;
    server {
        listen 127.0.0.1:%PORT%;
        listen 127.0.0.1:%PORT_2% http2;
        location /            { api_key "test"; include %API_KEY_PARAMS%; proxy_pass http://%LLM%; api_key_usage_response openai; }
        location /scoped      { api_key "test"; api_key_require admin; empty_gif; }
        location /page        { api_key "test"; error_page 401 = @login; empty_gif; }
        location @login       { return 302 /login; }
        location /uncached    { api_key "test"; api_key_cache valid=0; empty_gif; }
        location = /metrics   { api_key_metrics; }
    }
}
"""
COMPLETIONS = "/v1/chat/completions"


def ask_for_completions(key):
    for stream in (False, True):
        body = json.dumps({"model": "gpt", "messages": [], "stream": stream, "stream_options": {"include_usage": True}})
        t.is_(nginx.get(COMPLETIONS, key, method="POST", body=body.encode()).status, 200, f"a completion, stream: {stream}")


def leave_while_parked(proxy, key):
    """Two leave, by a reset of the connection and of the stream; who asked behind them is answered."""
    gate = Gate()
    proxy.forget()
    proxy.on("HMGET", gate.hold, nth=1)
    with nginx.connect() as leaves, nginx.connect2(port=nginx.ports["PORT_2"]) as client:
        leaves.send(request_bytes(path="/uncached", key=key))
        wait_for(lambda: proxy.count("HMGET") == 1)
        resets, stays = (client.send(path="/uncached", key=key) for _ in "12")
        client.reset(resets)
        leaves.reset()
        gate.open()
        t.is_(client.wait(stays).status, 200, "who stayed is answered")


def everything(proxy, key, other):
    t.is_([nginx.get("/any", key).status for _ in "123"], [200, 200, 200], "a miss, and hits")
    t.is_(nginx.get("/any", t.key()).status, 401, "an unknown key")
    t.is_(nginx.get("/any", headers=[("Authorization", "Bearer not one")]).status, 401, "a header without a key")
    t.is_(nginx.get("/scoped", key).status, 403, "a key without the scope")
    t.is_(nginx.get("/page").status, 302, "refused with a page")
    ask_for_completions(key)
    leave_while_parked(proxy, other)
    proxy.on("HMGET", close(), nth=1)
    t.ok(nginx.get("/uncached", other).status in (200, 503), "Redis hangs up")
    nginx.wait_watching(1)
    redis.announce(key)
    t.ok(wait_for(lambda: usage.counted(redis, user=key.user, model="gpt") == 2), "its completions are counted")
    t.is_(nginx.get("/any", key).status, 200, "a key that has changed")


def judged(text):
    """{process: (errors, what was reported of them)}"""
    summaries = re.findall(r"^==(\d+)== ERROR SUMMARY: (\d+) errors", text, re.M)
    return {pid: (int(errors), re.findall(rf"^==(?:{pid})== (.*)$", text, re.M) if int(errors) else []) for pid, errors in summaries}


if places.SANITIZED:
    skip_all("valgrind and AddressSanitizer exclude each other")

with Test() as t:
    alice, bob = t.key(user="alice", scopes="chat"), t.key(user="bob", scopes="chat")
    redis, llm = t.redis(keys=[alice, bob]), OpenAiUpstream(t)
    plain = t.redis_proxy(redis)
    with_tls = t.redis_proxy(redis, tls=t.authority().certificate("localhost"))
    llm.put("/any", b"hello", type="text/plain")
    log = f"{t.folder}/memcheck.log"
    valgrind = [need(VALGRIND, "valgrind", "apt install valgrind"), f"--log-file={log}", f"--suppressions={SUPPRESSIONS}",
                "--leak-check=full", "--errors-for-leak-kinds=definite", "--show-leak-kinds=definite", "--keep-debuginfo=yes",
                "--num-callers=30"]
    spool = usage.spool_folder(t)
    nginx = t.nginx(CONF, under=valgrind, redis=plain, ca="", llm=llm, spool=spool)
    nginx.wait_watching(1)
    everything(plain, alice, bob)
    nginx.write_config(redis=with_tls, ca=f"ca_file={with_tls.ca_file}")
    t.ok(nginx.reload(timeout=30), "a reload, to Redis over TLS")
    nginx.wait_watching(1)
    everything(with_tls, bob, alice)
    with_tls.refuse()
    t.is_(nginx.get("/any", bob).status, 200, "without Redis")
    t.ok(nginx.quit(30) and os.listdir(spool), "the end, with usage for the spool")
    found = judged(read(log))
    t.ok(len(found) >= 3, "valgrind saw the end of the master and of both workers", read(log)[-3000:])
    for pid, (errors, report) in found.items():
        t.must(errors == 0, f"no error in process {pid}", *report[:150])
