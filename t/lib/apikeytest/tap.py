"""TAP, the test protocol that prove reads: numbered lines on stdout, explanations on stderr."""

import re
import sys

from .places import SLOW

NEVER = 3                                  # exit status of a test that saw what must never happen (must)


class Tap:
    def __init__(self):
        self.count = 0
        self.failed = 0
        self.planned = None
        self.seen_never = False
        self.last_words = None             # a line behind everything else

    def plan(self, count):
        """Optional: how many checks the test makes itself. The invariants come on top."""
        self.planned = count

    def ok(self, condition, name, *notes):
        self.count += 1
        passed = bool(condition)
        print(f"{'ok' if passed else 'not ok'} {self.count} - {name.replace('#', '')}", flush=True)
        if not passed:
            self.failed += 1
            self.diag(f"failed: {name}", *notes)
        return passed

    def is_(self, got, want, name, *notes):
        return self.ok(got == want, name, f"  got: {got!r}", f" want: {want!r}", *notes)

    def must(self, condition, name, *notes):
        """A check of what must never happen, on no machine, however slow: tests/run does not give it a second chance."""
        passed = self.ok(condition, name, *notes)
        self.seen_never |= not passed
        return passed

    def weigh(self, condition, name, *notes):
        """A check of how much memory something takes: of no use with sanitizers, which keep what was freed."""
        if SLOW:
            self.note(f"not weighed in a sanitized build: {name}")
            return True
        return self.ok(condition, name, *notes)

    def isnt(self, got, unwanted, name, *notes):
        return self.ok(got != unwanted, name, f"  got: {got!r}", *notes)

    def like(self, text, pattern, name, *notes):
        return self.ok(re.search(pattern, text, re.M), name, f"  got: {text!r}", f" want: /{pattern}/", *notes)

    def unlike(self, text, pattern, name, *notes):
        found = re.search(pattern, text, re.M)
        return self.ok(not found, name, f"  found: {found and found.group(0)!r}", *notes)

    def diag(self, *notes):
        for note in notes:
            for line in str(note).splitlines() or [""]:
                print(f"# {line}", file=sys.stderr, flush=True)

    def note(self, *notes):
        """Shown by prove -v only."""
        for note in notes:
            for line in str(note).splitlines() or [""]:
                print(f"# {line}", flush=True)

    def failure_status(self):
        return NEVER if self.seen_never else 1

    def done(self):
        print(f"1..{self.count}", *([self.last_words] if self.last_words else []), sep="\n", flush=True)
        return self.failed == 0


def skip_all(reason):
    print(f"1..0 # SKIP {reason}", flush=True)
    sys.exit(0)


def bail_out(reason):
    """Stops the whole prove run: without this nothing else can pass either."""
    print(f"Bail out! {reason}", flush=True)
    sys.exit(255)
