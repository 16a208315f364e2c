"""A private PostgreSQL on a Unix socket. The cluster is made once, kept under build/, and copied for each test."""

import contextlib
import csv
import fcntl
import glob
import hashlib
import io
import os
import re
import shutil
import signal
import subprocess
import tempfile

from . import places
from .process import Process, children_of, need, read, running, wait_for
from .tap import bail_out

SETTINGS = """
listen_addresses = ''
fsync = off
synchronous_commit = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
shared_buffers = 16MB
max_connections = 60
autovacuum = off
jit = off
log_min_messages = warning
unix_socket_permissions = 0777
"""


def bin_dir():
    found = os.environ.get("TEST_PG_BIN")
    versions = glob.glob("/usr/lib/postgresql/*/bin/initdb")
    if not found and not versions:
        bail_out("no initdb under /usr/lib/postgresql (apt install postgresql, or set TEST_PG_BIN)")
    return found or os.path.dirname(max(versions, key=lambda path: int(path.split("/")[4])))


def as_server_user():
    """PostgreSQL refuses to run as root."""
    return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}


def run(argv, **options):
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout


class Postgres:
    database = "apikey"

    def __init__(self, folder, migrated=True):
        self.folder, self.data, self.log_path = folder, f"{folder}/data", f"{folder}/postgres.log"
        self.process = None
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        copy(migrated_template() if migrated else plain_template(), self.data)
        self.start()

    @property
    def dsn(self):
        """A superuser's connection string."""
        return f"host={self.folder} user=postgres dbname={self.database}"

    def __str__(self):
        return self.dsn

    def start(self):
        need(f"{bin_dir()}/postgres", "postgres", "apt install postgresql")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self.data}/postmaster.pid")
        self.process = Process("postgres", [f"{bin_dir()}/postgres", "-D", self.data, "-k", self.folder],
                               self.log_path, user="postgres", death_signal="INT")
        ready = wait_for(lambda: not self.process.alive() or
                         re.search(r"^(ready|standby)", read(f"{self.data}/postmaster.pid"), re.M), 30)
        if not ready or not self.process.alive():
            raise RuntimeError(f"PostgreSQL does not start:\n{read(self.log_path)[-2000:]}")

    def stop(self):
        self.process.stop(signal.SIGINT, 20)

    def kill(self):
        """As a crash: the next start() recovers. Its backends end by themselves, which that would not wait for."""
        backends = children_of(self.process.pid)
        self.process.kill()
        wait_for(lambda: not any(running(backend) for backend in backends))

    def make_standby(self, folder):
        """One that streams from this one, which is restarted for it; in `folder`."""
        with open(f"{self.data}/postgresql.conf", "a", encoding="ascii") as conf:
            conf.write("wal_level = replica\nmax_wal_senders = 4\n")
        self.restart()
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        run([f"{bin_dir()}/pg_basebackup", "-h", self.folder, "-U", "postgres", "-D", f"{folder}/data", "-R", "-c", "fast", "--no-sync"],
            cwd=folder, **as_server_user())
        return Standby(folder)

    def restart(self):
        self.stop()
        self.start()

    def sql(self, statement, dsn=None):
        """Runs it with psql (several statements are one script); the rows as lists of text, NULL as None."""
        text = run([f"{bin_dir()}/psql", "-X", "-q", "-t", "--csv", "-v", "ON_ERROR_STOP=1", "-P", "null=<NULL>",
                    "-d", dsn or self.dsn, "-c", statement])
        return [[None if field == "<NULL>" else field for field in row] for row in csv.reader(io.StringIO(text))]

    def value(self, statement, dsn=None):
        """The only value of the only row."""
        (row,) = self.sql(statement, dsn)
        return row[0]

    def connect(self, dsn=None):
        """A connection that stays open (psycopg2, autocommit): for loops and open transactions."""
        import psycopg2                                # pylint: disable=import-outside-toplevel
        connection = psycopg2.connect(dsn or self.dsn)
        connection.autocommit = True
        return connection

    def everything(self):
        """All rows of the database as text."""
        return run([f"{bin_dir()}/pg_dump", "-a", "-E", "UTF8", "-d", self.dsn])


class Standby(Postgres):
    """Where it is behind: `.sql("SELECT pg_wal_replay_pause()")`."""

    def __init__(self, folder):                            # pylint: disable=super-init-not-called
        self.folder, self.data, self.log_path = folder, f"{folder}/data", f"{folder}/postgres.log"
        self.process = None
        self.start()

    def has(self, primary):
        """Whether it has replayed all that `primary` has committed."""
        return self.value(f"SELECT pg_last_wal_replay_lsn() >= '{primary.value('SELECT pg_current_wal_insert_lsn()')}'") == "t"


# --- the templates ----------------------------------------------------------------------------------------------

def plain_template():
    """A fresh cluster with an empty database."""
    version = run([f"{bin_dir()}/postgres", "--version"]).split()[2]
    return made_once(f"plain-{version}-{hashlib.sha256(SETTINGS.encode()).hexdigest()[:8]}", make_plain)


def migrated_template():
    """The same after `apikeyctl migrate`; made anew when a migration or apikeyctl changes."""
    tool = need(str(places.BUILD / "apikeyctl"), "apikeyctl", places.MAKE_HINT)
    facts = [path.read_bytes() for path in sorted(places.MIGRATIONS.glob("*.sql"))]
    facts += [str(os.stat(tool).st_mtime_ns).encode(), os.path.basename(plain_template()).encode()]
    return made_once(f"migrated-{hashlib.sha256(b''.join(facts)).hexdigest()[:16]}", make_migrated)


def made_once(name, make):
    shelf = f"{places.BUILD}/pg-template"
    os.makedirs(shelf, exist_ok=True)
    path, kind = f"{shelf}/{name}", name.partition("-")[0]
    with open(f"{shelf}/{kind}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(path):
            for old in glob.glob(f"{shelf}/{kind}-*"):
                shutil.rmtree(old)
            # Made in a temporary folder: the server's user may not be able to enter ours.
            with tempfile.TemporaryDirectory(prefix="apikey-pg-", ignore_cleanup_errors=True) as work:
                os.chmod(work, 0o755)
                make(work)
                copy(f"{work}/data", f"{path}.new")
            os.rename(f"{path}.new", path)
    return path


def make_plain(work):
    if os.geteuid() == 0:
        shutil.chown(work, "postgres", "postgres")
    run([f"{bin_dir()}/initdb", "-D", f"{work}/data", "-U", "postgres", "-A", "trust", "-E", "UTF8",
         "--locale=C.UTF-8", "--no-sync", "--no-instructions", "--wal-segsize=1"], cwd=work, **as_server_user())
    with open(f"{work}/data/postgresql.conf", "a", encoding="ascii") as conf:
        conf.write(SETTINGS)
    run([f"{bin_dir()}/postgres", "--single", "-D", f"{work}/data", "postgres"], cwd=work,
        input=f"create database {Postgres.database};\n", **as_server_user())


def make_migrated(work):
    server = Postgres(work, migrated=False)
    try:
        run([str(places.BUILD / "apikeyctl"), "migrate", "--postgres", server.dsn])
    finally:
        server.stop()


def copy(source, target):
    run(["cp", "-a", source, target])
    if os.geteuid() == 0:
        run(["chown", "-R", "postgres:postgres", target])
