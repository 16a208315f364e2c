"""A file system of a few megabytes that a test can fill to the last byte: a tmpfs that only this test and what it starts can see,
and which is gone with them, however they end."""

import contextlib
import ctypes
import os
import shutil
import subprocess

CLONE_NEWNS = 0x00020000
_namespaces = []                           # of this process: made once


class SmallDisk:
    def __init__(self, folder, size, owner):
        """Call t.small_disk(): `size` as mount writes it ("4m")."""
        self.mounted, self.folder, self.filler = folder, f"{folder}/files", f"{folder}/filler"
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", folder], check=True, capture_output=True)
        os.mkdir(self.folder)
        shutil.chown(self.folder, owner, owner)

    def fill(self):
        """No byte is left; empty files can still be made."""
        with open(self.filler, "ab", buffering=0) as filler, contextlib.suppress(OSError):
            while True:
                filler.write(b"x" * 4096)

    def free(self):
        """There is room again."""
        os.unlink(self.filler)

    def stop(self):
        subprocess.run(["umount", "-l", self.mounted], check=False)


def small_disk(folder, size, owner):
    """None where nothing may be mounted. It must be called by the thread that starts what is to see it, and before that."""
    if os.geteuid() != 0:
        return None
    try:
        if not _namespaces:
            if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
                return None
            subprocess.run(["mount", "--make-rprivate", "/"], check=True, capture_output=True)
            _namespaces.append(os.getpid())
        return SmallDisk(folder, size, owner)
    except (OSError, subprocess.CalledProcessError):
        return None
