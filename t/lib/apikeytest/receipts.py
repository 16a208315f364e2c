"""A client of Postgres that waits until its changes are in force, as an application may: LISTEN apikey_done."""

import secrets
import select
import time


class ReceiptClient:
    def __init__(self, postgres):
        self.connection = postgres.connect()
        self.cursor = self.connection.cursor()
        self.cursor.execute("LISTEN apikey_done")
        self.committed = None                          # time.monotonic() of the last commit

    def commit(self, statements):
        """Commits them under a new receipt, which it returns."""
        receipt = secrets.randbits(62) + 1
        self.cursor.execute(f"BEGIN; SET LOCAL apikey.receipt = '{receipt}'; {statements}; COMMIT")
        self.committed = time.monotonic()
        return receipt

    def wait(self, receipt, timeout=10):
        """What apikeyd says about it, "confirmed/expected", or None."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            self.connection.poll()
            while self.connection.notifies:
                words = self.connection.notifies.pop(0).payload.split()
                if words[:2] == ["done", str(receipt)]:
                    return words[2]
            select.select([self.connection], [], [], 0.1)
        return None

    def change(self, statements, timeout=10):
        """(seconds from the commit, "confirmed/expected")"""
        figures = self.wait(self.commit(statements), timeout)
        return time.monotonic() - self.committed, figures
