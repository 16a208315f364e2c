"""One connection through the Redis proxy: two lanes of whole frames, and what faults make of them."""

import asyncio
import collections
import socket
import struct
import time

from .faults import Gate, Hole, Until, Wait
from .resp import RedisError, frame_end, parse


# By its handshake one knows what an nginx worker's connection is for.
KINDS = {"SUBSCRIBE": "subscription", "INFO REPLICATION": "lookups"}


class Lane:
    """One direction of one connection: frames in, what is left of them out, in order."""

    def __init__(self, link, rng):
        self.link, self.rng, self.transport = link, rng, None
        self.buffer, self.queue, self.held = bytearray(), collections.deque(), []
        self.command = ""                  # whose reply is being dealt with
        self.waiting = self.swallowing = False
        self.last = {}                     # by command: the last reply to one

    def put(self, items):
        self.queue += items
        if not self.waiting:
            self.drain()

    def drain(self):
        self.waiting = False
        ready = []
        while self.queue and self.transport is not None:
            item = self.queue.popleft()
            if isinstance(item, (bytes, bytearray)):
                ready.append(item)
            elif isinstance(item, (Wait, Until)):
                self.write(ready)
                self.waiting = True
                seconds = item.seconds if isinstance(item, Wait) else item.moment - time.monotonic()
                self.link.proxy.loop.call_later(max(0, seconds), self.drain)
                return
            elif isinstance(item, Gate):
                self.write(ready)
                self.waiting = item.holds(self)
                if self.waiting:
                    return
            elif isinstance(item, Hole):
                self.write(ready)
                self.swallowing = True
            else:
                self.write(ready)
                self.link.close(item.reset)
                return
        self.write(ready)

    def write(self, ready):
        if ready and not self.swallowing and self.transport is not None:
            self.transport.write(b"".join(ready))
        ready.clear()


class Link:
    """One connection of a client and ours to Redis for it."""

    def __init__(self, proxy, number):
        self.proxy, self.number = proxy, number
        self.closed = self.with_reset = False
        self.requests, self.replies = Lane(self, proxy.rng), Lane(self, proxy.rng)
        self.unanswered = collections.deque()   # arguments of the commands sent, oldest first
        self.deaf = False                  # black hole: accepts everything, does nothing
        self.kind = None                   # "lookups" or "subscription" of an nginx worker, once its handshake has come

    def from_client(self, data):
        lane, items = self.requests, []
        if self.deaf:
            return
        lane.buffer += data
        for frame in whole_frames(lane.buffer):
            args = [str(arg) for arg in parse(frame)[0]]
            self.proxy.note(self.number, args)
            self.learn_kind(args)
            self.unanswered += [args] * (len(args) - 1 if args[0].upper() in ("SUBSCRIBE", "PSUBSCRIBE") else 1)
            items += self.spoiled(lane, frame, args, self.proxy.request_rules, ())
        lane.put(items)

    def learn_kind(self, args):
        kind = KINDS.get(" ".join(args[:2]).upper()) or KINDS.get(args[0].upper())
        if kind and self.kind is None:
            self.kind = kind
            self.proxy.kinds[kind] += 1

    def from_redis(self, data):
        lane, items = self.replies, []
        if self.deaf:
            return
        lane.buffer += data
        for frame in whole_frames(lane.buffer):
            args = self.question_of(frame)
            lane.command = args[0].upper()
            held, lane.held = lane.held, []
            items += self.spoiled(lane, frame, args, self.proxy.reply_rules, self.proxy.chances)
            lane.last[lane.command] = frame
            items += held
        lane.put(items)

    def question_of(self, frame):
        """The command that this reply answers; published messages answer none."""
        if frame[:1] in b"*>" and frame[4:].startswith((b"$7\r\nmessage", b"$8\r\npmessage")):
            return ["MESSAGE"]
        return self.unanswered.popleft() if self.unanswered else ["UNASKED"]

    def spoiled(self, lane, frame, args, rules, chances):
        for rule in rules:
            if rule.matches(args):
                return self.proxy.spoil(rule.fault, lane, frame)
        if chances:
            draw = lane.rng.random()
            for fault, chance, command in chances:
                draw -= chance
                if draw < 0:
                    if command not in ("*", args[0].upper()):
                        break
                    return self.proxy.spoil(fault, lane, frame)
        return [frame]

    def close(self, reset=False):
        self.closed, self.with_reset = True, reset
        self.proxy.links.discard(self)
        for lane in (self.replies, self.requests):
            if lane.transport is not None:
                end(lane.transport, reset and lane is self.replies)
                lane.transport = None


class Side(asyncio.Protocol):
    """asyncio's view of one socket of a link."""

    def __init__(self, link, outgoing, receive):
        self.link, self.outgoing, self.receive = link, outgoing, receive

    def connection_made(self, transport):
        if self.link.closed:
            end(transport, self.link.with_reset)
            return
        self.outgoing.transport = transport
        self.outgoing.drain()

    def data_received(self, data):
        try:
            self.receive(data)
        except (RedisError, ValueError, TypeError, IndexError) as error:
            self.link.proxy.errors.append(str(error))
            self.link.close()

    def eof_received(self):
        return self.link.deaf              # a black hole stays open

    def connection_lost(self, _error):
        if not (self.link.deaf and self.outgoing is self.link.requests):
            self.outgoing.transport = None
            self.link.close()


def whole_frames(buffer):
    """Takes the complete frames out of the front of the buffer."""
    frames, start = [], 0
    while start < len(buffer) and (stop := frame_end(buffer, start)) > 0:
        frames.append(bytes(buffer[start:stop]))
        start = stop
    del buffer[:start]
    return frames


def end(transport, reset):
    if reset:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()
