#!/usr/bin/python3
# apikeyd's socket: made with its mode, a dead one's place is taken, a living one's and everything else's is refused with clear words,
# and at the end it goes, if it is still ours.
# Hazards: S11

import os
import re
import socket
import subprocess

from lib.apikeytest import Test
from lib.apikeytest.unix_http import Sidecar


def refuses(daemon, pattern, name):
    """apikeyd does not start, and says why in one line."""
    daemon.write_config()
    done = subprocess.run([daemon.binary, "--config", daemon.config], capture_output=True, text=True, timeout=20, check=False)
    t.is_(done.returncode, 1, f"{name}: refused")
    t.like(done.stderr, rf"^apikeyd: {re.escape(daemon.config)}:3: listen: {pattern}", f"{name}: said where and why")
    t.is_(done.stderr.count("\n"), 1, f"{name}: in one line")


def mode_of(path):
    return os.stat(path).st_mode & 0o7777


with Test() as t:
    pg, redis = t.postgres(), t.redis()
    folder = t.new_folder("run")
    path = f"{folder}/s"
    daemon = t.apikeyd(pg, redis, wait=None)
    daemon.settings["listen"], daemon.socket_path = f"unix:{path}", path
    os.umask(0o077)
    for mode in ("0660", "0606", "0777"):
        daemon.settings["listen_mode"] = mode
        daemon.write_config()
        daemon.start()
        t.is_(f"{mode_of(path):04o}", mode, f"mode {mode}, whatever the umask")
        t.is_(Sidecar(daemon).get("/no").status, 404, "it answers")
        t.ok(daemon.stop(4), "it stops")
        t.ok(not os.path.exists(path), "its socket goes with it")

    # --- a dead one's, a living one's ---
    daemon.start()
    daemon.kill()
    t.ok(os.path.exists(path), "killed, it leaves its socket")
    daemon.start()
    t.is_(Sidecar(daemon).get("/no").status, 404, "the next one takes its place")
    second = t.apikeyd(pg, redis, wait=None)
    second.settings["listen"] = f"unix:{path}"
    refuses(second, f"{path}: somebody listens there already; is another apikeyd running", "a living one's")
    t.is_(Sidecar(daemon).get("/no").status, 404, "the first goes on")

    # --- at the end it is another's ---
    os.unlink(path)
    other = socket.socket(socket.AF_UNIX)
    other.bind(path)
    t.ok(daemon.stop(4), "it stops, though its socket is gone")
    t.ok(os.path.exists(path), "another's is left alone")
    other.listen(0)
    waiting = socket.socket(socket.AF_UNIX)
    waiting.connect(path)
    refuses(second, f"{path}: somebody listens there already", "one that is too busy to accept")
    waiting.close()
    other.close()

    # --- what is no socket, and folders ---
    os.unlink(path)
    with open(path, "w", encoding="ascii") as file:
        file.write("precious")
    refuses(second, f"{path} is there and is no socket; remove it, or write another path", "a file")
    t.is_(os.path.getsize(path), 8, "which is not touched")
    os.unlink(path)
    os.symlink("/nowhere", path)
    refuses(second, f"{path} is there and is no socket", "a link")
    os.unlink(path)
    os.chmod(folder, 0o777)
    refuses(second, rf"{path}: everybody may write into {folder}, .*; chmod o-w {folder}$", "a folder of everybody's")
    os.chmod(folder, 0o1777)
    daemon.start()
    t.is_(Sidecar(daemon).get("/no").status, 404, "a sticky one is fine")
    daemon.stop()
    os.chmod(folder, 0o755)
    second.settings["listen"] = f"unix:{folder}/missing/s"
    refuses(second, rf"{folder}/missing/s: its folder {folder}/missing: No such file or directory; make it", "no folder")
    second.settings["listen"] = "unix:/proc/self/s"
    refuses(second, r"/proc/self/s cannot be made: ", "a folder where nothing can be made")
    second.settings["listen"] = f"unix:{folder}/{'x' * 108}"
    second.write_config()
    done = subprocess.run([second.binary, "--config", second.config], capture_output=True, text=True, timeout=20, check=False)
    t.like(done.stderr, r":3: listen: .* is too long; a path has at most 107 bytes", "a path that is too long")
