"""What must hold at the end of every test (docs/hazards.md, I1-I5), as checks of its TAP."""

import glob
import re

from .keys import digest
from .process import SANITIZER, read, wait_for

TROUBLE = re.compile(r"\[(?:alert|emerg|crit)\]|exited on signal|core dumped")
KEY_BEGINNING = re.compile(r"(?=(ia_[0-9A-Za-z]{21}))")
HEX_DIGEST = re.compile(r"(?=([0-9a-f]{64}))", re.I)


def check(test):
    texts = {path: read(path) for path in log_files(test)}
    check_trouble(test, texts)
    check_lives(test)
    check_secrets(test, texts)


def log_files(test):
    return [path for kind in ("log", "stderr") for path in glob.glob(f"{test.folder}/**/*.{kind}", recursive=True)]


def check_trouble(test, texts):
    """I2: nothing died, nothing serious was logged, but for what the test did or allowed."""
    signalled = {str(pid) for nginx in test.nginxes for pid in nginx.signalled}
    allowed = [re.compile(pattern) for pattern in test.allowed]
    found, sanitizer = [], []
    for path, text in texts.items():
        sanitizer += [f"{path}: {line}" for line in text.splitlines() if SANITIZER.search(line)]
        if not path.endswith("error.log") or "nginx-check" in path:
            continue
        for line in text.splitlines():
            killed = re.search(r"process (\d+) exited on signal", line)
            if TROUBLE.search(line) and not (killed and killed[1] in signalled) \
                    and not any(pattern.search(line) for pattern in allowed):
                found.append(line)
    test.must(not found, "nginx logged no alert and no worker died", *found[:20])
    test.must(not sanitizer, "no sanitizer report", *sanitizer[:40])


def check_lives(test):
    ended = [f"{p.name} (pid {p.pid}) ended by itself, status {status}" for p, status in test.unexpected_ends]
    surprises = [f"the Redis proxy could not read: {error}" for proxy in test.proxies for error in proxy.errors]
    test.must(not ended and not surprises, "everything that was started lived on", *ended, *surprises)


def check_secrets(test, texts):
    """I3: keys are nowhere, their digests nowhere but in Redis and Postgres."""
    plain, digests = secrets_of(test)
    leaks = []
    for path, text in texts.items():
        leaks += [f"{path}: {leak}" for leak in leaks_in(text, plain, digests)]
    for place, text in test.stores.items():
        leaks += [f"{place}: {leak}" for leak in leaks_in(text, plain, set())]
    test.must(not leaks, "no key in any log, in Redis or in Postgres", *leaks[:20])


def secrets_of(test):
    plain = {secret for secret in test.secrets if len(secret) >= 8}
    return plain, {digest(secret) for secret in test.secrets}


def leaks_in(text, plain, digests):
    """Keys of our make are found by their first 24 characters, so that half a key counts too."""
    ours = {secret[:24] for secret in plain if KEY_BEGINNING.match(secret)}
    leaks = [f"key {found}…" for found in KEY_BEGINNING.findall(text) if found in ours]
    leaks += [f"key {secret}" for secret in plain if not KEY_BEGINNING.match(secret) and secret in text]
    leaks += [f"digest {found}" for found in HEX_DIGEST.findall(text) if found.lower() in digests]
    return leaks


def check_fds_return(test, nginx, baseline, timeout=3.0):
    """I4: the workers hold no more files than at the baseline (nginx.fds())."""
    wait_for(lambda: nginx.fds() <= baseline, timeout, 0.02)
    test.ok(nginx.fds() <= baseline, "open files are back at the baseline", f"{nginx.fds()}, was {baseline}")


def check_logged_once(test, nginx, count):
    """I5: the access log has exactly one line for each of `count` requests."""
    got = len(nginx.wait_requests(count))
    test.is_(got, count, f"every request is logged once ({count})")
