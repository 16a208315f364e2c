#!/usr/bin/python3
# The dashboard's API Keys tab in a real browser over the whole stack: sign in, make a key, use it with curl and see it, rename, rotate and revoke it; by keyboard
# alone, too, and from two tabs at once. Names of any kind are shown as they are.
# Hazards: C6, V5

import subprocess
import time

from lib.apikeytest import Test, wait_for
from lib.apikeytest.dashboard import Dashboard

NAMES = ['say "hi"', "<img src=x onerror=alert(1)>", "</script><script>alert(1)</script>", "it's; DROP TABLE api_keys; --", "\u202eright to left", "\u05de\u05e4\u05ea\u05d7 \u05e9\u05dc\u05d9",
         "\U0001f511 key", "a" * 200, "&amp; {{7*7}} ${x}", "  spaces  "]

with Test(limit=240) as t, Dashboard(t) as m:
    _, alice = m.key("alice")

    def curl(key):
        """The status that curl sees."""
        done = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-K", "-", f"http://127.0.0.1:{m.nginx.port}/"], input=f'header = "Authorization: Bearer {key}"\n',
                              capture_output=True, text=True, timeout=20, check=True)
        return int(done.stdout)

    def row(name):
        return f"tr:has-text('{name}')"

    def made_key(tab):
        """What the dialog shows, which is then closed."""
        t.ok(tab.shows("role=dialog[name='Here is your key']"), "the key is shown")
        key = t.secret(tab.inputValue("#made"))
        tab.click("role=button[name='I have copied it']")
        tab.lacks("dialog")
        return key

    tab = m.signed_in(alice)
    t.ok(tab.shows("role=row >> text=this session"), "the list has the key that was signed in with")
    t.is_(tab.evaluate("[sessionStorage.length, localStorage.length, document.cookie, location.href.includes('ia_')]"), [0, 0, "", False], "nothing of it is stored")

    # --- made ---
    tab.click("role=button[name='Create key']")
    t.ok(tab.shows("role=dialog[name='Create a key']"), "a dialog")
    t.is_(tab.evaluate("document.activeElement.id"), "name", "where one can type at once")
    tab.fill("#name", "laptop")
    tab.click("text=only this:")
    tab.click("role=checkbox[name=/usage:read/]")
    tab.fill("#more", "chat:write")
    tab.selectOption("#lives", "90")
    tab.click("dialog >> role=button[name='Create key']")
    t.ok(tab.shows("text=It is shown this once and never again"), "with a warning")
    t.ok(tab.shows("text=/In force (after \\d+ ms|at once)/"), "and that it is in force")
    tab.permissions("clipboard-read", "clipboard-write")
    tab.click("role=button[name='Copy']")
    t.ok(tab.shows("text=Copied."), "a button copies it")
    t.is_(tab.evaluate("navigator.clipboard.readText()"), tab.inputValue("#made"), "whole")
    for _ in range(4):
        tab("keyboard.press", "Escape")
    t.ok(tab.until("document.querySelector('dialog')?.matches(':modal') && !!document.querySelector('#made')"), "Escape does not take it away, however often")
    laptop = made_key(tab)
    text = tab.text(row("laptop"))
    t.like(text, r"chat:write(.|\n)*Never used(.|\n)*in (2|3) months(.|\n)*Active", "the list has it")
    t.ok("usage:read" in text and laptop[:12] in text and laptop not in tab.content(), "with its scopes and its first characters alone", text)

    # --- used ---
    t.is_(curl(laptop), 200, "curl uses it")
    wait_for(lambda: m.pg.value("SELECT count(last_used_at) FROM api_keys WHERE name = 'laptop'") == "1", 15)
    tab.click("role=button[name='Refresh']")
    t.ok(tab.shows(row("laptop") + " >> text=just now >> nth=1"), "and the list says when")
    t.like(tab.getAttribute(row("laptop") + " >> td[data-label='Last used'] time", "title"), r"\d{1,2} \w{3,4} 2\d{3}", "exactly, on hover")

    # --- renamed, rotated ---
    tab.click(row("laptop") + " >> role=button[name='Rename laptop']")
    t.is_(tab.inputValue("#name"), "laptop", "the old name stands there")
    tab.fill("#name", "x" * 201)
    tab.click("dialog >> role=button[name='Rename']")
    t.ok(tab.shows("dialog >> text=1 to 200 characters"), "what is too long is refused, clearly")
    tab.fill("#name", "x" * 5000)
    tab.click("dialog >> role=button[name='Rename']")
    t.ok(tab.shows("dialog >> text=1 to 200 characters"), "5,000 characters, too")
    tab.fill("#name", "desk")
    tab.click("dialog >> role=button[name='Rename']")
    t.ok(tab.shows("role=status >> text=Renamed to “desk”"), "renamed")
    t.ok(tab.shows(row("desk")), "and listed so")
    tab.click("role=button[name='Rotate desk']")
    tab.selectOption("#overlap", "0s")
    tab.click("role=button[name='Make the new key']")
    turned = made_key(tab)
    t.is_((curl(turned), wait_for(lambda: curl(laptop) == 401, 3)), (200, True), "rotated: the new key works, the old one has ended")
    t.ok(tab.shows(row("desk") + ":has-text('Expired')"), "which the list says")
    t.is_(m.pg.value("SELECT count(*) FROM idempotency_keys"), "2", "both were asked for so that a lost answer can be asked for again")

    # --- revoked ---
    tab.click(f"tr:has-text('{turned[:12]}') >> role=button[name='Revoke desk']")
    t.like(tab.text("dialog"), f"“desk” .*{turned[:12]}", "the question names the key")
    tab.click("role=button[name='Cancel']")
    t.is_(curl(turned), 200, "cancelled: nothing is done")
    tab.click(f"tr:has-text('{turned[:12]}') >> role=button[name='Revoke desk']")
    tab.click("role=button[name='Revoke it']")
    t.ok(tab.shows("role=status >> text=“desk” is revoked. In force"), "revoked")
    t.is_(curl(turned), 401, "the next request is refused")
    t.ok(tab.shows(f"tr:has-text('{turned[:12]}') >> text=Revoked"), "which the list says")

    # --- an answer that is lost ---
    tab.click("role=button[name='Create key']")
    tab.fill("#name", "lost")
    tab.selectOption("#lives", "30")
    tab.drop("**/api/api-keys", "POST")
    tab.click("dialog >> role=button[name='Create key']")
    t.ok(tab.shows("dialog >> text=The server cannot be reached"), "an answer that does not come")
    wait_for(lambda: m.pg.value("SELECT count(*) FROM api_keys WHERE name = 'lost'") == "1", 5)
    time.sleep(1.1)                                      # another second
    tab.click("dialog >> role=button[name='Create key']")
    lost = made_key(tab)
    t.is_((m.pg.value("SELECT count(*) FROM api_keys WHERE name = 'lost'"), curl(lost)), ("1", 200), "asked for again it is made once, and works")

    # --- the key of the session ---
    _, second = m.key("alice", name="second")
    own = m.signed_in(second)
    own.click("role=button[name='Rotate second']")
    own.selectOption("#overlap", "0s")
    own.click("role=button[name='Make the new key']")
    turned = made_key(own)
    own.click("role=button[name='Refresh']")
    t.ok(own.shows(f"tr:has-text('{turned[:12]}') >> text=this session"), "the session goes on with the key that replaced its own")
    own.click(f"tr:has-text('{turned[:12]}') >> role=button[name='Revoke second']")
    t.ok(own.shows("dialog >> text=You are signed in with this key"), "revoking that is asked about")
    own.click("role=button[name='Revoke it']")
    t.ok(own.shows("#key"), "and ends the session")
    own.close()

    # --- two tabs ---
    m.made(alice, "contested")
    other = m.signed_in(alice)
    for each in (tab, other):
        each.click("role=button[name='Refresh']")
        each.click("role=button[name='Revoke contested']")
    for each in (tab, other):
        each.click("role=button[name='Revoke it']")
    for each in (tab, other):
        t.ok(each.shows("role=status >> text=“contested” is revoked. In force"), "revoked in two tabs at once: both hear that it is")
    other.close()

    # --- names ---
    for name in NAMES:
        tab.click("role=button[name='Create key']")
        tab.fill("#name", name)
        tab.click("dialog >> role=button[name='Create key']")
        made_key(tab)
    shown = tab.evaluate("[...document.querySelectorAll('tbody th bdi')].map((each) => each.textContent)")
    t.is_([name for name in NAMES if name not in shown], [], "each name is shown as it is")
    t.is_(tab.evaluate("[document.querySelectorAll('tbody img, tbody script').length, document.documentElement.scrollWidth <= innerWidth]"), [0, True], "as text, and nothing is pushed aside")

    # --- by keyboard ---
    tab.reload()
    tab.until("document.activeElement.id === 'key'")
    tab("keyboard.type", alice)
    tab("keyboard.press", "Enter")
    tab.shows("role=heading[name='Your API keys']")
    tab.focus("role=button[name='Create key']")
    tab("keyboard.press", "Enter")
    tab.shows("dialog")
    tab("keyboard.type", "typed")
    tab("keyboard.press", "Enter")
    t.ok(tab.shows("role=dialog[name='Here is your key']"), "made without a mouse")
    t.secret(tab.inputValue("#made"))
    for _ in range(10):
        if tab.evaluate("document.activeElement.textContent") == "I have copied it":
            break
        tab("keyboard.press", "Tab")
    tab("keyboard.press", "Enter")
    tab.lacks("dialog")
    tab.focus("role=button[name='Revoke typed']")
    tab("keyboard.press", "Enter")
    tab.shows("dialog")
    tab("keyboard.press", "Escape")
    tab.lacks("dialog")
    t.ok(tab.until("document.activeElement.getAttribute('aria-label') === 'Revoke typed'"), "Escape closes a dialog, and the focus is where it was")
    t.is_(m.pg.value("SELECT count(*) FROM api_keys WHERE name = 'typed' AND is_active"), "1", "nothing was revoked by that")
