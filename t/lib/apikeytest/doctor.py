"""`apikeyctl doctor`, and what it found."""

import os

from .apikeyd import apikeyctl, decode


class Doctor:
    """`d = Doctor(t, config)`: t is the test, config apikeyd's YAML file."""

    def __init__(self, t, config):
        self.t, self.config, self.said = t, config, []

    def run(self):
        """{check: (level, message, advice)}, the worst where a check has several. Exit status and `success` fit."""
        status, out, err = apikeyctl("--config", self.config, "doctor", json=True, status=None)
        self.said.append(out + err)
        answer = decode(out)
        levels = ["ok", "note", "warning", "error"]
        found = {}
        for f in answer["findings"]:
            if f["check"] not in found or levels.index(f["level"]) > levels.index(found[f["check"]][0]):
                found[f["check"]] = (f["level"], f["message"], f["advice"])
        errors = any(f["level"] == "error" for f in answer["findings"])
        silent = [f for f in answer["findings"] if f["level"] in ("warning", "error") and not f["advice"]]
        if status != int(errors) or answer["success"] == errors or err or silent:
            self.t.ok(False, "status, success and advice fit", f"status {status}", out, err)
        return found

    def text(self):
        """(exit status, what it prints for people)."""
        status, out, err = apikeyctl("--config", self.config, "doctor", status=None)
        self.said.append(out + err)
        return status, out + err

    def finds(self, check, level, message, advice, name, others=()):
        """One run finds this (patterns), and nothing else is worse than a note but the checks in `others`."""
        found = self.run()
        got = found.get(check, ("-", "", ""))
        self.t.is_(got[0], level, f"{name}: {check} is {level}", *map(str, found.items()))
        self.t.like(got[1], message, f"{name}: it says so")
        self.t.like(got[2], advice, f"{name}: and what to do")
        more = {c: f for c, f in found.items() if f[0] in ("warning", "error") and c != check and c not in others}
        self.t.is_(more, {}, f"{name}: nothing else")

    def all_well(self, name):
        bad = {check: f for check, f in self.run().items() if f[0] in ("warning", "error")}
        self.t.is_(bad, {}, name)

    def never_said(self, *texts):
        """No run printed one of these, nor a key or digest that the test knows."""
        from .invariants import leaks_in, secrets_of    # pylint: disable=import-outside-toplevel
        said = "\n".join(self.said)
        leaks = leaks_in(said, *secrets_of(self.t)) + [text for text in texts if text in said]
        self.t.is_(leaks, [], "no password, key or digest in what it said")


def write_secret(path, text, mode=0o640):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    os.chmod(path, mode)
    return path
