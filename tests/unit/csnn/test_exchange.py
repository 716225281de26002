"""The exchange of spikes in one process: what it moves, and what is left after it failed."""

from __future__ import annotations

from pathlib import Path

import networks
import numpy as np
import pytest

from csnn.simulator.exchange import Exchange
from csnn.simulator.fast import CompiledNodes, FastSimulator
from csnn.simulator.state import initial_state

STEPS = 30


class OneRank:
    """A channel of one rank whose collective number `fails_at` fails."""

    rank, size = 0, 1

    def __init__(self, fails_at: int | None = None) -> None:
        self.calls = 0
        self.fails_at = fails_at

    def allgather(self, own: np.ndarray, received: np.ndarray) -> None:
        self.calls += 1
        if self.calls == self.fails_at:
            raise OSError("the other side is gone")
        received[0] = own

    def allgather_rest(self, own: np.ndarray, received: np.ndarray, counts: np.ndarray) -> None:
        received[: counts[0]] = own


@pytest.mark.parametrize("threads", [1, 3])
def test_a_failed_exchange_is_the_last(tmp_path: Path, threads: int) -> None:
    image = networks.image(networks.rule_network("all_to_all", True, True), tmp_path / "image")

    def compiled(channel: OneRank) -> CompiledNodes:
        return CompiledNodes(
            image.nodes,
            initial_state(image),
            threads=threads,
            record=np.zeros(0, dtype=np.int64),
            exchange=Exchange(channel, [image.n_neurons]),
        )

    whole = OneRank()
    found = compiled(whole).run(STEPS)
    wanted = FastSimulator(image, threads=threads).run(STEPS)
    assert whole.calls == STEPS
    assert len(wanted.step) > 0
    assert np.array_equal(found.step, wanted.step)
    assert np.array_equal(found.source, wanted.source)

    channel = OneRank(fails_at=20)
    nodes = compiled(channel)
    # Not even a second call runs on: threads no longer agree which barrier is next.
    for _ in range(2):
        with pytest.raises(OSError, match="the other side is gone"):
            nodes.run(STEPS)
        assert channel.calls == 20
