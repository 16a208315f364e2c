#!/usr/bin/python3
# The dashboard's Usage, Conversations and Activity tabs in a real browser: sums are the API's, files that are exported are the API's byte for byte, imports show first what they
# would do, an export can be cancelled, one that breaks off saves nothing.
# Hazards: D3, D5

import json
import os

from lib.apikeytest import Test
from lib.apikeytest.dashboard import Dashboard

BIG = 9_007_199_254_740_993                     # no double is this number
USAGE = "/api/export/usage"


def rest_of(text):
    """An export without when it was made."""
    document = json.loads(text)
    document.pop("exportDate", None)
    return document


with Test(limit=240) as t, Dashboard(t) as m:
    key_id, alice = m.key("alice", name="laptop")
    m.pg.sql(f"""INSERT INTO usage_records (user_id, key_id, bucket, endpoint, model, status, requests, tokens_in, tokens_out, cost)
            SELECT 'alice', '{key_id}', date_trunc('day', now()) - n * interval '1 day', '/v1/' || n % 12, CASE n % 3 WHEN 0 THEN '' ELSE 'gpt-' || n % 3 END,
            CASE n % 5 WHEN 0 THEN 'error' ELSE 'success' END, n, n * 10, n, n * 0.000000000001 FROM generate_series(1, 60) n;
        INSERT INTO usage_records (user_id, key_id, bucket, endpoint, model, status, requests, tokens_in) VALUES ('alice', '{key_id}', now(), '<b>=1+1</b>', 'big', 'success', 1, {BIG}),
            ('bob', gen_random_uuid(), now(), '/bob', 'bob', 'success', 1000000, 1);
        INSERT INTO conversations (user_id, id, title, model, created_at) SELECT 'alice', 'c' || n, 'Talk ' || n, 'gpt', now() - n * interval '1 day' FROM generate_series(1, 60) n;
        INSERT INTO messages (user_id, id, conversation_id, position, role, content) SELECT 'alice', 'm' || n, 'c1', n, 'user', 'hello ' || n FROM generate_series(1, 3) n""")
    api = lambda path: m.nginx.get(path, alice)
    files = t.new_folder("files")
    tab = m.signed_in(alice, "usage")
    t.ok(tab.shows(".totals"), "totals")

    def shown_query(selector):
        """The parameters that the page itself has asked with last."""
        tab.shows(selector)
        tab.until("!document.querySelector('[aria-busy=true]')")
        address = [each for each in m.browser.seen()["addresses"] if "summary" in each][-1]
        return "&".join(part for part in address.partition("?")[2].split("&") if not part.startswith("groupBy"))

    def agrees(what):
        """What is shown is what the API says; the query of both."""
        query = shown_query(".totals")
        total = json.loads(api(f"{USAGE}/summary?{query}").body, parse_float=str, parse_int=str)["total"]
        cards = [line.replace(",", "") for line in tab.text(".totals").split("\n")]
        t.ok(total["requests"] in cards and str(int(total["tokensIn"]) + int(total["tokensOut"])) in cards and total["cost"] in cards, f"{what}: the totals are the API's", total, cards)
        return query

    query = agrees("30 days")
    t.like(tab.text(".totals"), f"{BIG + 4_785:,}", "to the last digit")
    t.unlike(tab.text(), "bob", "nothing of another user")
    t.is_(tab.evaluate("[document.querySelectorAll('.uplot canvas').length, document.querySelectorAll('.chart tbody tr').length]"), [1, 30], "a chart of 30 days, and the same as a table")
    for title, lines in (("By endpoint", 13), ("By model", 4), ("By key", 1)):
        text = tab.text(f"section[aria-label='{title}']")
        t.ok(lines <= 8 or f"Show all {lines}" in text, f"{title}: {lines} lines", text)
    t.ok("laptop" in tab.text("section[aria-label='By key']") and "(none)" in tab.text("section[aria-label='By model']"), "keys by their names")
    t.ok("<b>=1+1</b>" in tab.text("section[aria-label='By endpoint']") or tab.click("section[aria-label='By endpoint'] >> text=Show all") is None, "all of them")
    t.like(tab.text("section[aria-label='By endpoint']"), r"<b>=1\+1</b>", "whatever they are called")

    # --- chosen ---
    tab.click("role=button[name=/^Cost/]")
    t.ok(tab.shows("role=button[name=/^Cost/][pressed=true]"), "another figure is drawn")
    tab.click("role=button[name='90 days']")
    t.isnt(agrees("90 days"), query, "another range is asked for")
    tab.selectOption("label:has-text('Endpoint') select", "/v1/7")
    tab.selectOption("label:has-text('Outcome') select", "success")
    tab.selectOption("label:has-text('Key') select", key_id)
    tab.until("document.querySelector(\"section[aria-label='By endpoint']\")?.innerText.split('/v1/').length === 2")
    query = agrees("filtered")
    t.like(query, r"endpoint=%2Fv1%2F7&keyId=.*status=success|endpoint=%2Fv1%2F7.*status=success", "by what was chosen")

    # --- exported ---
    for kind in ("CSV", "JSON"):
        name = tab.download(f"role=button[name='Export {kind}']", f"{files}/{kind}")
        r = api(f"{USAGE}?format={kind.lower()}&{query}")
        with open(f"{files}/{kind}", encoding="utf-8") as file:
            text = file.read()
        t.is_(text if kind == "CSV" else rest_of(text), r.text if kind == "CSV" else rest_of(r.text), f"{kind}: exactly what is filtered, as the API gives it")
        t.ok(text.count("\n") > 2 and f'"{name}"' in r.header("Content-Disposition"), "under the API's name", name)
        t.ok(tab.shows(f"role=status >> text={name} is saved"), "and that it is saved is said")

    # --- nothing there ---
    tab.click("role=button[name='Today']")
    t.ok(tab.shows("text=Nothing fits these filters"), "no usage: said so")
    tab.click("role=button[name='Clear filters']")
    t.ok(tab.shows(".totals"), "filters are cleared")
    tab.click("role=button[name='12 months']")
    tab.until("document.querySelectorAll('.chart tbody tr').length === 12")
    agrees("12 months, a bar for each")

    # --- cancelled, broken off ---
    m.pg.sql(f"""INSERT INTO usage_records (user_id, key_id, bucket, endpoint, model, status, requests) SELECT 'alice', '{key_id}', now() - n * interval '1 second', '/many/' || n, 'm', 'success', 1
        FROM generate_series(1, 300000) n""")
    tab.click("role=button[name='Export JSON']")
    t.ok(tab.shows(".transfer >> text=/MB|kB/"), "a large export says how far it is")
    tab.click(".transfer >> role=button[name='Cancel']")
    t.ok(tab.shows("text=The export was cancelled; nothing was saved."), "cancelled: nothing is saved")
    tab.click("role=button[name='Export JSON']")
    tab.shows(".transfer >> text=/MB|kB/")
    m.pg.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'apikeyd' AND query LIKE 'COPY%'")
    t.ok(tab.shows("text=broke off before its end"), "broken off: nothing is saved, and it says so")
    m.pg.sql("DELETE FROM usage_records WHERE endpoint LIKE '/many/%'")

    # --- imported ---
    with open(f"{files}/new.csv", "w", encoding="utf-8") as file:
        file.write("date,endpoint,requests,tokens,cost,model,status\n2026-01-05,/imported,3,4,0.5,gpt,success\n2026-01-06,/imported,1,1,0.25,gpt,error\n")
    with open(f"{files}/bad.csv", "w", encoding="utf-8") as file:
        file.write("date,endpoint,requests,tokens,cost,model,status\n2026-01-05,/imported,x,4,0.5,gpt,success\n")
    count = lambda: m.pg.value("SELECT count(*) FROM usage_records WHERE source = 'import'")
    tab.click("role=button[name='Import']")
    tab.setInputFiles("#file", f"{files}/bad.csv")
    t.ok(tab.shows("dialog >> text=Nothing was imported"), "a file that is wrong: said so")
    t.like(tab.text("dialog"), r"requests", "in which row and field")
    tab.setInputFiles("#file", f"{files}/new.csv")
    t.ok(tab.shows("dialog >> text=2 rows will be imported."), "one that is good: what it would do")
    t.is_(count(), "0", "which is not done yet")
    tab.click("dialog >> role=button[name='Import']")
    t.ok(tab.shows("role=status >> text=2 rows imported, 0 rows skipped."), "imported")
    t.is_(count(), "2", "as it said")
    tab.click("role=button[name='Import']")
    tab.setInputFiles("#file", f"{files}/new.csv")
    t.ok(tab.shows("dialog >> text=There is nothing new in it."), "the same file again: nothing new")
    tab.click("dialog >> role=button[name='Close']")

    # --- conversations ---
    tab.click("role=link[name='Conversations']")
    t.ok(tab.shows("text=Talk 50"), "conversations, the latest first")
    t.is_(tab.evaluate("document.querySelectorAll('tbody tr').length"), 50, "a page of them")
    tab.click("role=button[name='Show more']")
    tab.until("document.querySelectorAll('tbody tr').length === 60")
    t.like(tab.text("tr:has-text('Talk 1') >> nth=0"), r"3", "with how many messages")
    tab.download("role=button[name='Export Talk 1']", f"{files}/one.json")
    tab.download("role=button[name='Export JSON']", f"{files}/all.json")
    for file, path in (("one.json", "?conversationId=c1"), ("all.json", "")):
        with open(f"{files}/{file}", encoding="utf-8") as exported:
            t.is_(rest_of(exported.read()), rest_of(api(f"/api/export/conversations{path}").text), f"{file}: as the API gives it")
    m.pg.sql("DELETE FROM conversations WHERE id = 'c1'")
    tab.click("role=button[name='Import']")
    tab.setInputFiles("#file", f"{files}/all.json")
    t.ok(tab.shows("dialog >> text=1 conversation will be imported."), "what was exported can be brought back")
    tab.click("dialog >> role=button[name='Import']")
    t.ok(tab.shows("role=status >> text=1 conversation imported, 59 conversations skipped."), "and is")
    t.is_(m.pg.value("SELECT count(*) FROM messages"), "3", "with its messages")

    # --- activity ---
    made = m.made(alice, "spare", scopes=["chat"])
    m.ask("PATCH", made["id"], alice, {"name": "renamed"})
    m.ask("DELETE", made["id"], alice)
    tab.click("role=link[name='Activity']")
    t.ok(tab.shows("role=row[name=/Revoked.*renamed.*You, by a key.*127.0.0.1/]"), "what was done, to which key, by whom, from where")
    t.ok(tab.shows("role=row[name=/Renamed.*spare → renamed/]"), "and what was changed")
    t.ok(tab.shows("role=row[name=/Created.*laptop.*The operator of this site/]"), "by the operator, too")
    t.is_(sorted(os.listdir(files)), ["CSV", "JSON", "all.json", "bad.csv", "new.csv", "one.json"], "nothing else was saved")
