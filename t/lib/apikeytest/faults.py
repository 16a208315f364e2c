"""What can happen to one Redis reply (or command) on its way through the proxy.

A fault is a function: it gets the lane and the whole frame, and returns what goes out instead: a list of bytes and of
Wait, Until, Gate, Close and Hole. `lane.rng` is the proxy's random source, `lane.held` what swap() keeps back,
`lane.last` the last frame by command, `lane.command` whose frame this is.
"""

import dataclasses
import threading
import time


@dataclasses.dataclass
class Wait:
    seconds: float


@dataclasses.dataclass
class Until:
    moment: float                          # of time.monotonic()


@dataclasses.dataclass
class Close:
    """Both sides of the connection; reset: with RST (on TCP)."""
    reset: bool = False


class Gate:
    """Holds up what is on its way (`hold` is the fault), and what comes behind, as in TCP, until it is opened: for tests
    that must see something happen *before* the answer, however slow the machine is."""

    def __init__(self):
        self.is_open, self.lanes = False, []
        self.lock = threading.Lock()       # tests open it in their own thread

    def hold(self, _lane, frame):
        return [self, frame]

    def holds(self, lane):
        """False: it is open. True: `lane` is drained again when it opens."""
        with self.lock:
            if not self.is_open:
                self.lanes.append(lane)
            return not self.is_open

    def open(self):
        with self.lock:
            self.is_open = True
        for lane in self.lanes:
            lane.link.proxy.loop.call_soon_threadsafe(lane.drain)


class Hole:
    """From here on this direction of the connection is swallowed, and the connection stays open."""


def delay(low, high=None):
    """So many seconds later (a random number between the two). What comes behind waits too, as in TCP, but the delays of
    several do not add up."""
    def fault(lane, frame):
        return [Until(time.monotonic() + (low if high is None else lane.rng.uniform(low, high))), frame]
    return fault


def drop():
    return lambda lane, frame: []


def duplicate():
    return lambda lane, frame: [frame, frame]


def swap():
    """Comes after the next one."""
    def fault(lane, frame):
        lane.held.append(frame)
        return []
    return fault


def swap_alike():
    """The same where the next one answers the same command: right in number and form, wrong in content."""
    def fault(lane, frame):
        waiting = lane.link.unanswered
        return swap()(lane, frame) if waiting and waiting[0][0].upper() == lane.command else [frame]
    return fault


def previous():
    """The last reply to the same command comes again in its place."""
    return lambda lane, frame: [lane.last.get(lane.command, frame)]


def replace(data):
    return lambda lane, frame: [data]


def inject(data):
    """Bytes in front of it."""
    return lambda lane, frame: [data, frame]


def cut(size, reset=False):
    """Its first bytes (negative: all but the last), then the connection ends."""
    return lambda lane, frame: [frame[:size], Close(reset)]


def cut_anywhere(reset=False):
    return lambda lane, frame: [frame[:lane.rng.randrange(len(frame))], Close(reset)]


def close(reset=False):
    return lambda lane, frame: [Close(reset)]


def black_hole():
    return lambda lane, frame: [Hole()]


def split_at(position, pause=0.002):
    """In two segments."""
    return lambda lane, frame: [frame[:position], Wait(pause), frame[position:]]


def split(size=1, pause=0.0005):
    """In segments of so many bytes."""
    def fault(lane, frame):
        pieces = []
        for first in range(0, len(frame), size):
            pieces += [frame[first:first + size], Wait(pause)]
        return pieces
    return fault


def split_anywhere(pause=0.0005):
    """In two segments, cut at a random byte."""
    return lambda lane, frame: split_at(lane.rng.randrange(1, len(frame)), pause)(lane, frame)
