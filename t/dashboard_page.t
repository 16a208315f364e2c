#!/usr/bin/python3
# The page as it is served: small, under a policy that lets it run nothing but its own script and ask nobody else, in nobody's frame; its TypeScript has no mistakes, axe-core finds nothing
# serious in any view, light, dark and on a phone; and a site that knows its users by other means needs no key for it.
# Hazards: V17

import base64
import gzip
import os
import subprocess

from lib.apikeytest import Test, node, places
from lib.apikeytest.dashboard import Dashboard

FOLDER = places.REPO / "dashboard"
POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
OWN = """
        location /own/dashboard/ { auth_basic "Accounts"; auth_basic_user_file %DIR%/users; alias %PAGE%/; types { text/html html; text/css css; text/javascript js; } }
        location /own/api/api-keys { auth_basic "Accounts"; auth_basic_user_file %DIR%/users; api_key_user $remote_user; api_key_manage; }
        location /own/api/export/usage { auth_basic "Accounts"; auth_basic_user_file %DIR%/users; api_key_user $remote_user; api_key_export usage; }
"""
PHONE = {"viewport": {"width": 390, "height": 844}, "isMobile": True, "hasTouch": True}

with Test(limit=240) as t:
    if refusal := node.install_into(FOLDER):
        t.bail_out(refusal)
    checked = subprocess.run(["npx", "--no-install", "tsc", "--noEmit"], cwd=FOLDER, capture_output=True, text=True, timeout=100, check=False)
    t.is_((checked.returncode, checked.stdout), (0, ""), "the page's TypeScript has no mistakes")
    files = sorted(os.listdir(places.BUILD / "dashboard"))
    t.is_(files, ["icon.svg", "index.html", "page.css", "page.js"], "its files")
    sizes = {file: len(gzip.compress((places.BUILD / "dashboard" / file).read_bytes())) for file in files}
    t.ok(sum(sizes.values()) <= 80_000, f"the whole page has {sum(sizes.values())} bytes by gzip, of 80,000", sizes)

    own = t.new_folder("own")                   # the same page for the other place of the API
    for file in files:
        text = (places.BUILD / "dashboard" / file).read_bytes().replace(b'content="/api"', b'content="/own/api/"')
        with open(f"{own}/{file}", "wb") as copy:
            copy.write(text)
    with Dashboard(t, OWN.replace("%PAGE%", own)) as m:
        with open(f"{m.nginx.folder}/users", "w", encoding="ascii") as users:
            users.write("carol:{PLAIN}secret\n")

        # --- what is sent ---
        for file, kind in (("", "text/html"), ("page.js", "text/javascript"), ("page.css", "text/css"), ("icon.svg", "image/svg+xml"), ("nothing", None)):
            r = m.nginx.get(f"/dashboard/{file}")
            t.is_((r.status, r.header("Content-Security-Policy"), r.header("X-Content-Type-Options"), r.header("Referrer-Policy"), r.header("Cross-Origin-Opener-Policy")),
                  (200 if kind else 404, POLICY, "nosniff", "no-referrer", "same-origin"), f"{file or 'the page'}: its policy")
            if kind:
                t.is_((r.header("Content-Type"), r.header("Cache-Control")), (kind, "no-cache"), "its type, and that it is asked for again")
        t.is_((m.nginx.get("/dashboard").status, m.nginx.get("/dashboard").header("Location")), (301, "/dashboard/"), "without the slash")
        html = m.nginx.get("/dashboard/").text
        t.unlike(html, r"<script(?![^>]* src=)|style=|<style|\son\w+=|https?://", "nothing inline, nothing of another host")
        framed = m.browser.tab()
        framed.goto(f"http://127.0.0.1:{m.nginx.port}/pid")
        framed.setContent(f"<iframe src='{m.url}'></iframe>")
        t.ok(framed.until("document.querySelector('iframe').contentDocument === null"), "nobody shows it in a frame")
        m.browser.tell("forgive")                # it complained of that

        # --- everybody ---
        key_id, alice = m.key("alice", name="laptop")
        for number in range(4):
            m.made(alice, f"key {number}", scopes=["chat:write", "usage:read"] if number % 2 else None, expiresAt="2999-01-01" if number > 1 else None)
        m.ask("DELETE", m.made(alice, "old")["id"], alice)
        m.pg.sql(f"""INSERT INTO usage_records (user_id, key_id, bucket, endpoint, model, status, requests, tokens_in, cost) SELECT 'alice', '{key_id}', now() - n * interval '1 day', '/v1/' || n, 'm', 'success', n, n, n
            FROM generate_series(0, 20) n; INSERT INTO conversations (user_id, id, title) VALUES ('alice', 'c', 'Talk')""")
        for how, options in (("light", {"colorScheme": "light"}), ("dark", {"colorScheme": "dark"}), ("phone", PHONE)):
            tab = m.tab(**options)

            def sound(view):
                """axe-core has nothing to say, and nothing is wider than the screen."""
                serious = [found for found in tab.axe() if found["impact"] in ("serious", "critical")]
                t.is_(serious, [], f"{how}, {view}: axe-core finds nothing serious")
                t.is_(tab.evaluate("document.documentElement.scrollWidth - innerWidth"), 0, "and nothing is wider than the screen")

            tab.shows("#key")
            sound("signing in")
            m.sign_in(tab, alice)
            tab.shows("text=key 3")
            sound("keys")
            for button in ("Create key", "Rename key 3", "Rotate key 3", "Revoke key 3"):
                tab.click(f"role=button[name='{button}']")
                tab.shows("dialog")
                sound(button)
                tab("keyboard.press", "Escape")
                tab.lacks("dialog")
            for view, there in (("Usage", ".totals"), ("Conversations", "text=Talk"), ("Activity", "role=row[name=/The operator/]")):
                tab.click(f"role=link[name='{view}']")
                tab.shows(there)
                sound(view)
            tab.click("role=link[name='Usage']")
            tab.shows(".totals")
            tab.click("role=button[name='Import']")
            tab.shows("dialog")
            sound("import")

        # --- a site that knows its users itself ---
        tab = m.browser.tab(httpCredentials={"username": "carol", "password": "secret"})
        tab.goto(f"http://127.0.0.1:{m.nginx.port}/own/dashboard/")
        t.ok(tab.shows("role=heading[name='Your API keys']"), "nobody is asked for a key")
        t.like(tab.text("header"), r"carol\s*$", "the page knows who it is; to sign out is the site's own matter")
        tab.click("role=button[name='Create key']")
        tab.fill("#name", "hers")
        tab.click("dialog >> role=button[name='Create key']")
        tab.shows("#made")
        made = t.secret(tab.inputValue("#made"))
        t.is_((m.nginx.get("/", made).status, m.audit("user_id = 'carol'")), (200, [["carol", "hers", "created", "carol", "api"]]), "and makes a key of hers")
        basic = {"Authorization": "Basic " + base64.b64encode(b"carol:wrong").decode()}
        t.is_(m.nginx.get("/own/api/api-keys", headers=basic).status, 401, "with her password alone")
