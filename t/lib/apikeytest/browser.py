"""A real browser, Debian's Chromium, driven through playwright-core (t/node/browser.mjs)."""

import json
import os
import shutil
import subprocess

from . import node, places
from .process import wait_for

PROGRAM = "chromium"


class BrowserError(Exception):
    pass


class Tab:
    """Every method of playwright's Page, by its name there: `tab.click("text=Usage")`, `tab.keyboard.press("Tab")` as `tab("keyboard.press", "Tab")`."""

    def __init__(self, browser, number):
        self.browser, self.number = browser, number

    def __call__(self, do, *given):
        return self.browser.tell(do, *given, tab=self.number)

    def __getattr__(self, name):
        return lambda *given: self(name, *given)

    def text(self, selector="body"):
        """What a person reads there."""
        return self("innerText", selector)

    def shows(self, selector):
        """Waits for it."""
        try:
            self("waitForSelector", selector)
            return True
        except BrowserError as error:
            return _no(str(error) + "\n" + self.text()[:2000])

    def until(self, expression):
        """Waits until this JavaScript is true. (Not by waitForFunction, which a page's policy against eval stops.)"""
        return wait_for(lambda: self("evaluate", expression), 10)

    def lacks(self, selector):
        """Waits until it is gone."""
        self("waitForSelector", selector, {"state": "hidden"})
        return True


class _no(str):                                            # pylint: disable=invalid-name
    """False, with a reason."""

    def __bool__(self):
        return False


class Browser:
    """With `with`: it ends with the block. `.tab(…)` opens a tab; see the options of playwright's newContext."""

    def __init__(self, folder):
        node.need("node")
        node.need(PROGRAM, "packages-browser")
        node.install()
        home = f"{folder}/browser"
        os.makedirs(home, exist_ok=True)
        self.log = open(f"{home}/log", "w", encoding="utf-8")      # pylint: disable=consider-using-with
        self.process = subprocess.Popen(["node", str(node.FOLDER / "browser.mjs"), shutil.which(PROGRAM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log,
                                        text=True, env=os.environ | {"HOME": home, "TMPDIR": home}, start_new_session=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        finally:
            try:
                os.killpg(self.process.pid, 9)
            except ProcessLookupError:
                pass
            self.process.wait()
            self.log.close()

    def tell(self, do, *given, tab=0):
        self.process.stdin.write(json.dumps({"tab": tab, "do": do, "with": given}) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            with open(self.log.name, encoding="utf-8") as log:
                raise BrowserError(f"the browser has ended: {log.read()[-2000:]}")
        answer = json.loads(answer)
        if "error" in answer:
            raise BrowserError(answer["error"])
        return answer["result"]

    def tab(self, **options):
        """A tab of the browser of before; with options of one that shares nothing with it."""
        return Tab(self, self.tell("open", *([options] if options else [])))

    def seen(self):
        """{"complaints": of the console, "addresses": that were asked for}"""
        return self.tell("seen")


DASHBOARD = places.BUILD / "dashboard"
