"""The identity oracle's clients: many connections, pipelined requests of mixed users, some that leave early; every answer
is held against whose key was sent. The upstream answers with "<X-User-Id> <X-Api-Key-Id>"."""

import collections
import multiprocessing
import random
import signal
import time

from .http1 import Connection, request_bytes
from .http2 import Http2Connection

CONF = """
%GLOBALS%
worker_processes 2;
events { worker_connections 1024; }
http {
    %HTTP%
    access_log off;
    api_key_zone  keys:1m;
    api_key_redis %REDIS% timeout=%TIMEOUT%;
    keepalive_requests 1000000;
    upstream api { server unix:%DIR%/api.sock; keepalive 64; }
    server {
        listen unix:%DIR%/api.sock;
        return 200 "$http_x_user_id $http_x_api_key_id";
    }
    server {
        listen 127.0.0.1:%PORT%;
        listen 127.0.0.1:%PORT_H2% http2;
        location / {
            api_key            "oracle";
            include            %API_KEY_PARAMS%;
            proxy_http_version 1.1;
            proxy_set_header   Connection "";
            proxy_pass         http://api;
        }
    }
}
"""

# What an answer means, and which of these must never be.
RIGHT, REFUSED, UNAVAILABLE = "right identity", "bogus key refused", "unavailable"
WRONG_IDENTITY, BOGUS_PASSED = "another's identity", "bogus key let through"
VALID_REFUSED, UNEXPECTED = "valid key refused", "unexpected answer"
NEVER = (WRONG_IDENTITY, BOGUS_PASSED, VALID_REFUSED, UNEXPECTED)

BATCH_SIZES = (1, 1, 2, 3, 4, 5, 6, 8, 50)     # pipelined requests


class Client:
    """One process with many HTTP/1 connections: in each round all send a batch, then all answers are read."""

    def __init__(self, port, keys, bogus, seed, connections, abort_chance):
        self.port, self.keys, self.bogus = port, keys, bogus
        self.rng, self.abort_chance = random.Random(seed), abort_chance
        self.connections = [None] * connections
        self.tally, self.examples = collections.Counter(), []

    def run(self, requests, deadline):
        while sum(self.tally[k] for k in (RIGHT, REFUSED, UNAVAILABLE)) < requests and time.monotonic() < deadline:
            before = self.tally[UNAVAILABLE]
            sent = self.round()
            if self.tally[UNAVAILABLE] - before > sent // 8:
                time.sleep(self.rng.uniform(0.03, 0.08))       # Redis is away: wait a little, as a client would
        return self.tally, self.examples[:5]

    def round(self):
        batches = [self.send_batch(slot) for slot in range(len(self.connections))]
        for slot, batch in enumerate(batches):
            self.read_batch(slot, batch)
        return sum(map(len, batches))

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
        self.connections[slot].send(data)
        return batch

    def pick(self):
        return self.rng.choice(self.bogus if self.bogus and self.rng.random() < 0.05 else self.keys)

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

    def read_batch(self, slot, batch):
        answers = len(batch)
        if batch and self.rng.random() < self.abort_chance:
            answers = self.rng.randrange(len(batch))
        for key in batch[:answers]:
            try:
                response = self.connections[slot].response()
            except (OSError, TimeoutError) as error:
                self.count(UNEXPECTED, key, error)
                self.leave(slot)
                return
            self.count(self.judge(key, response), key, response)
        if answers < len(batch):
            self.leave(slot)

    def judge(self, key, response):
        valid = key.user is not None
        if response.status == 503:
            return UNAVAILABLE
        if response.status == 401:
            return VALID_REFUSED if valid else REFUSED
        if response.status != 200:
            return UNEXPECTED
        if not valid:
            return BOGUS_PASSED
        return RIGHT if response.text == f"{key.user} {key.id}" else WRONG_IDENTITY

    def count(self, verdict, key, answer):
        self.tally[verdict] += 1
        if verdict in NEVER:
            self.examples.append(f"{verdict}: sent {key.user} {key.id}, got {answer!r}")


class StreamClient(Client):
    """One process with one HTTP/2 connection at a time: rounds of 40 streams at once, some of which it resets."""

    def round(self):
        connection = self.connections[0]
        if connection is None or connection.closed:
            connection = self.connections[0] = Http2Connection(self.port)
        asked = {connection.send(key=key, headers=self.forged()): key for key in (self.pick() for _ in range(40))}
        for stream in [s for s in asked if self.rng.random() < self.abort_chance]:
            connection.reset(stream)
            del asked[stream]
            self.tally["left early"] += 1
        connection.wait(*asked)
        for stream, key in asked.items():
            response = connection.responses.pop(stream, None)
            self.count(self.judge(key, response) if response else UNEXPECTED, key, response)
        if self.rng.random() < self.abort_chance:
            connection.close()
            self.connections[0] = None
        return 40


def run_clients(nginx, keys, bogus, requests, seed, processes=3, connections=24, abort_chance=0.06, seconds=60):
    """(what the answers were, examples of what must never be) of about so many requests, one in twenty over HTTP/2.
    `bogus`: keys nobody knows; their user is None."""
    context = multiprocessing.get_context("fork")
    deadline = time.monotonic() + seconds
    jobs = [(Client, nginx.port, keys, bogus, f"{seed}-{n}", connections, abort_chance, requests // processes, deadline)
            for n in range(processes)]
    jobs.append((StreamClient, nginx.ports["PORT_H2"], keys, bogus, f"{seed}-h2", 1, abort_chance, requests // 20,
                 deadline))
    with context.Pool(len(jobs), signal.signal, (signal.SIGTERM, signal.SIG_DFL)) as pool:
        results = pool.starmap(run_one, jobs, 1)
    return sum((tally for tally, _ in results), collections.Counter()), [e for _, some in results for e in some]


def run_one(client, port, keys, bogus, seed, connections, abort_chance, requests, deadline):
    return client(port, keys, bogus, seed, connections, abort_chance).run(requests, deadline)
