"""User-space instructions per request, counted by valgrind: they resolve what time on a busy machine cannot.

valgrind has no SHA extensions, so that OpenSSL computes the digest in software there, at many times the instructions
that a real machine needs. What is spent inside libcrypto is therefore counted apart.
"""

import collections
import re

from apikeytest.http1 import Connection
from apikeytest.nginx import Nginx
from apikeytest.process import need, wait_for

from .load import answers, lookups, request

VALGRIND = "/usr/bin/valgrind"
KEYS = 100                       # all of them in the cache, so that each request after the first of a key is a hit
ROUNDS_BEFORE, ROUNDS = 20, 60   # rounds over all keys before counting (Lua compiles what is hot), and counted
PATIENCE = 60                    # seconds: all is slow under valgrind

Count = collections.namedtuple("Count", "all crypto")    # instructions


class NginxInValgrind(Nginx):
    """One process (`master_process off`), its instructions counted by callgrind until it ends."""

    def _argv(self, *more):
        return [VALGRIND, "--tool=callgrind", f"--callgrind-out-file={self.folder}/callgrind.out", "--quiet",
                *super()._argv(*more)]

    def count(self):
        """Stops it; what it has spent from its start to its end. It is told again and again: an nginx of one process that is just
        about to wait for events, and has no timer, hears of a signal only with the next event."""
        if not any(self.quit(2) for _ in range(15)):
            raise RuntimeError("nginx under valgrind does not end")
        return read_callgrind(f"{self.folder}/callgrind.out")


def per_request_of_each(stage, contestants, redis, keys):
    """Instructions per request of each contestant (by name, not started yet) when all keys are in its cache; notes."""
    need(VALGRIND, "valgrind", "apt install valgrind")
    before = lookups(redis)
    counts = {name: per_request(stage, contestant, keys) for name, contestant in contestants.items()}
    expected = 2 * KEYS * (len(contestants) - 1)       # two runs, in which all but bare ask about each key once
    more = lookups(redis) - before - expected
    return counts, [f"NOT WHAT IS MEANT: under valgrind {more} hits were looked up in Redis"] if more > 10 else []


def per_request(stage, contestant, keys):
    short, long = (after_rounds(stage, contestant.single_process(), keys[:KEYS], rounds)
                   for rounds in (ROUNDS_BEFORE, ROUNDS_BEFORE + ROUNDS))
    requests = KEYS * ROUNDS
    return Count((long.all - short.all) / requests, (long.crypto - short.crypto) / requests)


def after_rounds(stage, contestant, keys, rounds):
    nginx = stage.nginx(contestant.conf, kind=NginxInValgrind, **contestant.values)
    wait_for(lambda: answers(nginx.port), PATIENCE)
    with Connection(nginx.port, timeout=PATIENCE) as connection:
        for key in keys * rounds:
            connection.send(request(key))
            connection.response()
    return nginx.count()


def read_callgrind(path):
    """Count of a callgrind file: all instructions, and those that calls into libcrypto took with all they called.

    The format (valgrind's manual, "Callgrind Format Specification"): `ob=` and `fn=` say where the cost lines that follow
    belong, `cob=` and `calls=` announce a call whose inclusive cost is on the next line. Names are written once as
    `(1) name`, then as `(1)`. An unchanged `cob` is left out: then callee and caller are in one object.
    """
    names, total, crypto = {}, 0, 0
    here = callee = ""
    with open(path, encoding="latin-1") as file:
        for line in file:
            kind, _, value = line.rstrip("\n").partition("=")
            if kind == "ob":
                here = callee = full_name(value, names)
            elif kind == "cob":
                callee = full_name(value, names)
            elif kind == "calls":
                cost = int(next(file).split()[1])
                if "libcrypto" in callee and "libcrypto" not in here:
                    crypto += cost
                callee = here
            elif found := re.match(r"(?:summary|totals): (\d+)", line):
                total = int(found[1])
    return Count(total, crypto)


def full_name(value, names):
    number, _, name = value.partition(" ")
    if name:
        names[number] = name
    return names[number]
