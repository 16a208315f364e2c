"""How the tests are run: a GoogleTest program, and files of t/ under prove. For tests/run and tests/hazards.

Environment: BUILD=release|sanitize|thread chooses the build, or APIKEY_BUILD its folder; JOBS how many end-to-end tests run at once.
thread: only the tests that run apikeyd or apikeyctl, which have threads.
"""
import dataclasses
import glob
import json
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "t"))

from lib.apikeytest import NEVER, places                                        # noqa: E402

UNIT_TESTS = ["sidecar_tests"] if places.THREADS else ["core_tests", "sidecar_tests"]
STARTS_THE_SIDECAR = re.compile(r"\b(?:apikeyd|apikeyctl|chaos\.run|Doctor)\(")
AGAIN_AT_MOST = 5  # more than that is no matter of luck


def run_unit_tests(name, only="*"):
    """Runs the cases of one GoogleTest program that the filter `only` takes; gives (exit status, its report; None: it died
    before it could report)."""
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        program = places.BUILD / name
        status = subprocess.run([program, "--gtest_brief=1", f"--gtest_filter={only}", f"--gtest_output=json:{report.name}"],
                                check=False).returncode
        try:
            return status, json.load(report)
        except ValueError:
            return status, None


@dataclasses.dataclass
class Proved:
    """What became of files of t/; checks are single ones, as TAP counts them."""
    checks: int = 0                                                 # that passed
    passed: set = dataclasses.field(default_factory=set)            # files
    failed: dict = dataclasses.field(default_factory=dict)          # file → failed checks
    skipped: dict = dataclasses.field(default_factory=dict)         # file → why
    never: set = dataclasses.field(default_factory=set)             # of the failed: saw what must never happen (t.must)


def prove(files, jobs):
    """Runs end-to-end tests under prove and shows what it says; gives Proved. A prove that failed without saying where is a
    file "prove" among the failed."""
    process = subprocess.Popen(["prove", "--timer", "-j", str(jobs), *files], cwd=ROOT, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)
    total, result = 0, Proved()
    for line in process.stdout:
        print(line, end="", flush=True)
        if match := re.match(r"Files=\d+, Tests=(\d+)", line):
            total = int(match[1])
        if match := re.match(r"(?:\[[\d:]+\] )?(t/\S+\.t) \.+ (?:(ok) |skipped: (.*))", line):
            if match[2]:
                result.passed.add(match[1])
            else:
                result.skipped[match[1]] = match[3].strip()
        if match := re.match(r"(\S+) +\(Wstat: (\d+).* Tests: \d+ Failed: (\d+)\)", line):
            result.failed[match[1]] = max(int(match[3]), 1)
            if int(match[2]) >> 8 == NEVER:
                result.never.add(match[1])
    if process.wait() != 0 and not result.failed:
        result.failed["prove"] = 1
    result.checks = max(total - sum(result.failed.values()), 0)
    return result


def all_files():
    files = sorted(glob.glob("t/*.t", root_dir=ROOT))
    return [file for file in files if STARTS_THE_SIDECAR.search(open(os.path.join(ROOT, file)).read())] if places.THREADS else files


def run_end_to_end_tests(files):
    """Gives Proved. A test that failed among others is run once more by itself, when the machine does nothing else: many measure
    how soon something happens. What passes then is named. What must never happen (t.must) may not happen once."""
    jobs = os.environ.get("JOBS") or min(max(2, len(os.sched_getaffinity(0))), 4)
    result = prove(files, jobs)
    unsteady = []
    for file in [file for file in result.failed if file not in result.never and file != "prove"][:AGAIN_AT_MOST]:
        print(f"{file} failed among the others. Again, by itself:", flush=True)
        if not prove([file], 1).failed:
            result.checks += result.failed.pop(file)
            result.passed.add(file)
            unsteady.append(file)
    for file in unsteady:
        print(f"UNSTEADY {file}: failed among the others, passed by itself. Make it steady: t/lib/README.md")
    for file, count in result.failed.items():
        print(f"FAILED {file}: {count}")
    return result
