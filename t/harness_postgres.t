#!/usr/bin/python3
# The harness starts a PostgreSQL of its own from a cluster made once, which takes well under a second.

import os
import time

from lib.apikeytest import Test
from lib.apikeytest.postgres import plain_template

with Test() as t:
    t.postgres(migrated=False).stop()      # the first on a machine makes the cluster
    made = os.stat(plain_template()).st_ctime_ns
    began = time.monotonic()
    pg = t.postgres(migrated=False)
    t.note(f"started in {time.monotonic() - began:.2f} s")
    t.is_(os.stat(plain_template()).st_ctime_ns, made, "the cluster is made once")

    pg.sql("create table x (a int, b text); insert into x values (1, 'one'), (2, null), (3, E'a,\"b\\nc')")
    t.is_(pg.sql("select * from x order by a"), [["1", "one"], ["2", None], ["3", 'a,"b\nc']], "rows")
    t.is_(pg.value("select count(*) from x"), "3", "a value")
    pg.restart()
    t.is_(pg.value("select count(*) from x"), "3", "the same after a restart")
    pg.kill()
    pg.start()
    t.is_(pg.value("select 1"), "1", "back after a crash")
    with pg.connect().cursor() as cursor:
        cursor.execute("select 1")
        t.is_(cursor.fetchall(), [(1,)], "a connection that stays open")
    try:
        pg.sql("select nonsense")
        t.ok(False, "a wrong statement is an error")
    except RuntimeError as error:
        t.like(str(error), "nonsense", "a wrong statement is an error")
