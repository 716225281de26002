"""What a summary says of the times of steps that are given by hand."""

from __future__ import annotations

import numpy as np
import pytest

from csnn.perf.model import Timing
from csnn.perf.statistics import summarise
from csnn.perf.workload import silent_workload

FS_PER_CYCLE = 1_000_000  # at 1 GHz
NETWORK, UNROLLING = "synchronisation through the network", "unrolling of rows"
UPDATE = "neuron update"


def timing_of(*steps: dict[str, int]) -> Timing:
    """Return times of steps whose parts take so many cycles, and of one more."""
    marks: dict[str, list[int]] = {name: [] for name in ("sync", "down", "unroll", "compute", "up")}
    now = 0
    for parts in (*steps, steps[-1]):
        marks["sync"].append(now)
        for name in ("down", "unroll", "compute", "up"):
            now += parts[name]
            marks[name].append(now)
        now += parts["master"]
    names = ("sync_fs", "arrival_fs", "begin_fs", "barrier_fs", "collected_fs")
    count = len(steps) + 1
    return Timing(
        begins_fs=np.zeros((count, 1), np.int64),
        critical_node=np.zeros(count, np.int64),
        app_mhz=1000.0,
        events=0,
        largest={},
        handled=np.zeros(1, np.int64),
        synapses=np.zeros(1, np.int64),
        **{
            name: np.array(cycles) * FS_PER_CYCLE
            for name, cycles in zip(names, marks.values(), strict=True)
        },
    )


@pytest.mark.parametrize(
    ("parts", "limit"),
    [
        # Each part of the way of a message makes the network the largest.
        ({"down": 70, "unroll": 60, "compute": 50, "up": 0, "master": 0}, NETWORK),
        ({"down": 0, "unroll": 60, "compute": 50, "up": 70, "master": 0}, NETWORK),
        ({"down": 0, "unroll": 60, "compute": 50, "up": 0, "master": 70}, NETWORK),
        ({"down": 21, "unroll": 60, "compute": 50, "up": 21, "master": 21}, NETWORK),
        ({"down": 19, "unroll": 60, "compute": 50, "up": 19, "master": 19}, UNROLLING),
        ({"down": 19, "unroll": 50, "compute": 60, "up": 19, "master": 19}, UPDATE),
    ],
)
def test_the_limit_is_what_takes_most(parts: dict[str, int], limit: str) -> None:
    timing = timing_of(parts, parts, parts)
    found = summarise(timing, silent_workload(np.array([4]), 4), hops=1, dt_ms=0.1)
    assert found.limit == limit
    assert found.parts == pytest.approx(parts)
    assert found.mean == pytest.approx(sum(parts.values()))


def test_means_and_the_longest_step() -> None:
    short = {"down": 10, "unroll": 20, "compute": 30, "up": 40, "master": 5}
    long = {"down": 11, "unroll": 82, "compute": 33, "up": 44, "master": 6}
    timing = timing_of(short, long, short)
    found = summarise(timing, silent_workload(np.array([4]), 4), hops=2, dt_ms=0.1)
    assert (found.least, found.most) == pytest.approx((105, 176))
    assert found.worst_parts == pytest.approx(long)
    assert found.parts == pytest.approx({n: (2 * short[n] + long[n]) / 3 for n in short})
    # Cycles at 1 GHz are ns.
    assert found.mean_us == pytest.approx((2 * 105 + 176) / 3e3)
    assert found.real_time_factor == pytest.approx((2 * 105 + 176) / 3e3 / 100)
