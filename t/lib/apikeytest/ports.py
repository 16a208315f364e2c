"""Free TCP ports on 127.0.0.1, without races between tests that run at the same time.

Ports lie below the range that the kernel hands out for outgoing connections. Each is claimed by an abstract Unix
socket of its number, which the kernel releases when the test ends, however it ends.
"""

import random
import socket

FIRST, LAST = 12000, 30000
_claims = []


def free_port():
    for _ in range(1000):
        port = random.randrange(FIRST, LAST)
        claim = socket.socket(socket.AF_UNIX)
        probe = socket.socket()
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            claim.bind(f"\0apikeytest-port-{port}")
            probe.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
            continue
        finally:
            probe.close()
        _claims.append(claim)
        return port
    raise RuntimeError("no free port found in 1000 tries")
