"""Scripts of t/node/, with the packages of its package-lock.json, which are installed at their first use."""

import json
import shutil
import subprocess

from . import places
from .tap import bail_out, skip_all

FOLDER = places.REPO / "t" / "node"
PATIENCE = 60


def need(program, packages="packages-node"):
    if shutil.which(program) is None:
        bail_out(f"{program} is missing (`make test` installs it; by hand: build-aux/install-packages {packages})")


def install():
    """node_modules as the lock file has it. Without a way to the registry of npm the test is left out, and says so."""
    if refusal := install_into(FOLDER):
        skip_all(refusal)


def install_into(folder):
    """The packages of a folder's package-lock.json into its node_modules, unless they are there; why that failed, else None."""
    need("npm")
    done = subprocess.run([places.REPO / "build-aux" / "npm-packages", folder], capture_output=True, text=True, check=False)
    return "npm ci fails: " + " ".join(done.stderr.split())[-300:] if done.returncode != 0 else None


def run(script, given):
    """A script that reads JSON and writes JSON: what it wrote."""
    need("node")
    install()
    done = subprocess.run(["node", str(FOLDER / script)], input=json.dumps(given), capture_output=True, text=True, timeout=PATIENCE,
                          check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{script} ended with {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout)
