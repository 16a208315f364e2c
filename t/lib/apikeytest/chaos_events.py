"""What befalls nginx, Redis, Postgres and apikeyd in the chaos test, one thing after the other and some at the same time, chosen by
a seed. Everything here happens in the thread that made the Test: with the one that started a program the program ends."""

import collections
import dataclasses
import os
import random
import signal
import time

from .faults import cut_anywhere, delay
from .process import children_of, read, running, wait_for
from .resp import RedisError

WORKERS = 2
HOUR = 3600


@dataclasses.dataclass
class Parts:
    nginx: object
    redis: object
    proxy: object
    postgres: object
    apikeyd: object
    second: object                         # another apikeyd, not started


class Chaos:
    def __init__(self, parts, seed, clock_shift=None):
        """`clock_shift`: the library that shifts a program's clock (see clock_shift.c); None: all clocks are right."""
        self.parts, self.rng, self.clock_shift = parts, random.Random(seed), clock_shift
        self.log, self.counts = [], collections.Counter()
        self.undo = {}                     # what is out of order: (when it ends, how)
        self.began = time.monotonic()
        self.events = {                    # how often, of what
            self.kill_worker: (8, None), self.kill_all_workers: (2, None), self.reload: (5, None), self.upgrade: (2, None),
            self.restart_nginx: (5, None),
            self.end_redis: (5, "redis"), self.kill_connections: (4, "redis"),
            self.cut_connections: (4, "proxy"), self.spoil_replies: (5, "proxy"), self.silence: (2, "proxy"),
            self.refuse_connections: (2, "proxy"),
            self.end_apikeyd: (6, "apikeyd"), self.pause_apikeyd: (3, "apikeyd"), self.second_apikeyd: (4, "second"),
            self.end_postgres: (3, "postgres"), self.kill_backends: (3, "postgres")}

    def run(self, seconds):
        end = time.monotonic() + seconds
        self.run_until(lambda: time.monotonic() >= end)

    def run_until(self, is_over, pauses=(0.02, 0.4)):
        """One event after the other, with a pause between them of so many seconds at least and at most; then all is mended."""
        while not is_over():
            self.mend(time.monotonic())
            possible = [event for event, (_, part) in self.events.items() if part not in self.undo]
            event = self.rng.choices(possible, [self.events[each][0] for each in possible])[0]
            event()
            self.counts[event.__name__] += 1
            time.sleep(self.rng.uniform(*pauses))
        self.mend(float("inf"))
        self.note("all is up")

    def note(self, what):
        self.log.append(f"{time.monotonic() - self.began:7.2f} {what}")

    def until(self, part, seconds, undo):
        """`part` is out of order for so long; then undo() is called."""
        self.undo[part] = (time.monotonic() + seconds, undo)

    def mend(self, now):
        for part in [part for part, (when, _) in self.undo.items() if when <= now]:
            self.note(f"{part}: in order again")
            self.undo.pop(part)[1]()

    def calm(self):
        """The proxy spoils no more than it always does."""
        self.parts.proxy.clear()

    def clock(self):
        """The environment of a program that is started: what time it is for it."""
        if self.clock_shift is None:
            return {}
        shift = self.rng.choice((0, HOUR, -HOUR))
        self.note(f"its clock: {shift:+d} s")
        return {"LD_PRELOAD": self.clock_shift, "CLOCK_SHIFT": str(shift)}

    # --- nginx --------------------------------------------------------------------------------------------------

    def workers(self):
        """Of the master: pids, those that drain as well."""
        return [pid for pid in self.parts.nginx.workers() if "worker process" in read(f"/proc/{pid}/cmdline")]

    def serving(self):
        return [pid for pid in self.workers() if "shutting down" not in read(f"/proc/{pid}/cmdline")]

    def kill(self, victims):
        """With kill -9, and waits until others have taken their place: nobody would take over what they counted otherwise."""
        for pid in victims:
            try:
                self.parts.nginx.kill_worker(pid)
            except ProcessLookupError:
                pass
        wait_for(lambda: not any(running(pid) for pid in victims) and len(self.serving()) >= WORKERS)

    def kill_worker(self):
        victim = self.rng.choice(sorted(self.workers()))
        self.note(f"nginx: kill -9 of the worker {victim}")
        self.kill([victim])

    def kill_all_workers(self):
        victims = self.workers()
        self.note(f"nginx: kill -9 of all workers {victims}")
        self.kill(victims)

    def reload(self):
        self.note("nginx: reload")
        old = set(self.workers())
        os.kill(self.parts.nginx.master, signal.SIGHUP)
        wait_for(lambda: len(set(self.serving()) - old) >= WORKERS)

    def upgrade(self):
        """USR2, WINCH, QUIT: another nginx with a zone of its own."""
        old = self.parts.nginx.master
        self.note(f"nginx: {old} is replaced")
        os.kill(old, signal.SIGUSR2)
        wait_for(lambda: self.parts.nginx.master not in (0, old) and len(self.serving()) >= WORKERS)
        if self.rng.random() < 0.5:
            os.kill(old, signal.SIGWINCH)
            wait_for(lambda: not [pid for pid in children_of(old) if pid != self.parts.nginx.master])
        os.kill(old, signal.SIGQUIT)
        wait_for(lambda: not running(old))
        self.note(f"nginx: by {self.parts.nginx.master}")

    def restart_nginx(self):
        self.note("nginx: quit")
        old = self.parts.nginx.master
        os.kill(old, signal.SIGQUIT)
        wait_for(lambda: not running(old))
        self.note("nginx: started")
        self.parts.nginx.env = self.clock()
        self.parts.nginx.start()
        wait_for(lambda: len(self.serving()) >= WORKERS)

    # --- Redis, and the way there ---------------------------------------------------------------------------------

    def end_redis(self):
        number, seconds = self.rng.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)), self.rng.uniform(0, 2)
        self.note(f"Redis: {number.name}, for {seconds:.1f} s")
        self.parts.redis.stop(number)
        self.until("redis", seconds, self.parts.redis.start)

    def kill_connections(self):
        kind = self.rng.choice(("normal", "pubsub"))
        self.note(f"Redis: CLIENT KILL TYPE {kind}")
        try:
            self.parts.redis("CLIENT", "KILL", "TYPE", kind)
        except (OSError, RedisError) as error:
            self.note(f"Redis: {error}")

    def cut_connections(self):
        reset = self.rng.random() < 0.5        # on TCP
        self.note(f"proxy: {'resets' if reset else 'closes'} all connections")
        self.parts.proxy.close_all(reset)

    def spoil_replies(self):
        seconds = self.rng.uniform(0.5, 3)
        chances = self.rng.choice(({delay(0, 0.5): 0.3}, {cut_anywhere(): 0.1}, {delay(0, 0.2): 0.2, cut_anywhere(): 0.05}))
        self.note(f"proxy: delays or cuts replies ({', '.join(f'{c:.0%}' for c in chances.values())}), for {seconds:.1f} s")
        self.parts.proxy.at_random(chances, seed=self.rng.random())
        self.until("proxy", seconds, self.calm)

    def silence(self):
        seconds = self.rng.uniform(0.2, 2)
        self.note(f"proxy: nothing passes, for {seconds:.1f} s")
        self.parts.proxy.black_hole()
        self.until("proxy", seconds, self.calm)

    def refuse_connections(self):
        seconds = self.rng.uniform(0.2, 2)
        self.note(f"proxy: gone, for {seconds:.1f} s")
        self.parts.proxy.refuse()
        self.parts.proxy.close_all()
        self.until("proxy", seconds, self.parts.proxy.accept)

    # --- apikeyd and Postgres -------------------------------------------------------------------------------------

    def end_apikeyd(self):
        number, seconds = self.rng.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)), self.rng.uniform(0, 2)
        self.note(f"apikeyd: {number.name}, for {seconds:.1f} s")
        self.parts.apikeyd.process.stop(number, 10)
        self.until("apikeyd", seconds, self.start_apikeyd)

    def start_apikeyd(self):
        self.parts.apikeyd.env = self.clock()
        self.parts.apikeyd.start(wait=False)

    def pause_apikeyd(self):
        seconds = self.rng.uniform(1, 3)
        self.note(f"apikeyd: stopped, for {seconds:.1f} s")
        self.parts.apikeyd.process.pause()
        self.until("apikeyd", seconds, self.parts.apikeyd.process.resume)

    def second_apikeyd(self):
        number, seconds = self.rng.choice((signal.SIGKILL, signal.SIGTERM)), self.rng.uniform(0.5, 4)
        self.note(f"second apikeyd: runs, for {seconds:.1f} s, until {number.name}")
        self.parts.second.env = self.clock()
        self.parts.second.start(wait=False)
        self.until("second", seconds, lambda: self.parts.second.process.stop(number, 10))

    def end_postgres(self):
        number, seconds = self.rng.choice((signal.SIGQUIT, signal.SIGINT)), self.rng.uniform(0, 2)
        self.note(f"Postgres: {'immediate' if number == signal.SIGQUIT else 'fast'} shutdown, for {seconds:.1f} s")
        self.parts.postgres.process.stop(number, 20)
        self.until("postgres", seconds, self.parts.postgres.start)

    def kill_backends(self):
        self.note("Postgres: apikeyd's backends are ended")
        self.parts.postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'apikeyd%'")
