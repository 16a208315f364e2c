"""Usage on its way: what nginx has shipped, read out of the stream; batches as nginx makes them, put into it without nginx; and
what Postgres has of them."""

import collections
import os
import re
import secrets
import shutil
import threading
import time
import uuid

from .process import PATIENCE, wait_for
from .resp import RedisError

STREAM, DEAD = "apikey:usage", "apikey:usage:dead"
MINUTE = "2026-11-28T02:05:00Z"


def escape(text):
    """As COPY's text format writes it."""
    for raw, written in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
        text = text.replace(raw, written)
    return text


def row(user, key_id, requests=1, minute=MINUTE, endpoint="chat", model="", status="success", tokens=(0, 0, 0), cost=None):
    """One line of the field `rows`. `tokens`: in, out, cached."""
    texts = [escape(str(each)) for each in (user, key_id, minute, endpoint, model, status, requests, *tokens)]
    return "\t".join([*texts, "\\N" if cost is None else str(cost)]) + "\n"


def used(key_id, when):
    """One line of the field `keys`."""
    return f"{key_id}\t{when}\n"


class Slot:
    """A worker's slot: gives its batches their numbers."""

    def __init__(self, slot=0, zone=None, sequence=0):
        self.zone, self.slot, self.sequence = zone or secrets.token_hex(16), slot, sequence

    def batch(self, *rows, keys=()):
        """The fields of the next batch."""
        sequence, self.sequence = self.sequence, self.sequence + 1
        return {"batch": f"{self.zone} {self.slot} {sequence}", "sealed": str(int(time.time() * 1000)),
                "keys": "".join(keys), "rows": "".join(rows)}


def add_command(fields, stream=STREAM):
    return ["XADD", stream, "*", *(part for item in fields.items() for part in item)]


def ship(redis, *batches):
    """Puts them into the stream, in one write; their ids."""
    client = redis.client()
    ids = client.pipeline([add_command(batch) for batch in batches])
    client.close()
    for each in ids:
        if isinstance(each, RedisError):
            raise each
    return ids


def requests(pg, where="true"):
    """The sum that Postgres has."""
    return int(pg.value(f"SELECT coalesce(sum(requests), 0) FROM usage_records WHERE {where}"))


def applied(pg, slot):
    """The numbers of this slot that are applied, as Postgres writes ranges; None: none ever."""
    found = pg.sql(f"SELECT applied FROM usage_sources WHERE zone = '{slot.zone}' AND slot = {slot.slot}")
    return found[0][0] if found else None


def is_empty(redis):
    """Everything is applied and acknowledged."""
    return redis("XLEN", STREAM) == 0


def dead(redis):
    """The dead stream's entries, each as a dict."""
    return [dict(zip(fields[::2], fields[1::2])) for _, fields in redis("XRANGE", DEAD, "-", "+")]


def new_id():
    return str(uuid.uuid4())


def make_key(pg, user, last_used="NULL"):
    """A row of api_keys; its id."""
    return pg.value(f"INSERT INTO api_keys (user_id, name, key_hash, prefix, last_used_at) VALUES ('{user}', 'k', "
                    f"encode(sha256(gen_random_uuid()::text::bytea), 'hex'), 'ia_xxxxxxxxx', {last_used}) RETURNING id")


# --- what nginx has shipped: where no apikeyd runs, nothing takes it out of the stream -------------------------

Counted = collections.namedtuple("Counted", "user key_id minute endpoint model status requests tokens_in tokens_out tokens_cached cost")
ESCAPES = {"\\": "\\", "t": "\t", "n": "\n", "r": "\r", "b": "\b", "f": "\f", "v": "\v"}


def unescape(text):
    """Of COPY's text format; None: NULL."""
    return None if text == "\\N" else re.sub(r"\\(.)", lambda found: ESCAPES[found[1]], text, flags=re.S)


def batches(redis):
    """The batches in the stream, each once: what is sent again has the same name."""
    found = {}
    for _, fields in redis("XRANGE", STREAM, "-", "+"):
        batch = dict(zip(fields[::2], fields[1::2]))
        found.setdefault(batch["batch"], batch)
    return list(found.values())


def rows(redis, **where):
    """Their rows as Counted, numbers as such but for the cost (text, None: nobody named one). `where`: values of columns."""
    found = []
    for line in "".join(batch["rows"] for batch in batches(redis)).split("\n")[:-1]:
        texts = [unescape(text) for text in line.encode("latin-1").decode("utf-8").split("\t")]
        found.append(Counted(*texts[:6], *map(int, texts[6:10]), texts[10]))
    return [each for each in found if all(getattr(each, column) == value for column, value in where.items())]


