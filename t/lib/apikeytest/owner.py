"""The application that owns the keys: it changes them in Postgres, hears from apikeyd when a change is in force, and writes
down what was in force when (ledger.py), while Postgres, apikeyd and Redis are restarted and cut off."""

import contextlib
import random
import time
from concurrent import futures

from .ledger import Ledger, State
from .receipts import ReceiptClient
from .resp import RedisError

CONFIRMED_WITHIN = 2.5                     # seconds: apikeyd says after two that something is not confirmed
SCOPES = (None, ["chat"], ["chat", "read"], ["write", "read", "chat"])


def text_for(user, key_id, scopes):
    """What the upstream answers."""
    return f"{user} {key_id} {' '.join(scopes) if scopes else '*'}"


class Owner:
    def __init__(self, postgres, redis, keys, seed, bound, ledger=None):
        """`keys` change, at random. `bound`: for so many seconds after Redis has a change a worker that cannot hear of it may go by
        what was before (valid + stale). `ledger`: of who owned them before; nobody is asked about who asked before this moment."""
        self.postgres, self.keys, self.bound = postgres, keys, bound
        self.ledger = ledger and ledger.since(time.monotonic())
        self.redis = redis.for_another_process()
        self.rng = random.Random(seed)
        self.confirmed = self.unconfirmed = 0
        self.unsettled = set()             # keys of which nobody can say what is in force

    def run(self, is_over, pause):
        """Until is_over(): one change after the other, with a pause of up to so many seconds between them. Gives
        (ledger, how many changes were confirmed, how many not)."""
        import psycopg2                                # pylint: disable=import-outside-toplevel
        self.database_error = psycopg2.Error
        self.connect()
        if self.ledger is None:
            self.ledger = Ledger({key.id: self.what_is(key) for key in self.keys})
        while not is_over():
            unsettled = [key for key in self.keys if key.id in self.unsettled]
            self.change(self.rng.choice(unsettled if unsettled and self.rng.random() < 0.3 else self.keys))
            time.sleep(self.rng.uniform(0, pause))
        return self.ledger, self.confirmed, self.unconfirmed

    def connect(self):
        """As soon as Postgres is there. What it says is committed must survive its end."""
        while True:
            with contextlib.suppress(self.database_error):
                self.application = ReceiptClient(self.postgres)
                self.application.cursor.execute("SET synchronous_commit = on")
                return
            time.sleep(0.05)

    def what_is(self, key):
        """In Postgres."""
        while True:
            try:
                self.application.cursor.execute("SELECT user_id, is_active, scopes FROM api_keys WHERE id = %s", (key.id,))
                user, active, scopes = self.application.cursor.fetchone()
                return text_for(user, key.id, scopes) if active else None
            except self.database_error:
                self.connect()

    def change(self, key):
        """Revokes a key that is there, brings back one that is not, or gives it to another user with other scopes."""
        there = self.ledger.states[key.id][-1].text is not None
        gone = there and self.rng.random() < 0.5
        user, scopes = f"{key.user.partition('.')[0]}.{self.rng.randrange(1000)}", self.rng.choice(SCOPES)
        array = "NULL" if scopes is None else f"ARRAY{scopes}::text[]"
        state = State(None if gone else text_for(user, key.id, scopes), time.monotonic())
        self.ledger.states[key.id].append(state)
        try:
            _, figures = self.application.change(f"UPDATE api_keys SET user_id = '{user}', scopes = {array}, is_active = {not gone},"
                                                 f" revoked_at = NULL WHERE id = '{key.id}'", CONFIRMED_WITHIN)
        except self.database_error:
            self.lost(key, state)
            return
        self.enter(key, state, figures)

    def enter(self, key, state, figures):
        confirmed, expected = figures.split("/") if figures else (0, 0)
        # Where nobody is expected, workers that are cut off from Redis may go by what they have cached.
        if confirmed == expected and int(expected) > 0:
            state.in_force = time.monotonic()
            self.confirmed += 1
            self.unsettled.discard(key.id)
            return
        self.unconfirmed += 1
        if self.is_in_redis(key, state):
            state.in_force = time.monotonic() + self.bound
        else:
            self.unsettled.add(key.id)

    def lost(self, key, state):
        """The connection to Postgres ended: the change may have been made, or not."""
        self.unconfirmed += 1
        self.unsettled.add(key.id)
        self.connect()
        actual = self.what_is(key)
        if actual != state.text:
            self.ledger.states[key.id].append(State(actual, state.begun))

    def is_in_redis(self, key, state):
        """Redis has what was changed, and proves itself: what is not there is not merely lost."""
        prefix = self.redis.prefix
        try:
            epoch, run_id = self.redis.epoch(), self.redis.run_id()
            user, key_id, scopes = self.redis("HMGET", f"{prefix}k:{key.hash}", "user", "id", "scopes")
            proven = (epoch or "").startswith(run_id) and (self.redis.epoch(), self.redis.run_id()) == (epoch, run_id)
        except (OSError, RedisError):
            return False
        return proven and state.text == (f"{user} {key_id} {scopes}" if user else None)


class Owners:
    """Some of them, who change keys at the same time: to a Leader's callers they are one."""

    def __init__(self, count, postgres, redis, keys, seed, bound, ledger=None):
        self.keys, self.ledger = keys, ledger
        self.owners = [Owner(postgres, redis, keys[n::count], f"{seed}-owner-{n}", bound, ledger and ledger.of(keys[n::count]))
                       for n in range(count)]

    @property
    def confirmed(self):
        return sum(owner.confirmed for owner in self.owners)

    def run(self, is_over, pause):
        """As Owner.run()."""
        with futures.ThreadPoolExecutor(len(self.owners)) as threads:
            results = list(threads.map(lambda owner: owner.run(is_over, pause), self.owners))
        ledger = Ledger({})
        for part, _, _ in results:
            ledger.states |= part.states
        return ledger, sum(confirmed for _, confirmed, _ in results), sum(unconfirmed for _, _, unconfirmed in results)
