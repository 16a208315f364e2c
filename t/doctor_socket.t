#!/usr/bin/python3
# apikeyctl doctor names what is wrong with the socket of `listen`, its folder, and files with secrets.

import os
import socket

from lib.apikeytest import Test
from lib.apikeytest.doctor import Doctor, write_secret


def listening(path, mode=0o660):
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    os.chmod(path, mode)
    server.listen()
    return server


with Test() as t:
    pg, redis = t.postgres(), t.redis(options={"appendonly": "yes"})
    folder = t.new_folder("run")
    path, password = f"{folder}/apikeyd.sock", "a-secret-for-the-socket"
    secret = write_secret(f"{folder}/secret", password)
    daemon = t.apikeyd(pg, redis, wait=None, listen_mode="0660")
    daemon.settings |= {"listen": f"unix:{path}", "secret_file": secret}
    daemon.write_config()
    daemon.start()
    t.worker(redis)
    doctor = Doctor(t, daemon.config)
    doctor.all_well("a socket that apikeyd has made")
    os.unlink(path)                        # from here on the test makes what stands there
    doctor.all_well("a socket that is not there is no fault")
    t.like(doctor.run()["socket.path"][1], f"{path} is not there: exports and imports need it and answer 503", "it is noted")

    server = listening(path)
    found = doctor.run()
    t.like(found["socket.path"][1], "somebody listens", "a socket")
    t.is_(found["socket.owner"][1], "root:root" if os.geteuid() == 0 else found["socket.owner"][1], "its owner")
    t.is_(found["socket.mode"][:2], ("ok", "0660"), "its mode")
    os.chmod(path, 0o666)
    doctor.finds("socket.mode", "error", "its mode is 0666, listen_mode says 0660", f"^chmod 0660 {path}", "another mode")
    daemon.settings["listen_mode"] = "0666"
    daemon.write_config()
    doctor.all_well("the mode that listen_mode says")

    os.chmod(folder, 0o777)
    doctor.finds("socket.directory", "error", rf"everybody may write into {folder} \(0777\)", f"^chmod o-w {folder}$", "its folder")
    os.chmod(folder, 0o1777)
    doctor.all_well("a sticky folder, as /tmp")
    os.chmod(folder, 0o755)
    above = os.path.dirname(folder)
    os.chmod(above, 0o777)
    doctor.finds("socket.directory", "error", rf"everybody may write into {above} ", "chmod o-w", "a folder above it")
    os.chmod(above, 0o755)

    server.close()
    doctor.finds("socket.path", "error", "nobody listens; it is left over", "start apikeyd", "a dead socket")
    os.unlink(path)
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    os.chmod(path, 0o666)
    server.listen(0)
    waiting = socket.socket(socket.AF_UNIX)
    waiting.connect(path)                  # takes the only place, and nobody accepts
    doctor.finds("socket.path", "error", "unavailable", "does apikeyd hang", "a socket that nobody serves")
    server.close()
    os.unlink(path)
    with open(path, "w", encoding="ascii"):
        pass
    doctor.finds("socket.path", "error", "is there and is no socket", r"apikeyd.yaml:3: listen", "a file in its place")
    os.unlink(path)

    for mode, words in ((0o644, "everybody gets at it"), (0o606, "everybody gets at it"), (0o660, "its group may change it")):
        os.chmod(secret, mode)
        doctor.finds("files.secret", "warning", words, f"^chmod 0640 {secret}$", f"secret_file with mode {mode:04o}")
    os.chmod(secret, 0o640)
    doctor.all_well("mode 0640 is fine")
    os.unlink(secret)
    doctor.finds("settings", "error", r"apikeyd.yaml:\d+: secret_file: .*cannot be read", "apikeyd --check", "secret_file is gone")
    doctor.never_said(password)
