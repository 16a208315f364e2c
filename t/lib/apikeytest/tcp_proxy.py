"""Between a client and a server, over TCP, whatever they speak; and the host behind it can vanish: from then on no packet is
answered or acknowledged by anybody, as when a machine loses its power or a cable is pulled."""

import asyncio
import contextlib
import ctypes
import socket
import struct
import threading

from .ports import free_port

SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27
RETURN = 0x06                              # of a packet that comes in: this many bytes are kept


def drop_packets(sock):
    """The kernel throws away whatever comes in for this socket, before TCP sees it."""
    program = ctypes.create_string_buffer(struct.pack("HBBI", RETURN, 0, 0, 0))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(program)))


class TcpProxy:
    def __init__(self, server):
        """`server`: the path of its Unix socket."""
        self.server, self.port, self.connections = server, free_port(), 0
        self.vanished = False
        self.bytes = 0                     # that clients were sent
        self.cut_at = None                 # when it is so many, all connections are closed, in the midst of whatever it is
        self.links = []                    # (socket of the client, what it is told through, what the server is told through)
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self._run(asyncio.start_server(self._accepted, sock=self.listener))

    def vanish(self):
        """The host is gone, for open connections and for new ones."""
        drop_packets(self.listener)
        self._run(self._cut_off())

    def come_back(self):
        """For new connections: those that were open have nobody who knows of them."""
        self.listener.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
        self.vanished = False

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    async def _cut_off(self):
        self.vanished = True
        for link in self.links:
            drop_packets(link["socket"])
            link["gone"] = True

    async def _accepted(self, reader, writer):
        self.connections += 1
        link = {"socket": writer.get_extra_info("socket"), "gone": False, "kept": writer}
        self.links.append(link)            # for ever: a closed socket would tell the client
        with contextlib.suppress(OSError):
            to_server = await asyncio.open_unix_connection(self.server)
            link["server"] = to_server
            await asyncio.gather(self._copy(link, reader, to_server[1]), self._copy(link, to_server[0], writer, counted=True))

    def _until_cut(self, data):
        """What of it may still be sent."""
        if self.cut_at is not None and self.bytes + len(data) > self.cut_at:
            data = data[:max(0, self.cut_at - self.bytes)]
        self.bytes += len(data)
        return data

    async def _copy(self, link, source, target, counted=False):
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                if link["gone"]:
                    return
                allowed = self._until_cut(data) if counted else data
                target.write(allowed)
                await target.drain()
                if len(allowed) < len(data):
                    break
        if not link["gone"]:
            target.close()
