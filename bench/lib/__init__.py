"""What bench/run measures with. The parts (nginx, Redis, …) come from the harness of the end-to-end tests."""

import pathlib
import sys

BENCH = pathlib.Path(__file__).resolve().parents[1]
sys.path.append(str(BENCH.parent / "t" / "lib"))
