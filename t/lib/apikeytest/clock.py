"""A clock that a test sets while the program that goes by it is running."""

import os
import struct
import subprocess


def build_clock_shift(folder):
    """The library of clock_shift.c."""
    source, library = os.path.join(os.path.dirname(__file__), "clock_shift.c"), f"{folder}/clock_shift.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
    return library


class Clock:
    """What is started with `.env` goes by it. Not in a sanitized build, which has a library of its own to preload."""

    def __init__(self, folder):
        self.file = f"{folder}/clock_shift"
        self.jump(0)
        self.env = {"LD_PRELOAD": build_clock_shift(folder), "CLOCK_SHIFT_FILE": self.file}

    def jump(self, seconds):
        """So many before or after the machine's time, from now on."""
        with open(self.file, "r+b" if os.path.exists(self.file) else "wb", buffering=0) as file:
            file.write(struct.pack("l", seconds))
