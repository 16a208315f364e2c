#!/usr/bin/python3
# Postgres dies in the midst of apikeyctl export: exit status 1, no file under the name asked for, and for CSV what is complete is kept, with the command that fetches the rest.
# Hazards: G8, G11

import os
import re
import shlex
import signal
import stat
import subprocess
import threading

from lib.apikeytest import Test, places, wait_for
from lib.apikeytest.apikeyd import apikeyctl

DATES, LINES = 3000, 60

with Test() as t:
    pg = t.postgres()
    config = t.apikeyd(pg.dsn.replace("user=postgres", "user=apikeyd"), t.redis(), wait=None).config
    pg.sql(f"""INSERT INTO usage_records (user_id, key_id, bucket, endpoint, model, status, requests)
        SELECT 'it''s alice', gen_random_uuid(), '2026-11-01'::timestamptz + d * interval '1 minute', E'/a\\n2026-11-01T00:00:00Z,' || n, '', 'success', n
        FROM generate_series(1, {DATES}) d, generate_series(1, {LINES}) n""")
    folder = t.new_folder("out")
    tool = str(places.BUILD / "apikeyctl")
    base = ["--config", config, "export", "usage", "--user", "it's alice"]

    def content(path):
        with open(path, encoding="utf-8", newline="") as file:
            return file.read()

    def run_and_kill(path, *args, at):
        """Ends Postgres when `at` bytes are there; the exit status and what was said."""
        process = subprocess.Popen([tool, *base, *args, "-o", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        size = lambda: os.path.getsize(f"{path}.part") if os.path.exists(f"{path}.part") else 0      # noqa: E731
        wait_for(lambda: size() >= at or process.poll() is not None)
        process.send_signal(signal.SIGSTOP)
        t.ok(not os.path.exists(path) and size() > 0, "meanwhile it is FILE.part")
        pg.kill()
        process.send_signal(signal.SIGCONT)
        out, err = process.communicate(timeout=60)
        pg.start()
        t.is_((process.returncode, out, os.path.exists(path)), (1, "", False), "it fails, and there is no file")
        t.like(err, r"^apikeyctl: Postgres: .*\n\Z", "one line says why")
        return err

    whole = f"{folder}/whole.csv"
    apikeyctl(*base, "--format", "csv", "--to", "2026-11-30", "-o", whole)
    t.is_(sorted(os.listdir(folder)), ["whole.csv"], "a complete export leaves the file alone")
    path = f"{folder}/it's.csv"
    said = run_and_kill(path, "--format", "csv", "--to", "2026-11-30", at=1_000_000)
    kept, all_of_it = content(f"{path}.part"), content(whole)
    t.ok(0 < len(kept) < len(all_of_it) and all_of_it.startswith(kept), f"FILE.part holds the beginning ({len(kept)} of {len(all_of_it)} bytes)")
    dates = re.findall(r"^(2026-11-0\dT\d\d:\d\d:00Z),\"/a", kept, re.M)
    t.is_((len(dates) % LINES, len(dates) > 0), (0, True), "of whole dates")
    missing = re.search(r"has all up to (\S+), which is missing itself, as is everything after it to 2026-11-30\. The rest, with a header line again: apikeyctl (.*)\n", said)
    t.ok(missing, "what is missing is said", said)
    t.isnt(missing[1], dates[-1], "from the first date that is not there")
    apikeyctl(*shlex.split(missing[2]))
    t.is_(kept + content(f"{path}.rest").partition("\n")[2], all_of_it, "the command that is said fetches exactly the rest")
    code, _, err = apikeyctl(*base, "--format", "csv", "-o", path, status=None)
    t.is_((code, content(f"{path}.part")), (1, kept), "what was kept is not overwritten")
    t.like(err, r"\.part is there already", "but asked about")

    said = run_and_kill(f"{folder}/all.json", at=1_000_000)
    t.like(said, "nothing was kept of it", "half a JSON document is of no use")
    t.ok(not os.path.exists(f"{folder}/all.json.part"), "and is removed")
    apikeyctl(*base, "-o", whole)
    t.like(content(whole)[-30:], rf'"recordCount":{DATES * LINES}\}}\n\Z', "a file that is there is replaced at once, when the new one is complete")
    code, out, err = apikeyctl(*base, "-o", "/nowhere/x.csv", status=None)
    t.is_((code, out), (1, ""), "a folder that is not there")
    t.like(err, "/nowhere/x.csv.part: No such file", "is named")

    # --- what is no file stays what it is: root's -o /dev/null would put a file into its place ---
    pipe, read = f"{folder}/pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(content(pipe)))
    reader.start()
    apikeyctl(*base, "--format", "csv", "--to", "2026-11-30", "-o", pipe)
    reader.join(10)
    t.ok(stat.S_ISFIFO(os.stat(pipe).st_mode) and not os.path.exists(f"{pipe}.part"), "-o PIPE leaves it a pipe")
    t.is_(read, [all_of_it], "and writes to it")
