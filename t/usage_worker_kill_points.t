#!/usr/bin/python3
# A debugger kills a worker at each step of its usage: while it counts (after any number of instructions), seals, sends, hears of
# an answer, frees, takes over, spools. What the next worker makes of it: every answered request counts once.
# Hazards: N23, U3, U4

import os
import random
import secrets
import subprocess

from lib.apikeytest import Test, wait_for

CONF = """
%GLOBALS%
worker_processes 2;
events { }
http {
    %HTTP%
    api_key_zone           keys:1m;
    api_key_redis          %REDIS%;
    api_key_usage_interval 300ms;
    server {
        listen 127.0.0.1:%PORT%;
        location / { api_key "test"; empty_gif; }
    }
}
"""
COUNTING, SEALING, SENDING = "apikey::usage::UsageSlot::add", "apikey::usage::UsageSlot::seal", "apikey::ngx::RedisLink::ship"
ANSWER, FREEING = "apikey::ngx::Usage::take_answers", "apikey::usage::UsageSlot::free"
TAKING, RECOVERING = "apikey::usage::UsageSlot::take", "apikey::usage::UsageSlot::recover"
GIVING = "apikey::usage::UsageSlot::release"


def debugger(pid, function, then):
    """A debugger that kills the process there; `then`: what it does first. It is ready when this returns."""
    ready = f"{t.folder}/ready-{secrets.token_hex(4)}"
    commands = ["set pagination off", "set confirm off", "set breakpoint pending off", f"break {function}", f"shell touch {ready}",
                "continue", *then, "kill"]
    words = [word for command in commands for word in ("-ex", command)]
    process = subprocess.Popen(["gdb", "-q", "-nx", "-batch", *words, "-p", str(pid)], stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True)
    wait_for(lambda: os.path.exists(ready) or process.poll() is not None)
    return process


def shipped():
    """What the stream holds: requests by batch, each batch once; and whether two of one id differ."""
    batches, differ = {}, False
    for _, fields in redis("XRANGE", "apikey:usage", "-", "+"):
        fields = dict(zip(fields[::2], fields[1::2]))
        text = fields.pop("batch"), fields
        differ = differ or batches.setdefault(*text) != fields
    rows = [line.split("\t") for fields in batches.values() for line in fields["rows"].splitlines()]
    return sum(int(row[6]) for row in rows), differ


def ask():
    """One request; it is answered, or perhaps not."""
    global answered, perhaps
    try:
        if nginx.get("/", alice).status == 200:
            answered += 1
    except OSError:
        perhaps += 1


def two_workers():
    return wait_for(lambda: len(found := nginx.workers()) == 2 and found)


def kill_at(what, function, then=(), others=False):
    """`others`: the other worker is killed, and none follows it before this one is there: that would take over what it left."""
    first, _ = two_workers()
    nginx.signalled.add(first)
    gdb = debugger(first, function, then)

    def is_there():
        if others:
            nginx.process.pause()          # the master
            for pid in set(nginx.workers()) - {first}:
                nginx.kill_worker(pid)
            wait_for(lambda: gdb.poll() is not None, 2)
            nginx.process.resume()
        ask()
        return gdb.poll() is not None

    ended = wait_for(is_there)
    gdb.kill()
    said = gdb.communicate()[0]
    t.ok(ended and first not in nginx.workers(), f"{what}: killed there", said)
    two_workers()
    for _ in range(20):
        ask()


with Test(limit=240) as t:
    if subprocess.run(["gdb", "-q", "-nx", "-batch", "-ex", "break main", "-ex", "run", "/bin/true"], capture_output=True).returncode:
        t.skip_all("no process can be traced here")
    seed = os.environ.get("SEED") or secrets.token_hex(4)
    t.note(f"SEED={seed}")
    chance = random.Random(seed)
    answered = perhaps = 0
    alice = t.key(user="alice")
    redis = t.redis(keys=[alice])
    t.allow_log(r"exited on signal 9")
    nginx = t.nginx(CONF, redis=redis)
    ask()

    kill_at("before it counts", COUNTING)
    for _ in range(3):
        steps = chance.randrange(1, 350)
        kill_at(f"{steps} instructions into counting", COUNTING, [f"stepi {steps}"])
    kill_at("when it has counted", COUNTING, ["finish"])
    kill_at("before it seals", SEALING)
    kill_at("when it has sealed", SEALING, ["finish"])
    kill_at("when it has sent", SENDING, ["finish"])
    kill_at("when the answer is there", ANSWER)
    kill_at("before it frees", FREEING)
    kill_at("before it takes over", TAKING, others=True)
    kill_at("when it has taken over", TAKING, ["finish"], others=True)
    kill_at("when it has recovered", RECOVERING, ["finish"], others=True)
    kill_at("before it gives back", GIVING, others=True)
    t.ok(wait_for(lambda: shipped()[0] >= answered), "everything answered is counted", shipped(), answered)
    count, differ = shipped()
    t.must(answered <= count <= answered + perhaps, "and once", answered, count, answered + perhaps)
    t.must(not differ, "a batch that is sent again is the same")
