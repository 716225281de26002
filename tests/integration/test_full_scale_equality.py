"""Full-scale PD14 from a warmed state: fast with any thread count, resumed, and plain agree."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from csnn.image.store import Image
from csnn.simulator.fast import FastSimulator
from csnn.simulator.plain import PlainSimulator
from csnn.simulator.recording import Recording, join
from csnn.simulator.state import MachineState, load_checkpoint, save_checkpoint
from csnn.spec.description import Description
from csnn.spec.pd14 import MEAN_RATES_HZ, pd14
from netgen.build import generate

WARMUP_STEPS = 5000
STEPS = 1000
RECORD = (77168, 0, 40000)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("full_scale")
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def image(folder: Path) -> Image:
    return generate(Description(network=pd14()), 1, folder / "image")


@pytest.fixture(scope="module")
def warmed(image: Image) -> MachineState:
    simulator = FastSimulator(image, threads=2)
    simulator.run(WARMUP_STEPS)
    return simulator.state()


@pytest.fixture(scope="module")
def wanted(image: Image, warmed: MachineState) -> tuple[Recording, MachineState]:
    return run_fast(image, warmed, STEPS, 2)


def run_fast(
    image: Image, state: MachineState, steps: int, threads: int
) -> tuple[Recording, MachineState]:
    simulator = FastSimulator(image, threads=threads, state=state, record=RECORD)
    return simulator.run(steps), simulator.state()


def assert_identical(
    wanted: tuple[Recording, MachineState], got: tuple[Recording, MachineState]
) -> None:
    assert wanted[0].first_difference(got[0]) is None
    assert wanted[1].first_difference(got[1]) is None
    assert wanted[0].events == got[0].events


def test_the_network_is_alive(image: Image, wanted: tuple[Recording, MachineState]) -> None:
    assert image.manifest["synapses"] == 298_880_968
    recording, state = wanted
    assert state.step == WARMUP_STEPS + STEPS
    assert not state.saturated.any()
    ends = np.cumsum([0, *(size for _, size in image.populations)])
    spikes, _ = np.histogram(recording.source, ends)
    rates = spikes / np.diff(ends) / (STEPS * 1e-4)
    # 0.1 s only: within a factor of two of the published rates.
    assert (rates > 0.5 * MEAN_RATES_HZ).all()
    assert (rates < 2.0 * MEAN_RATES_HZ).all()


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_do_not_matter(
    image: Image, warmed: MachineState, wanted: tuple[Recording, MachineState], threads: int
) -> None:
    assert_identical(wanted, run_fast(image, warmed, STEPS, threads))


def test_resumed_is_identical(
    image: Image,
    warmed: MachineState,
    wanted: tuple[Recording, MachineState],
    folder: Path,
) -> None:
    state, parts = warmed, []
    for steps, threads in ((313, 2), (1, 3), (686, 2)):
        part, state = run_fast(image, state, steps, threads)
        save_checkpoint(folder / "state.npz", state, image)
        state = load_checkpoint(folder / "state.npz", image)
        parts.append(part)
    assert_identical(wanted, (join(parts), state))


def test_plain_is_identical(
    image: Image, warmed: MachineState, wanted: tuple[Recording, MachineState]
) -> None:
    started = time.monotonic()
    simulator = PlainSimulator(image, state=warmed, record=RECORD)
    recording = simulator.run(STEPS)
    print(f"plain: {time.monotonic() - started:.0f} s for {STEPS} steps")
    assert_identical(wanted, (recording, simulator.state()))
