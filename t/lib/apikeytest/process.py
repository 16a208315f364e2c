"""Programs that a test starts: each in a session of its own, gone with the test even when that is killed."""

import os
import re
import signal
import subprocess
import time

from .tap import bail_out


PATIENCE = 20.0      # seconds that a test waits for what must come: how soon it comes is for those checks to say that measure it


def wait_for(condition, timeout=PATIENCE, interval=0.005):
    """Polls until condition() is true and returns its value, or the last (false) value after the timeout."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(interval)


def need(path, what, hint):
    if not os.access(path, os.X_OK if what != "module" else os.R_OK):
        bail_out(f"{what} is not at {path} ({hint})")
    return path


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read().decode("latin-1")
    except (FileNotFoundError, ProcessLookupError):    # the latter: a file of /proc whose process ends meanwhile
        return ""


SANITIZER = re.compile(r"Sanitizer|runtime error:")


def refuse_report(what, text):
    """For what runs outside of the log files that the invariants read: a sanitizer's report in its output is an error."""
    if SANITIZER.search(text):
        raise RuntimeError(f"{what}: a sanitizer's report\n{text}")


class Process:
    def __init__(self, name, argv, log, user=None, env=None, cwd="/", death_signal="KILL"):
        """`user` is taken only when we are root. Output goes to the file `log`."""
        self.name = name
        self.log_path = log
        self.expected_to_end = False
        prefix = ["setpriv", "--pdeathsig", death_signal]
        if user and os.geteuid() == 0:
            prefix += ["--reuid", user, "--regid", user, "--clear-groups"]
        prefix += ["env"] + [f"{k}={v}" for k, v in env.items()] if env else []
        with open(log, "ab") as out:
            self._popen = subprocess.Popen(prefix + argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                           cwd=cwd, start_new_session=True)
        self.pid = self._popen.pid

    def alive(self):
        return self._popen.poll() is None

    def exit_status(self):
        """None while it runs; -N when signal N ended it."""
        return self._popen.poll()

    def send_signal(self, number):
        if self.alive():
            os.kill(self.pid, number)

    def wait(self, timeout=10.0):
        """True when the process has ended within the time."""
        self.expected_to_end = True
        try:
            self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self, number=signal.SIGTERM, timeout=5.0):
        """Ends it by a signal; kills what is left. True when it ended by itself within the time."""
        self.expected_to_end = True
        self.send_signal(number)
        ended = self.wait(timeout)
        self.kill()
        return ended

    def kill(self):
        self.expected_to_end = True
        try:
            os.killpg(self.pid, signal.SIGKILL)        # its session: children too
        except (ProcessLookupError, PermissionError):
            pass
        self._popen.wait()

    def pause(self):
        self.send_signal(signal.SIGSTOP)

    def resume(self):
        self.send_signal(signal.SIGCONT)

    def output(self):
        return read(self.log_path)


def children_of(pid):
    return [int(p) for p in read(f"/proc/{pid}/task/{pid}/children").split()]


def running(pid):
    """False for a zombie too: its parent has yet to notice."""
    stat = read(f"/proc/{pid}/stat")
    return bool(stat) and stat.rpartition(")")[2].split()[0] != "Z"


def open_files(pid, folder=""):
    """What of this folder a process has open; also files that have no name any more."""
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except FileNotFoundError:          # closed meanwhile
            pass
    return [path for path in found if path.startswith(folder)]


def memory_of(pid, figure="VmHWM"):
    """In KiB: a figure of /proc/PID/status ("VmHWM": the most that it ever had), or of smaps_rollup ("Anonymous": what it has for itself)."""
    text = read(f"/proc/{pid}/{'status' if figure.startswith('Vm') else 'smaps_rollup'}")
    return int(re.search(rf"^{figure}:\s+(\d+) kB$", text, re.M)[1])


def huge_pages():
    """The system's setting for huge pages of shared memory, such as "never"; None: it has none of them."""
    setting = read("/sys/kernel/mm/transparent_hugepage/shmem_enabled")
    return setting.partition("[")[2].partition("]")[0] or None
