#!/usr/bin/python3
# Every number of docs/hazards.md has a test or a sentence that says why not, and no test names a number that is not there.

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import hazard_list                                                              # noqa: E402
from lib.apikeytest.tap import Tap                                              # noqa: E402

t = Tap()
listed, found = hazard_list.hazards(), hazard_list.headers()
rows = re.findall(r"^\| *[A-Z]\d+ *\|", hazard_list.LIST.read_text(encoding="utf-8"), re.M)
t.ok(len(listed) == len(rows) > 150, "the list was read", len(listed), len(rows))
wrong = hazard_list.mistakes(listed, found)
t.is_(wrong, [], "each number has a test or a sentence, each header has numbers of the list")
t.ok(all(case.name or (ROOT / case.file).exists() for cases in found.covering.values() for case in cases), "the tests are there")
sys.exit(0 if t.done() else 1)
