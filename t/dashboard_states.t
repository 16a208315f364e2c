#!/usr/bin/python3
# The dashboard when things are not as they should be: a wrong key, an expired and a revoked one, one of few scopes, no data, a server that is away, a device that is offline, changes that
# are not confirmed; a session that is kept only when asked for.
# Hazards: V9, V19

from lib.apikeytest import Test, wait_for
from lib.apikeytest.dashboard import Dashboard

WRONG = "ia_" + "0" * 49

with Test(limit=240) as t, Dashboard(t) as m:
    alice_id, alice = m.key("alice")
    t.allow_log(r"\[crit\].*connect\(\) to unix:.*apikeyd.sock failed")

    # --- signing in ---
    tab = m.tab()
    t.ok(tab.shows("role=heading[name='API access']"), "the page asks for a key")
    for key, says in ((WRONG, "not known here, or has been revoked"), ("no key\u00e9", "no key"), ("x" * 600, "is too long")):
        m.sign_in(tab, key)
        t.ok(tab.shows(f"role=alert >> text={says}"), f"{key[:8]}: {says}")
    t.is_(tab.evaluate("document.querySelector('#key').type"), "password", "nobody looks over a shoulder")
    expired_id, expired = m.key("alice", name="short")
    m.pg.sql(f"UPDATE api_keys SET expires_at = now() - interval '1 minute' WHERE id = '{expired_id}'")
    wait_for(lambda: m.nginx.get("/", expired).code == "expired_api_key", 10)
    m.sign_in(tab, expired)
    t.ok(tab.shows("role=alert >> text=This key has expired"), "an expired key is told from an unknown one")

    # --- a session ---
    m.sign_in(tab, alice)
    tab.shows("role=heading[name='Your API keys']")
    tab.reload()
    t.ok(tab.shows("#key"), "after a reload it is asked for again")
    tab.check("text=Stay signed in")
    m.sign_in(tab, alice)
    tab.shows("role=heading[name='Your API keys']")
    tab.reload()
    t.ok(tab.shows("role=heading[name='Your API keys']"), "unless that was asked for")
    t.is_(tab.evaluate("[Object.values(sessionStorage).length, localStorage.length, document.cookie]"), [1, 0, ""], "then it is in this tab's storage alone")
    tab.click("role=button[name='Sign out']")
    t.ok(tab.shows("#key"), "signed out")
    t.is_(tab.evaluate("sessionStorage.length"), 0, "it is gone")
    tab.reload()
    t.ok(tab.shows("#key"), "for good")

    # --- no data ---
    m.sign_in(tab, m.key("newcomer")[1])
    tab.click("role=link[name='Usage']")
    t.ok(tab.shows("text=No key of yours was used in these days"), "no usage")
    tab.click("role=link[name='Conversations']")
    t.ok(tab.shows("text=None is stored of you"), "no conversations")
    tab.click("role=button[name='Sign out']")
    m.sign_in(tab, m.made(alice, "spare")["key"])

    # --- few rights ---
    for scopes, view, says in ((["usage:read"], "keys", "lacks a scope"), (["keys:read"], "usage", "lacks a scope")):
        limited = m.signed_in(m.made(alice, "limited", scopes=scopes)["key"], view)
        t.ok(limited.shows("text=This key may not do this"), f"{scopes}: {view} may not be seen, and it says so")
        t.ok(limited.shows("nav"), "without ending the session")
    reader = m.signed_in(m.made(alice, "reader", scopes=["keys:read"])["key"])
    t.ok(reader.shows("role=button[name='Create key'][disabled=true]"), "what may not be done cannot be pressed")
    t.is_(reader.evaluate("document.querySelectorAll('tbody button').length"), 0, "nothing to change")
    writer = m.signed_in(m.made(alice, "writer", scopes=["keys:read", "keys:write", "chat"], expiresAt="2999-01-01")["key"])
    writer.click("role=button[name='Create key']")
    t.ok(writer.shows("dialog >> text=this key is limited itself"), "a limited key offers what it may give")
    t.is_(writer.evaluate("[...document.querySelectorAll('input[name=scope]')].map((box) => box.value).sort()"), ["chat", "keys:read", "keys:write"], "its own scopes")
    writer.fill("#name", "child")
    writer.click("role=checkbox[name=/chat/]")
    writer.click("dialog >> role=button[name='Create key']")
    writer.shows("#made")
    t.secret(writer.inputValue("#made"))
    t.is_(m.pg.sql("SELECT scopes, expires_at::date FROM api_keys WHERE name = 'child'"), [["{chat}", "2999-01-01"]], "and no more")

    # --- not confirmed ---
    tab.click("role=link[name='API keys']")
    m.made(alice, "unheard")
    tab.click("role=button[name='Refresh']")
    silent = t.worker(m.redis, confirms=False, name="silent")
    wait_for(lambda: m.redis("ZSCORE", "apikey:workers", "silent"), 5)
    tab.click("role=button[name='Revoke unheard']")
    tab.click("role=button[name='Revoke it']")
    t.ok(tab.shows("role=status >> text=/Recorded; not confirmed everywhere yet. It takes effect within 30 seconds/"), "a change that is not confirmed says what that means")
    silent.leave()

    # --- revoked meanwhile ---
    gone_id, gone = m.key("alice", name="gone")
    leaver = m.signed_in(gone)
    m.apikeyd.ctl("keys", "revoke", gone_id)
    leaver.click("role=link[name='Activity']")
    t.ok(leaver.shows("role=alert >> text=not known here, or has been revoked"), "a key that is revoked meanwhile ends the session, and it says why")
    t.ok(leaver.lacks("nav"), "nothing of it is shown any more")

    # --- away ---
    tab.click("role=link[name='Activity']")
    t.ok(tab.shows("text=What was done to your keys") and tab.shows("role=row[name=/The operator/]"), "activity")
    m.apikeyd.stop()
    tab.click("role=button[name='Refresh']")
    t.ok(tab.shows("text=Not available just now"), "apikeyd is away")
    t.ok(tab.shows("text=What is shown is from before."), "what was there stays, as of before")
    m.apikeyd.start()
    tab.click("role=button[name='Try again']")
    t.ok(tab.lacks("text=Not available just now"), "and is mended by a click")
    port = m.nginx.port
    m.nginx.stop()
    tab.click("role=button[name='Refresh']")
    t.ok(tab.shows("text=The server cannot be reached"), "nginx is away")
    m.nginx.start()
    m.nginx.wait_watching(2)
    t.is_(m.nginx.port, port, "it is back")
    tab.click("role=button[name='Try again']")
    t.ok(tab.lacks("text=The server cannot be reached"), "and is asked again")
    tab.offline(True)
    tab.click("role=button[name='Refresh']")
    t.ok(tab.shows("text=You are offline"), "this device is offline")
    tab.offline(False)
    t.ok(tab.lacks("text=You are offline"), "and goes on by itself when it is not")
