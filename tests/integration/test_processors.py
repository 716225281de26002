"""Code compiled for lesser processors than this one gives the same bits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from csnn.image.store import open_image
from csnn.simulator.fast import FastSimulator
from csnn.simulator.state import load_checkpoint
from csnn.spec.description import Description
from csnn.spec.pd14 import pd14
from netgen.build import generate

STEPS = 500
RUN = """
import sys
import numpy as np
from csnn.image.store import open_image
from csnn.simulator import lanes
from csnn.simulator.fast import FastSimulator
from csnn.simulator.state import save_checkpoint

image = open_image(sys.argv[1])
simulator = FastSimulator(image, threads=2)
recording = simulator.run(int(sys.argv[2]))
save_checkpoint(sys.argv[3], simulator.state(), image)
np.savez(sys.argv[4], step=recording.step, source=recording.source)
print(lanes.permutes)
"""
# Name and features for Numba; LLVM splits the sixteen lanes for the registers that there are.
PROCESSORS = {
    "sse2": ("x86-64", "+sse,+sse2"),
    "avx2": ("x86-64-v3", "+sse,+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt,+avx,+avx2,+bmi,+bmi2"),
}


@pytest.mark.parametrize(
    "processor", ["sse2", pytest.param("avx2", marks=pytest.mark.slow)], ids=str
)
def test_lesser_processors_give_the_same_bits(processor: str, tmp_path: Path) -> None:
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        pytest.skip("the processors that are tried are x86-64 ones")
    path = tmp_path / "image"
    generate(Description(network=pd14(n_scale=0.05, k_scale=0.2)), 1, path)
    here = FastSimulator(open_image(path), threads=2)
    recording = here.run(STEPS)
    assert len(recording.step) > 300
    name, features = PROCESSORS[processor]
    state, spikes = tmp_path / "state.npz", tmp_path / "spikes.npz"
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(path), str(STEPS), str(state), str(spikes)],
        env={**os.environ, "NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "False"
    with np.load(spikes) as there:
        assert np.array_equal(there["step"], recording.step)
        assert np.array_equal(there["source"], recording.source)
    assert here.state().first_difference(load_checkpoint(state, open_image(path))) is None


def test_vector_loads_follow_the_processor() -> None:
    """Whether tables are permuted is decided by what code is compiled for."""
    done = subprocess.run(
        [sys.executable, "-c", "from csnn.simulator import lanes; print(lanes.permutes)"],
        env={
            **os.environ,
            "NUMBA_CPU_NAME": "x86-64-v4",
            "NUMBA_CPU_FEATURES": "+sse2,+avx512f,+avx512bw",
        },
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "True"