def counted(redis, **where):
    """How many requests they are."""
    return sum(each.requests for each in rows(redis, **where))


def by(redis, *columns, **where):
    """{values of these columns: requests}; of one column {value: requests}."""
    sums = collections.Counter()
    for each in rows(redis, **where):
        values = tuple(getattr(each, column) for column in columns)
        sums[values if len(columns) > 1 else values[0]] += each.requests
    return dict(sums)


def wait_counted(redis, requests, timeout=PATIENCE, **where):
    """Until the stream has so many requests, and 0.3 s longer: one too many shows as well. How many there are then."""
    wait_for(lambda: counted(redis, **where) >= requests, timeout, 0.02)
    time.sleep(0.3)
    return counted(redis, **where)


def last_used(redis):
    """{key_id: when a request used it last, as nginx wrote it}."""
    found = {}
    for line in "".join(batch["keys"] for batch in batches(redis)).split("\n")[:-1]:
        key_id, when = line.split("\t")
        found[key_id] = max(when, found.get(key_id, ""))
    return found


def differing(redis):
    """Ids that came with two contents: there must be none, since only the first of them would count."""
    contents = collections.defaultdict(set)
    for _, fields in redis("XRANGE", STREAM, "-", "+"):
        batch = dict(zip(fields[::2], fields[1::2]))
        contents[batch["batch"]].add((batch["sealed"], batch["keys"], batch["rows"]))
    return [name for name, found in contents.items() if len(found) > 1]


def slots(redis):
    """{(zone, slot) of the ids}"""
    return {tuple(batch["batch"].split()[:2]) for batch in batches(redis)}


def spool_folder(t):
    """A folder for api_key_spool, of the workers' user."""
    folder = t.new_folder("spool")
    if os.geteuid() == 0:
        shutil.chown(folder, "www-data", "www-data")
    return folder


# --- what clients know of it --------------------------------------------------------------------------------------


class Load:
    """Clients that ask without pause, and their ledger. Each request has a connection of its own: none can meet one that a
    worker has just closed.

        with usage.Load(nginx, keys) as load: …      at its end they have stopped
    """

    def __init__(self, nginx, keys, clients=4, pause=0.004, path="/"):
        self.nginx, self.keys, self.pause, self.path = nginx, keys, pause, path
        self.answered = collections.Counter()          # by user: complete answers, status 200
        self.perhaps = collections.Counter()           # by user: no complete answer came
        self.refused = collections.Counter()           # by status: any other
        self._over, self._lock = threading.Event(), threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(clients)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()

    @property
    def asked(self):
        return sum(self.answered.values()) + sum(self.perhaps.values()) + sum(self.refused.values())

    def wait_more(self, count):
        """Until so many more requests were made."""
        before = self.asked
        return wait_for(lambda: self.asked >= before + count, interval=0.02)

    def _run(self, turn):
        while not self._over.is_set():
            key, turn = self.keys[turn % len(self.keys)], turn + 1
            try:
                r = self.nginx.get(self.path, key, headers={"Connection": "close"})
                kind, name = (self.answered, key.user) if r.whole and r.status == 200 else (self.refused, r.status)
                kind, name = (kind, name) if r.whole else (self.perhaps, key.user)
            except ConnectionRefusedError:
                kind, name = self.refused, "refused"
            except OSError:
                kind, name = self.perhaps, key.user
            with self._lock:
                kind[name] += 1
            time.sleep(self.pause)

    def agrees(self, t, counts, name, timeout=PATIENCE):
        """Checks what was counted, counts() → {user: requests}, against the ledger: all that was answered, nothing twice."""
        wait_for(lambda: all(counts().get(user, 0) >= count for user, count in self.answered.items()), timeout, 0.1)
        time.sleep(0.5)                                # one too many shows as well
        got = {user: count for user, count in counts().items() if user in {key.user for key in self.keys}}
        lost = {user: count - got.get(user, 0) for user, count in self.answered.items() if got.get(user, 0) < count}
        most = {user: self.answered[user] + self.perhaps[user] for user in {*self.answered, *self.perhaps}}
        twice = {user: count - most.get(user, 0) for user, count in got.items() if count > most.get(user, 0)}
        t.must(not lost, f"{name}: every answered request is counted ({sum(self.answered.values())})", f"not counted: {lost}")
        t.must(not twice, f"{name}: and none twice", f"too many: {twice}")


def agrees(t, redis, load, name, timeout=PATIENCE):
    """The stream against the ledger of this Load, and that what was sent again was the same."""
    load.agrees(t, lambda: by(redis, "user"), name, timeout)
    t.must(not (found := differing(redis)), f"{name}: what came again was the same", found)
