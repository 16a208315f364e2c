#!/usr/bin/python3
# Keys are managed in a table that an application owns: its rules refuse a change with 409, its locks and deadlocks only make it wait, and nothing of SQL is told.
# Hazards: G4, V19

import threading
import time

from lib.apikeytest import Test
from lib.apikeytest.management import Management

with Test() as t:
    m = Management(t)
    first_id, alice = m.key("alice")
    other = m.made(alice, "other")
    m.pg.sql("""ALTER TABLE api_keys ADD CONSTRAINT theirs CHECK (name <> 'secret rule'); CREATE UNIQUE INDEX ON api_keys (name) WHERE name = 'once';
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN IF NEW.name = 'raised' THEN RAISE EXCEPTION 'secret rule'; END IF;
            IF length(NEW.name) > 40 THEN RAISE EXCEPTION 'secret rule' USING ERRCODE = 'string_data_right_truncation'; END IF; RETURN NEW; END $f$;
        CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON api_keys FOR EACH ROW EXECUTE FUNCTION refuse()""")
    t.is_(m.ask("POST", "", alice, {"name": "once"}).status, 201, "what the rules allow is made")
    before = m.pg.sql("SELECT id, name FROM api_keys ORDER BY id")
    for name in ("secret rule", "x" * 41, "once", "raised"):
        for method, path in (("POST", ""), ("PATCH", other["id"])):
            r = m.ask(method, path, alice, {"name": name})
            t.is_((r.status, r.code), (409, "refused_by_the_table"), f"{method} {name[:20]}: refused by a rule of the table")
            t.unlike(r.text, "secret rule|theirs|varchar|SQL|ERROR", "and nothing of it is told")
    t.is_(m.pg.sql("SELECT id, name FROM api_keys ORDER BY id"), before, "nothing was changed")

    # --- a lock ---
    connection = m.pg.connect()
    cursor = connection.cursor()
    cursor.execute(f"BEGIN; UPDATE api_keys SET name = 'held' WHERE id = '{other['id']}'")
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(m.ask("PATCH", other["id"], alice, {"name": "waited"})))
    waiting.start()
    time.sleep(0.5)
    cursor.execute("COMMIT")
    waiting.join()
    t.is_((answers[0].status, answers[0].json["name"]), (200, "waited"), "a row that somebody holds is waited for")
    cursor.execute(f"BEGIN; UPDATE api_keys SET name = 'held' WHERE id = '{other['id']}'")
    r = m.ask("PATCH", other["id"], alice, {"name": "too long"})
    t.is_((r.status, r.code), (503, "service_unavailable"), "not for ever")
    cursor.execute("ROLLBACK")

    # --- a deadlock: the application holds what is rotated, and wants the row of the key that asks ---
    cursor.execute(f"SET deadlock_timeout = '20s'; BEGIN; UPDATE api_keys SET name = 'theirs' WHERE id = '{other['id']}'")
    waiting = threading.Thread(target=lambda: answers.append(m.ask("POST", f"{other['id']}/rotate", alice)))
    waiting.start()
    time.sleep(0.3)
    cursor.execute(f"UPDATE api_keys SET name = 'asker' WHERE id = '{first_id}'; COMMIT")
    waiting.join()
    t.is_((answers[-1].status, answers[-1].json.get("name")), (201, "theirs"), "who gives way tries again")
    t.is_(m.pg.value("SELECT count(*) FROM api_keys WHERE name = 'theirs'"), "2", "and does it once")
    connection.close()
