"""The dashboard over the whole stack, by the very locations of conf/nginx.conf, in a real browser."""

import re

from . import places
from .browser import Browser
from .management import Management

LOCATIONS = """
        location / { api_key "test"; empty_gif; }
"""


def shipped_locations():
    """What conf/nginx.conf has for holders of keys: exports, imports, their keys, the page."""
    conf = (places.REPO / "conf" / "nginx.conf").read_text(encoding="utf-8")
    found = re.findall(r"^ {8}location (?:= )?(?:/api/|/dashboard).*?^ {8}\}\n", conf, re.M | re.S)
    assert len(found) == 7, found
    return "".join(found).replace("/usr/share/nginx-api-key/dashboard/", f"{places.BUILD}/dashboard/")


class Dashboard(Management):
    """`with`: the browser ends with the block."""

    def __init__(self, t, more="", **options):
        super().__init__(t, shipped_locations() + more, LOCATIONS, **options)
        self.nginx.wait_watching(2)
        self.browser = Browser(t.folder)
        self.url = f"http://127.0.0.1:{self.nginx.port}/dashboard/"

    def __enter__(self):
        self.browser.__enter__()
        return self

    def __exit__(self, *error):
        if error[0] is None:
            self.judge()
        self.browser.__exit__(*error)

    def tab(self, path="", **options):
        """A tab with the page; see Browser.tab."""
        tab = self.browser.tab(**options)
        tab.goto(self.url + path)
        return tab

    def signed_in(self, key, view="keys", **options):
        tab = self.tab(f"#{view}", **options)
        self.sign_in(tab, key)
        self.t.ok(tab.shows("nav a[aria-current=page]"), "signed in")
        return tab

    def sign_in(self, tab, key):
        tab.fill("#key", key)
        tab.click("role=button[name='Sign in']")

    def judge(self, *expected):
        """Nothing was complained of (but for answers that are no success), no key stood in an address, and no other host was asked."""
        seen = self.browser.seen()
        strange = [text for text in seen["complaints"] if not re.search("|".join(["Failed to load resource", *expected]), text)]
        self.t.must(not strange, "the page and its policy complain of nothing", *strange)
        origin = self.url.partition("/dashboard")[0]
        self.t.must(all(re.match(f"{origin}/|blob:{origin}/", address) for address in seen["addresses"]), "nothing of another host is asked for", *seen["addresses"])
        said = " ".join(seen["addresses"])
        self.t.must(not any(secret in said for secret in self.t.secrets), "no key stands in an address")
