"""The service behind auth_request: node/auth_service.mjs, with the packages of npm that its lock file names."""

import os

from apikeytest import node
from apikeytest.process import Process, wait_for

from . import BENCH

FOLDER = BENCH / "node"


def install():
    """At its first use; an error where there is no way to the registry of npm."""
    node.need("node")
    if refusal := node.install_into(FOLDER):
        raise RuntimeError(f"auth_request's service cannot be installed: {refusal}")


class AuthService:
    """Listens at socket_path. `valid`, `invalid`: seconds that it keeps verdicts for (0: not at all), of at most `entries` keys."""

    def __init__(self, folder, redis, valid, invalid, entries):
        install()
        self.socket_path = f"{folder}/service.sock"
        argv = ["node", str(FOLDER / "auth_service.mjs"), redis.socket_path, self.socket_path, *map(str, (valid, invalid, entries))]
        self.process = Process("auth_service", argv, f"{folder}/log")
        if not wait_for(lambda: not self.process.alive() or os.path.exists(self.socket_path)) or not self.process.alive():
            raise RuntimeError(f"the service behind auth_request does not start:\n{self.process.output()[-2000:]}")
