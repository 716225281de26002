"""All benches by name: every module `bench_<name>.py` of this folder."""

from __future__ import annotations

import importlib
from pathlib import Path

from bench import Bench

# Environment variable that names the bench to be run inside a simulation.
BENCH_VARIABLE = "CSNN_BENCH"
# Names an output whose lowest bit is read wrongly: a planted fault.
FAULT_VARIABLE = "CSNN_BENCH_FAULT"
BENCHES: dict[str, Bench] = {
    path.stem.removeprefix("bench_"): importlib.import_module(path.stem).BENCH
    for path in sorted(Path(__file__).parent.glob("bench_*.py"))
}
