"""The identity oracle's clients: many connections, pipelined requests or many streams, mixed users, some that leave early.
Every answer is held against whose key was sent; what was said of a key that changes meanwhile is kept for later."""

import collections
import dataclasses
import random
import time
import typing

from .http1 import Connection, request_bytes
from .http2 import Http2Connection

# What an answer means, and which of these must never be.
RIGHT, REFUSED, UNAVAILABLE = "right identity", "bogus key refused", "unavailable"
WRONG_IDENTITY, BOGUS_PASSED = "another's identity", "bogus key let through"
VALID_REFUSED, UNEXPECTED = "valid key refused", "unexpected answer"
OUT_OF_FORCE = "what was no longer in force"
NEVER = (WRONG_IDENTITY, OUT_OF_FORCE, BOGUS_PASSED, VALID_REFUSED, UNEXPECTED)
CHANGING = "a key that changes"            # judged afterwards
CLOSED = "closed without an answer"        # fair where workers end (RFC 9112 9.3.1): a client asks again

OVER_HTTP2 = "of them over HTTP/2"
BATCH_SIZES = (1, 1, 2, 3, 4, 5, 6, 8, 50)     # pipelined requests


def text_of(key):
    return f"{key.user} {key.id} {key.scopes}"


@dataclasses.dataclass
class Job:
    """What one process of clients does. `changing`: keys that change meanwhile. `ends`: nginx is reloaded meanwhile or its workers
    are killed, and so connections end that have carried requests, with or without the next one on its way. `pause`: seconds
    between two rounds."""
    port: int
    keys: list
    bogus: list
    changing: list
    seed: str
    connections: int
    abort_chance: float
    requests: int
    deadline: float
    ends: bool
    pause: float
    enough_changes: typing.Callable[[], bool]
    is_over: typing.Callable[[], bool]     # however many were answered


class Client:
    """One process with many HTTP/1 connections: in each round all send a batch, then all answers are read."""

    def __init__(self, job):
        self.job, self.port, self.keys, self.abort_chance = job, job.port, job.keys, job.abort_chance
        self.rng = random.Random(job.seed)
        self.connections = [None] * job.connections
        self.ids_of_changing = {key.id for key in job.changing}
        self.tally, self.examples, self.records = collections.Counter(), [], []

    def run(self):
        """(what the answers were, examples of bad ones, (key id, asked, answered, text) of keys that change)"""
        while not self.is_enough() and time.monotonic() < self.job.deadline and not self.job.is_over():
            before = self.tally[UNAVAILABLE]
            sent = self.round()
            time.sleep(self.job.pause)
            if self.tally[UNAVAILABLE] - before > sent // 8:
                time.sleep(self.rng.uniform(0.03, 0.08))       # Redis is away: wait a little, as a client would
        return self.tally, self.examples[:5], self.records

    def is_enough(self):
        """So many answers, and no less than half as many that are a yes or no: on a busy machine 503 is frequent."""
        decided = sum(self.tally[k] for k in (RIGHT, REFUSED, CHANGING))
        return (decided + self.tally[UNAVAILABLE] >= self.job.requests and decided >= self.job.requests // 2 and
                self.job.enough_changes())

    def round(self):
        batches = [(time.monotonic(), self.send_batch(slot)) for slot in range(len(self.connections))]
        for slot, (asked, batch) in enumerate(batches):
            self.read_batch(slot, asked, batch)
        return sum(len(batch) for _, batch in batches)

    def send_batch(self, slot):
        if self.connections[slot] is None:
            self.connections[slot] = Connection(self.port)
        batch = [self.pick() for _ in range(self.rng.choice(BATCH_SIZES))]
        data = b"".join(request_bytes(key=key, headers=self.forged()) for key in batch)
        if self.rng.random() < self.abort_chance / 4:
            data = data[:self.rng.randrange(1, len(data))]     # leaves in the middle of a request
            self.connections[slot].send(data)
            self.leave(slot)
            return []
        try:
            self.connections[slot].send(data)
        except ConnectionError:
            if not self.job.ends:
                raise
            self.leave(slot)
            return []
        return batch

    def pick(self):
        if self.job.bogus and self.rng.random() < 0.05:
            return self.rng.choice(self.job.bogus)
        if self.job.changing and self.rng.random() < 0.3:
            return self.rng.choice(self.job.changing)
        return self.rng.choice(self.keys)

    def forged(self):
        """What a client says about itself counts nothing."""
        return (("x-user-id", self.rng.choice(self.keys).user),) if self.rng.random() < 0.2 else ()

    def leave(self, slot):
        connection, self.connections[slot] = self.connections[slot], None
        if self.rng.random() < 0.5:
            connection.reset()
        else:
            connection.close()
        self.tally["left early"] += 1

    def read_batch(self, slot, asked, batch):
        answers = len(batch)
        if batch and self.rng.random() < self.abort_chance:
            answers = self.rng.randrange(len(batch))
        for key in batch[:answers]:
            try:
                response = self.connections[slot].response()
                if not response.whole:
                    raise ConnectionError(f"closed in the middle of {response!r}")
            except (OSError, TimeoutError) as error:
                fair = self.job.ends and isinstance(error, ConnectionError)
                self.count(CLOSED if fair else UNEXPECTED, key, error)
                self.leave(slot)
                return
            self.count(self.judge(key, asked, response), key, response)
        if answers < len(batch):
            self.leave(slot)

    def judge(self, key, asked, response):
        valid = key.user is not None
        if response.status == 503:
            return UNAVAILABLE
        if key.id in self.ids_of_changing and response.status in (200, 401):
            text = response.text if response.status == 200 else None
            self.records.append((key.id, asked, time.monotonic(), text))
            return CHANGING
        if response.status == 401:
            return VALID_REFUSED if valid else REFUSED
        if response.status != 200:
            return UNEXPECTED
        if not valid:
            return BOGUS_PASSED
        return RIGHT if response.text == text_of(key) else WRONG_IDENTITY

    def count(self, verdict, key, answer):
        self.tally[verdict] += 1
        if verdict in NEVER:
            self.examples.append(f"{verdict}: sent {key.user} {key.id}, got {answer!r}")


class StreamClient(Client):
    """One process with one HTTP/2 connection at a time: rounds of 40 streams at once, some of which it resets."""

    def round(self):
        connection = self.connections[0]
        if connection is None or connection.closed or connection.going_away:
            connection = self.connections[0] = Http2Connection(self.port)
        begun = time.monotonic()
        asked = {connection.send(key=key, headers=self.forged()): key for key in (self.pick() for _ in range(40))}
        for stream in [s for s in asked if self.rng.random() < self.abort_chance]:
            connection.reset(stream)
            del asked[stream]
            self.tally["left early"] += 1
        connection.wait(*asked)
        self.tally[OVER_HTTP2] += sum(stream in connection.responses for stream in asked)
        for stream, key in asked.items():
            response = connection.responses.pop(stream, None)
            unanswered = CLOSED if self.job.ends and connection.closed else UNEXPECTED
            self.count(self.judge(key, begun, response) if response else unanswered, key, response)
        if self.rng.random() < self.abort_chance:
            connection.close()
            self.connections[0] = None
        return 40
