#!/usr/bin/python3
# Every file that a document names is there. Names of files that users have are not ours to know: only sources and tests are looked for.

import pathlib
import re

from lib.apikeytest import Test

ROOT = pathlib.Path(__file__).resolve().parent.parent
NAME = re.compile(r"`([\w./-]*\w\.(?:cpp|hpp|c|py|t|sql))`")
OURS = ("core", "ngx_module", "sidecar", "db", "t", "tests", "bench", "demo", "conf", "build-aux", "cmake")

with Test() as t:
    files = [file for folder in OURS for file in (ROOT / folder).rglob("*") if file.is_file() and "node_modules" not in file.parts]
    paths = {"/" + file.relative_to(ROOT).as_posix() for file in files}
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(file for file in files if file.suffix == ".md")]
    named = {(document.relative_to(ROOT).as_posix(), name) for document in documents for name in NAME.findall(document.read_text())
             if document.name != "CHANGELOG.md" and "NAME" not in name}
    t.ok(len(named) > 50, "documents name files", len(named))
    t.is_(sorted(pair for pair in named if not any(path.endswith("/" + pair[1]) for path in paths)), [], "which are all there")
