"""The harness of the end-to-end tests; README.md in the folder above tells how to use it."""

from . import faults
from .apikeyd import apikeyctl
from .faults import (Gate, black_hole, close, cut, cut_anywhere, delay, drop, duplicate, inject, previous, replace, split,
                     split_anywhere, split_at, swap, swap_alike)
from .http1 import Connection, Response, chunk, request_bytes
from .http3 import need_http3
from .keys import Key, checksum, digest, make_key_text
from .process import memory_of, open_files, wait_for
from .resp import RedisClient, RedisError, array, bulk, command
from .tap import NEVER, bail_out, skip_all
from .test import Test
