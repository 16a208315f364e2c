"""The clients of the chaos test: they use keys, and keep a ledger of what they were answered. What they were answered to the last
byte must have been counted, once; what was cut off may have been or not."""

import collections
import contextlib
import dataclasses
import multiprocessing
import random
import signal
import threading
import time

from .http1 import Connection, request_bytes

SUCCESS, ERROR = "success", "error"
PROCESSES, THREADS = 2, 4
UNAVAILABLE, REFUSED, COMPLETE, CUT, NOT_SENT = "unavailable", "refused", "complete", "cut off", "not sent"

_over = multiprocessing.get_context("fork").Event()


@dataclasses.dataclass
class Ledger:
    """By (user, key id, endpoint, status): [requests, tokens]. What was cut off has no status: it may count as either."""
    complete: dict = dataclasses.field(default_factory=dict)
    cut: dict = dataclasses.field(default_factory=dict)
    last_used: dict = dataclasses.field(default_factory=dict)      # by key id: when the last complete answer came, unix time
    answers: list = dataclasses.field(default_factory=list)         # all that were complete: (name, tokens, when, what)
    tally: collections.Counter = dataclasses.field(default_factory=collections.Counter)

    def add(self, other):
        for mine, others in ((self.complete, other.complete), (self.cut, other.cut)):
            for name, (requests, tokens) in others.items():
                count(mine, name, requests, tokens)
        for key, when in other.last_used.items():
            self.last_used[key] = max(when, self.last_used.get(key, 0))
        self.answers += other.answers
        self.tally.update(other.tally)

    def bounds(self):
        """By (user, key id, endpoint, status): (least requests, most), (least tokens, most)."""
        names = set(self.complete) | {(*name, status) for name in self.cut for status in (SUCCESS, ERROR)}
        found = {}
        for name in names:
            least, more = self.complete.get(name, (0, 0)), self.cut.get(name[:3], (0, 0))
            found[name] = tuple((low, low + extra) for low, extra in zip(least, more))
        return found


def count(sums, name, requests, tokens):
    before = sums.get(name, (0, 0))
    sums[name] = (before[0] + requests, before[1] + tokens)


@dataclasses.dataclass
class Question:
    key: object
    path: str
    endpoint: str | None                   # None: api_key_usage is off there
    tokens: int
    method: str
    leaves: bool                           # in the middle of the answer


class Client(threading.Thread):
    """One client with one connection at a time, which it keeps for some requests. Each request is of another key."""

    def __init__(self, port, keys, seed):
        super().__init__(daemon=True)
        self.port, self.keys, self.rng, self.ledger = port, keys, random.Random(seed), Ledger()
        self.connection = None

    def run(self):
        while not _over.is_set():
            question = self.pick()
            verdict = self.ask(question)
            self.ledger.tally[verdict] += 1
            if verdict == CUT and question.endpoint:
                count(self.ledger.cut, (question.key.user, question.key.id, question.endpoint), 1, question.tokens)
            time.sleep(self.rng.uniform(0, 0.02) if verdict == COMPLETE else self.rng.uniform(0.02, 0.1))
        self.hang_up()

    def pick(self):
        rng = self.rng
        tokens, kind = rng.randrange(1, 1000), rng.choices(("ok", "404", "500", "slow"), (80, 8, 6, 6))[0]
        place, endpoint = rng.choice((("chat", "chat"), ("files", "/files/"), ("tools", None), ("free", None)))
        label = rng.choice("abc")
        path = f"/{place}/{kind}?tokens={tokens}&label={label}"
        method = "GET" if kind == "slow" else rng.choices(("GET", "HEAD", "POST"), (8, 1, 1))[0]
        leaves = kind == "slow" and rng.random() < 0.2
        key = self.keys[0] if leaves else rng.choice(self.keys[1:])       # of the others less is in doubt
        return Question(key, path, f"tool {label}" if place == "tools" else endpoint, tokens, method, leaves)

    def ask(self, question):
        try:
            if self.connection is None:
                self.connection = Connection(self.port)
        except OSError:
            return NOT_SENT
        keep = self.rng.random() < 0.9
        body = b"x" * self.rng.randrange(1, 3000) if question.method == "POST" else b""
        headers = () if keep else (("Connection", "close"),)
        try:
            self.connection.send(request_bytes(question.method, question.path, question.key, headers, body))
            if question.leaves:
                self.connection.socket.recv(self.rng.randrange(1, 5000))
                self.hang_up()
                return CUT
            response = self.connection.response(question.method)
        except (OSError, ValueError):      # ValueError: a chunk's size that is not whole
            self.hang_up()
            return CUT
        if not response.whole:
            self.hang_up()
            return CUT
        if not keep or response.header("Connection") == "close":
            self.hang_up()
        return self.enter(question, response)

    def enter(self, question, response):
        """Into the ledger: a whole answer."""
        if response.status == 503:         # by nginx itself: the upstream has no such answer
            return UNAVAILABLE
        if response.status == 401:
            return REFUSED
        key = question.key
        self.ledger.last_used[key.id] = time.time()
        self.ledger.tally[response.status] += 1
        if question.endpoint:
            status = SUCCESS if response.status < 400 else ERROR
            tokens = int(response.header("X-Usage-Tokens") or 0)      # of the upstream; nginx's own 502 has none
            name = (key.user, key.id, question.endpoint, status)
            count(self.ledger.complete, name, 1, tokens)
            self.ledger.answers.append((name, tokens, time.monotonic(), f"{question.method} {response.status} {question.path}, by "
                                        f"{response.header('X-Worker')}"))
        return COMPLETE

    def hang_up(self):
        with contextlib.suppress(OSError):
            if self.connection:
                self.connection.close()
        self.connection = None


def use(port, keys, seed):
    """One process of clients, until stop(): their ledger."""
    clients = [Client(port, keys, f"{seed}-{n}") for n in range(THREADS)]
    for client in clients:
        client.start()
    ledger = Ledger()
    for client in clients:
        client.join()
        ledger.add(client.ledger)
    return ledger


def pool():
    """Their processes. Make it before anything else opens a socket, or they hold that open, too."""
    _over.clear()
    return multiprocessing.get_context("fork").Pool(PROCESSES, signal.signal, (signal.SIGTERM, signal.SIG_DFL))


def start(processes, port, keys, seed):
    return processes.starmap_async(use, [(port, keys, f"{seed}-{n}") for n in range(PROCESSES)], 1)


def stop(running):
    """The ledger of all."""
    _over.set()
    ledger = Ledger()
    for each in running.get(60):
        ledger.add(each)
    return ledger
