"""What befalls the parts while the identity oracle asks for millions of answers: what the chaos of usage does, less densely, and
what tempts nginx to take one reply for another: spoiled replies all the time and storms of them, lost change messages, workers that
stand still, a Redis that was flushed."""

import contextlib
import os
import signal

from .chaos_events import Chaos
from .faults import (black_hole, close, cut_anywhere, delay, drop, duplicate, inject, previous, split, split_anywhere, swap,
                     swap_alike)
from .process import wait_for
from .resp import RedisError

FORGED = b"*7\r\n" + b"$1\r\nx\r\n" * 7
PAUSES = (0.5, 4.5)                        # seconds between two events


class Weather(Chaos):
    def __init__(self, parts, link, seed, gentle=False):
        """`link`: apikeyd's proxy before Redis, which does what a network can do. `gentle`: no program of ours is killed, so that their
        memory can be watched."""
        super().__init__(parts, seed)
        self.link, self.stopped = link, None
        ours = {self.kill_worker: (5, None), self.kill_all_workers: (1, None), self.stop_worker: (4, "worker"),
                self.end_apikeyd: (2, "apikeyd"), self.pause_apikeyd: (1, "apikeyd"), self.second_apikeyd: (2, "second")}
        self.events = {
            **({} if gentle else ours),
            self.reload: (5, None),
            self.end_redis: (2, "redis"), self.flush_redis: (1, None), self.kill_connections: (4, "redis"),
            self.cut_connections: (3, "proxy"), self.spoil_replies: (5, "proxy"), self.silence: (2, "proxy"),
            self.silence_one_kind: (3, "proxy"), self.refuse_connections: (2, "proxy"), self.lose_messages: (4, "proxy"),
            self.cut_apikeyd_off: (1, "link"),
            self.end_postgres: (1, "postgres"), self.kill_backends: (1, "postgres")}
        self.calm()

    def mend(self, now):
        """Half of the time Redis is given the time to be filled again, which is long on a busy machine: where it never is, all is 503."""
        super().mend(now)
        needed = {"redis", "link", "apikeyd", "postgres"}
        if not needed & set(self.undo) and self.rng.random() < 0.5:
            wait_for(self.redis_proves_itself, 10, 0.1)

    def redis_proves_itself(self):
        try:
            return (self.parts.redis.epoch() or "").startswith(self.parts.redis.run_id())
        except (OSError, RedisError):
            return False

    def calm(self):
        self.spoil(1)

    def spoil(self, times):
        """The proxy spoils replies to nginx, so many times as often as it always does. What comes on the subscription counts, too."""
        proxy, rng = self.parts.proxy, self.rng
        proxy.clear()
        rare, common = 0.0001 * times, 0.002 * times
        proxy.at_random({swap_alike(): common, previous(): common}, seed=rng.random(), command="HMGET")
        proxy.at_random({drop(): common, duplicate(): common, delay(0, 0.5): common}, command="MESSAGE")
        proxy.at_random({delay(0, 0.15): 2 * common, split_anywhere(): 2 * common, split(1): rare, swap(): rare, drop(): rare,
                         duplicate(): rare, inject(FORGED): rare, cut_anywhere(): rare, close(): rare, close(reset=True): rare,
                         cut_anywhere(reset=True): rare, black_hole(): rare / 4})

    def spoil_replies(self):
        seconds, times = self.rng.uniform(0.5, 3), self.rng.choice((3, 10, 20))
        self.note(f"proxy: spoils {times} times as many replies, for {seconds:.1f} s")
        self.spoil(times)
        self.until("proxy", seconds, self.calm)

    def lose_messages(self):
        seconds, fault = self.rng.uniform(0.5, 3), self.rng.choice((drop(), delay(0, 1), duplicate(), swap()))
        self.note(f"proxy: {fault.__qualname__.partition('.')[0]} of what is published, for {seconds:.1f} s")
        self.parts.proxy.on("MESSAGE", fault)
        self.until("proxy", seconds, self.calm)

    def silence_one_kind(self):
        kind = self.rng.choice(("lookups", "subscription"))
        self.note(f"proxy: nothing passes on connections for {kind}")
        self.parts.proxy.black_hole(kind)

    def stop_worker(self):
        seconds, self.stopped = self.rng.uniform(0.1, 3), self.rng.choice(sorted(self.workers()))
        self.note(f"nginx: the worker {self.stopped} stands still, for {seconds:.1f} s")
        self.until("worker", seconds, self.resume_worker)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.stopped, signal.SIGSTOP)

    def resume_worker(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.stopped, signal.SIGCONT)

    def flush_redis(self):
        self.note("Redis: FLUSHALL")
        with contextlib.suppress(OSError, RedisError):
            self.parts.redis("FLUSHALL")

    def cut_apikeyd_off(self):
        seconds = self.rng.uniform(0, 2)
        self.note(f"apikeyd: its connections to Redis end, and come back in {seconds:.1f} s")
        self.link.refuse()
        self.link.close_all()
        self.until("link", seconds, self.link.accept)
