#!/usr/bin/python3
# A peer that does not speak Redis' protocol, or speaks it without measure, is left at once: unavailable, no crash, and no
# memory to speak of, wherever in the conversation it comes.
# Hazards: R12

import os
import time

from lib.apikeytest import Test, array, memory_of, replace, wait_for

CONF = """
%GLOBALS%
worker_processes 1;
events { }
http {
    %HTTP%
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=1s;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; include %API_KEY_PARAMS%; proxy_pass http://%UPSTREAM%; }
    }
}
"""
ENDLESS = b"y" * 400_000
UNFINISHED = {                                     # this may still become a reply
    "only LF": b"+OK\n\n", "a huge bulk": b"$2147483647\r\n", "a huger bulk": b"$9223372036854775807\r\n"}
HOSTILE = UNFINISHED | {
    "a bad type byte": b"?what\r\n", "a NUL": b"\0\r\n", "an empty line": b"\r\n",
    "a negative array": b"*-7\r\n", "a negative bulk": b"$-5\r\n", "a huge array": b"*2147483647\r\n",
    "a huger array": b"*9223372036854775807\r\n", "an array of 2^32": b"*4294967296\r\n",
    "an overflow": b"$99999999999999999999999999\r\n",
    "an overflowing integer": b":99999999999999999999999\r\n", "no number": b"$x\r\n", "a length with a sign": b"$+1\r\na\r\n",
    "no CRLF behind a bulk": b"$1\r\naXX+OK\r\n", "a bulk with no end": b"$65000\r\n" + ENDLESS,
    "an array with no end": b"*1000000\r\n" + b"$1\r\na\r\n" * 100_000, "a line with no end": b"+" + ENDLESS,
    "an error with no end": b"-" + ENDLESS, "a number with no end": b":" + b"1" * 400_000, "digits with no end": b"*" + b"9" * 400_000,
    "nested 10^6 deep": b"*1\r\n" * 1_000_000, "nested and wide": b"*100\r\n" * 100_000,
    "a RESP3 map": b"%1\r\n+a\r\n+b\r\n", "a RESP3 null": b"_\r\n", "a RESP3 push": b">2\r\n+a\r\n+b\r\n", "a RESP3 double": b",1.5\r\n",
    "a RESP3 set": b"~1\r\n+a\r\n", "a RESP3 stream": b"$?\r\n;4\r\nabcd\r\n;0\r\n", "a RESP3 big number": b"(3492890328409238509324850943850\r\n",
    "inline text": b"hello world\r\n", "TLS": b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03", "HTTP": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n", "a wrong kind": b":1\r\n", "a wrong array": array("x"), "an empty array": b"*0\r\n",
    "arrays for fields": b"*7\r\n" + b"*0\r\n" * 7, "numbers for fields": b"*7\r\n" + b":1\r\n" * 7,
    "7 fields of 60 KB": b"*7\r\n" + (b"$60000\r\n" + b"z" * 60000 + b"\r\n") * 7}


def memory(name):
    """VmRSS or VmHWM (the most since forget_peak()) of the worker, in bytes."""
    return memory_of(worker, name) * 1024


def forget_peak():
    with open(f"/proc/{worker}/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


def is_served():
    r = nginx.get("/", alice)
    return r.status == 200 and r.saw("X-User-Id") == ["alice"]


with Test() as t:
    alice = t.key(user="alice")
    proxy, upstream = t.redis_proxy(t.redis(keys=[alice]), record=False), t.upstream()
    nginx = t.nginx(CONF, redis=proxy, upstream=upstream)
    (worker,) = nginx.workers()
    for _ in range(200):
        is_served()
    fds, usual = nginx.fds(), memory("VmRSS")
    forget_peak()

    for what, reply in HOSTILE.items():
        slowest = 0.0
        for command in ("HMGET",) if what in UNFINISHED else ("HMGET", "GET", "INFO"):
            proxy.on(command, replace(reply))
            if command == "INFO":
                proxy.close_all()
            begun = time.monotonic()
            r = wait_for(lambda: (r := nginx.get("/", alice)).status != 200 and r, 3)
            if not r or r.status != 503:
                t.ok(False, f"{what} in answer to {command}", r)
            slowest = max(slowest, time.monotonic() - begun)
            proxy.clear()
            wait_for(is_served)
        t.ok(slowest < (2.0 if what in UNFINISHED else 0.9), f"{what}: unavailable in time", f"{slowest:.3f} s")
    t.ok(is_served(), "in the end all is well")
    most, kept = memory("VmHWM") - usual, memory("VmRSS") - usual
    if os.environ.get("BUILD") == "sanitize":      # which keeps what was freed
        most = kept = 0
    t.ok(most < 512 * 1024, "the worker's memory never grew by more than half a megabyte", f"{most} bytes")
    t.ok(kept < 256 * 1024, "and does not stay so", f"{kept} bytes")
    t.note(f"memory: at most {most} bytes more than usual, {kept} at the end")
    t.is_([pid for pid in nginx.workers()], [worker], "it is still the same worker")
    t.fds_return(nginx, fds)
