#!/usr/bin/python3
"""Uses a key without pause while a command revokes it, and says what became of the requests.

usage: hammer.py HOST:PORT PATH KEY COMMAND ...
Fails when a request that began after the command had returned was let in.
"""
import http.client
import subprocess
import sys
import threading
import time

CLIENTS = 8


def use(stop, seen):
    """Requests on one connection: (when it began, status)."""
    connection = http.client.HTTPConnection(place)
    while not stop.is_set():
        begun = time.monotonic()
        connection.request("GET", path, headers={"Authorization": f"Bearer {key}"})
        response = connection.getresponse()
        response.read()
        seen.append((begun, time.monotonic(), response.status))


place, path, key, *command = sys.argv[1:]
stop, seen = threading.Event(), []
threads = [threading.Thread(target=use, args=(stop, seen)) for _ in range(CLIENTS)]
for thread in threads:
    thread.start()
time.sleep(0.5)
before = time.monotonic()
subprocess.run(command, check=True)
returned = time.monotonic()
time.sleep(0.5)
stop.set()
for thread in threads:
    thread.join()

let_in = [end for _, end, status in seen if status == 200]
later = [status for begun, _, status in seen if begun > returned]
refused = min((end for _, end, status in seen if status == 401), default=returned)
print(f"{len(let_in)} requests of {CLIENTS} clients were let in, the last one {1000 * (max(let_in) - before):.1f} ms after the "
      f"command was started (it took {1000 * (returned - before):.1f} ms in all); the first refusal came at "
      f"{1000 * (refused - before):.1f} ms;")
print(f"of the {len(later)} that began after it had returned, {later.count(401)} were refused and {later.count(200)} let in.")
sys.exit(1 if set(later) != {401} else 0)
