"""Scripts of t/node/, with the packages of its package-lock.json, which are installed at their first use."""

import fcntl
import json
import shutil
import subprocess

from . import places
from .tap import bail_out, skip_all

FOLDER = places.REPO / "t" / "node"
PATIENCE = 60


def need(program):
    if shutil.which(program) is None:
        bail_out(f"{program} is missing (`make test` installs it; by hand: build-aux/install-packages packages-node)")


def install():
    """node_modules as the lock file has it. Without a way to the registry of npm the test is left out, and says so."""
    if refusal := install_into(FOLDER):
        skip_all(refusal)


def install_into(folder):
    """The packages of a folder's package-lock.json into its node_modules, unless they are there; why that failed, else None."""
    lock_file, installed = folder / "package-lock.json", folder / "node_modules" / ".installed"
    wanted = lock_file.read_text(encoding="utf-8")
    with open(lock_file, encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)   # somebody else does it
        if installed.exists() and installed.read_text(encoding="utf-8") == wanted:
            return None
        need("npm")
        done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-timeout=20000", "--fetch-retries=1"],
                              cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return "npm ci fails: " + " ".join(done.stderr.split())[-300:]
        installed.write_text(wanted, encoding="utf-8")
    return None


def run(script, given):
    """A script that reads JSON and writes JSON: what it wrote."""
    need("node")
    install()
    done = subprocess.run(["node", str(FOLDER / script)], input=json.dumps(given), capture_output=True, text=True, timeout=PATIENCE,
                          check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{script} ended with {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout)
