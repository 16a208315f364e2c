"""Asks apikeyd over its Unix socket, as nginx does (core/transfer/sidecar_protocol.hpp)."""

import base64
import socket

from .http1 import Connection, request_bytes


def base64url(text):
    data = text if isinstance(text, bytes) else text.encode()
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class UnixConnection(Connection):
    def __init__(self, path, timeout=20.0):               # pylint: disable=super-init-not-called
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(path)
        self._buffer = bytearray()

    def begun(self):
        """Waits until something of an answer has come, and keeps it for response()."""
        return bool(self._buffer) or self._more()


class Sidecar:
    """`user`, `secret`: who asks; None: it is not said."""

    def __init__(self, daemon, user="alice", secret=None):
        self.path, self.user, self.secret = daemon.socket_path, user, secret

    def connect(self, **options):
        return UnixConnection(self.path, **options)

    def request(self, path, user=None, method="GET", headers=(), body=b""):
        """The bytes of a request."""
        who = user or self.user
        fields = [("Apikey-User", base64url(who))] if who is not None else []
        fields += [("Apikey-Secret", base64url(self.secret))] if self.secret is not None else []
        return request_bytes(method, path, headers=[*fields, *headers], body=body)

    def begin(self, path, **options):
        """A connection on which this is asked; its answer is not read."""
        connection = self.connect()
        connection.send(self.request(path, **options))
        return connection

    def get(self, path, method="GET", **options):
        with self.begin(path, method=method, **options) as connection:
            return connection.response(method)

    def post(self, path, body, **options):
        return self.get(path, method="POST", body=body, **options)


def fill_usage(pg, rows, user="alice"):
    """So many rows of usage, about 50 bytes each in CSV."""
    pg.sql(f"INSERT INTO usage_records (user_id, key_id, bucket, endpoint, model, status, requests) "
           f"SELECT '{user}', '00000000-0000-4000-8000-000000000001', timestamptz '2026-01-01' + n * interval '1 second', "
           f"'/v1/chat/completions', 'gpt', 'success', 1 FROM generate_series(1, {rows}) AS n")


def backends(pg, where="state = 'active'"):
    """The pids of apikeyd's backends that read or write what is exported and imported."""
    return [row[0] for row in pg.sql(
        f"SELECT pid FROM pg_stat_activity WHERE application_name = 'apikeyd' AND pid <> pg_backend_pid() "
        f"AND query ~ 'usage_records|conversations' AND {where}")]
