"""The oracle's client for very many requests (tests/bulk_client), as one of its kinds of clients: a program that holds each answer
against whose key was sent by itself, and leaves to the ledger what keys that change were answered."""

import collections
import subprocess
import tempfile
import time

from .oracle_clients import text_of
from .places import BUILD
from .process import need

PROGRAM = str(BUILD / "bulk_client")


class BulkClient:
    def __init__(self, job):
        self.job = job

    def run(self):
        """As Client.run()."""
        with tempfile.TemporaryDirectory(prefix="apikey-bulk-") as folder:
            keys, records = f"{folder}/keys", f"{folder}/records"
            self.write_keys(keys)
            done = subprocess.run(
                [need(PROGRAM, "bulk_client", "run `ninja -C build bulk_client`"), "--keys", keys, "--records", records,
                 "--port", str(self.job.port), "--connections", str(self.job.connections), "--requests", str(self.job.requests),
                 "--seconds", f"{max(0.0, self.job.deadline - time.monotonic()):.3f}", "--seed", self.job.seed,
                 "--leaves", str(self.job.abort_chance)], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise RuntimeError(f"bulk_client: {done.stderr}")
            return *read_report(done.stdout), read_records(records)

    def write_keys(self, path):
        with open(path, "w", encoding="ascii") as file:
            for kind in ("steady", "changing", "bogus"):
                keys = self.job.keys if kind == "steady" else getattr(self.job, kind)
                file.writelines(f"{kind}\t{key.key}\t{key.id}\t{text_of(key)}\n" for key in keys)


def read_report(text):
    """(what the answers were, examples of bad ones)"""
    tally, examples = collections.Counter(), []
    for line in text.splitlines():
        name, _, value = line.partition("\t")
        if name == "example":
            examples.append(value)
        else:
            tally[name] += int(value)
    return tally, examples


def read_records(path):
    with open(path, encoding="latin-1") as file:
        lines = [line.rstrip("\n").split("\t") for line in file]
    return [(key, float(asked), float(answered), text or None) for key, asked, answered, text in lines]
