"""What was in force when: changes of live keys, made as apikeyd's leader makes them, written down with their times; and
whether an answer contradicts them. Times are time.monotonic(), which is the same for all processes of a machine."""

import bisect
import dataclasses
import itertools
import random
import time

from .resp import RedisError

NEVER = float("inf")


@dataclasses.dataclass
class State:
    """What a key was from some moment on. `text`: what the upstream answers for it, None: it is revoked."""
    text: str | None
    begun: float                           # nobody can have known of it before
    in_force: float = NEVER                # from then on nobody may go by what was before it


class Ledger:
    def __init__(self, texts):
        """`texts`: by key id, what each key was at the start."""
        self.states = {key: [State(text, 0.0, 0.0)] for key, text in texts.items()}
        self.times = {}                    # by key id, while its states do not change: see times_of()

    def since(self, moment):
        """Another ledger, of what may be met by requests that are sent from this moment on."""
        ledger = Ledger({})
        ledger.states = {key: self.may_be(key, moment, NEVER) for key in self.states}
        return ledger

    def of(self, keys):
        """Another ledger, of these keys alone."""
        ledger = Ledger({})
        ledger.states = {key.id: self.states[key.id] for key in keys}
        return ledger

    def may_be(self, key, asked, answered):
        """The states that a request sent at `asked` and answered by `answered` may have met."""
        begun, over = self.times_of(key)
        return self.states[key][bisect.bisect_right(over, asked) - 1:bisect.bisect_left(begun, answered)]

    def times_of(self, key):
        """Of its states: when each begins, and when what was before it is over, which a later one may have brought about."""
        states = self.states[key]
        if len(self.times.get(key, ([],))[0]) != len(states):
            over = list(itertools.accumulate((state.in_force for state in reversed(states)), min))[::-1]
            self.times[key] = [state.begun for state in states], over
        return self.times[key]

    def contradiction(self, key, asked, answered, text):
        """What is wrong with this answer (`text` None: refused as unknown), or None."""
        allowed = [state.text for state in self.may_be(key, asked, answered)]
        if text in allowed:
            return None
        ever = text in [state.text for state in self.states[key]]
        return f"{'another time' if ever else 'another key'}: got {text!r}, in force was {allowed}"


class Leader:
    """Changes keys in Redis as apikeyd does, and waits for the confirmations of the workers."""

    def __init__(self, redis, keys, seed, text_of, workers=0, bound=0.0):
        """`keys` change, at random. A change is confirmed when so many `workers` held a lease and all of them said that
        they have applied it; one that is not is in force after `bound` seconds, which is what nginx.conf allows a worker
        that cannot hear or ask Redis (valid + stale)."""
        self.redis, self.keys, self.workers, self.bound, self.text_of = redis, list(keys), workers, bound, text_of
        self.rng = random.Random(seed)
        self.ledger = Ledger({key.id: text_of(key) for key in keys})
        self.confirmed = self.unconfirmed = 0
        self.receipt = 0

    def run(self, is_over, pause):
        """Until is_over(): one change after the other, with a pause of up to so many seconds between them. Gives
        (ledger, how many changes were confirmed, how many not)."""
        self.commands, self.applied = self.redis.client(), self.redis.client()
        self.applied("SUBSCRIBE", f"{self.redis.prefix}applied")
        while not is_over():
            self.change(self.rng.choice(self.keys))
            time.sleep(self.rng.uniform(0, pause))
        return self.ledger, self.confirmed, self.unconfirmed

    def change(self, key):
        """Revokes a key that is there, brings back one that is not, or gives it to another user with other scopes."""
        there = self.ledger.states[key.id][-1].text is not None
        gone = there and self.rng.random() < 0.5
        if not gone:
            key = dataclasses.replace(key, user=f"{key.user.partition('.')[0]}.{self.rng.randrange(1000)}",
                                      scopes=self.rng.choice(("*", "chat", "chat read")))
        state = State(None if gone else self.text_of(key), time.monotonic())
        members = self.publish(key, gone)
        if len(members) >= self.workers and self.all_applied(members):
            state.in_force = time.monotonic()
            self.confirmed += 1
        else:
            state.in_force = state.begun + self.bound
            self.unconfirmed += 1
        self.ledger.states[key.id].append(state)

    def publish(self, key, gone):
        """Writes and says so in one transaction; {worker: when its lease ends, by our clock at the latest}."""
        prefix, self.receipt = self.redis.prefix, self.receipt + 1
        name, fields = f"{prefix}k:{key.hash}", sum(key.redis_fields().items(), ())
        replies = self.commands.pipeline([
            ["MULTI"], ["DEL", name], *([] if gone else [["HSET", name, *fields]]),
            ["PUBLISH", f"{prefix}changed", f"{key.hash} {self.receipt}"],
            ["ZRANGE", f"{prefix}workers", "0", "-1", "WITHSCORES"], ["TIME"], ["EXEC"]])
        if isinstance(replies[-1], RedisError):
            raise replies[-1]
        *_, members, (seconds, micros) = replies[-1]
        now, redis_now = time.monotonic(), int(seconds) * 1000 + int(micros) // 1000
        return {worker: now + (float(score) - redis_now) / 1000 for worker, score in zip(members[::2], members[1::2])
                if float(score) > redis_now}

    def all_applied(self, members):
        """Waits until every member has confirmed this receipt. False: one had not when its lease ended."""
        waiting = dict(members)
        while waiting:
            left = min(waiting.values()) - time.monotonic()
            if left <= 0:
                return False
            self.applied.set_timeout(left)
            try:
                worker, _, receipt = self.applied.receive()[2].rpartition(" ")
            except TimeoutError:
                return False
            if int(receipt) == self.receipt:
                waiting.pop(worker, None)
        return True
