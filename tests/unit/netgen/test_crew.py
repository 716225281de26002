"""An image made by several processes, played here one after the other, is that of one."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networks
import pytest

from csnn.image.store import Image
from csnn.spec.description import Description
from csnn.spec.machine import Machine
from csnn.spec.network import Network
from netgen.build import generate


@dataclass
class Played:
    """A process of a crew; the first one plays the others when it calls."""

    rank: int
    size: int

    def call(
        self, function: Callable[..., Any], *arguments: Any, here: Callable[[], Any] | None = None
    ) -> list[Any]:
        assert here is not None
        message = pickle.dumps((function, arguments))
        results = [here()]
        for rank in range(1, self.size):
            called, given = pickle.loads(message)
            results.append(pickle.loads(pickle.dumps(called(Played(rank, self.size), *given))))
        return results


def network(tmp_path: Path, edges: str) -> Network:
    listed = networks.edge_network(tmp_path, edges)
    projection = networks.projection("E", "E", networks.RULES["fixed_total_number"])
    return networks.network(projection, edges=listed.edges)


def told(image: Image) -> dict[str, Any]:
    return {key: value for key, value in image.manifest.items() if key != "generate_s"}


@pytest.mark.parametrize("edges", ["fitted", "stored"])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_crew_makes_the_image_of_one_process(tmp_path: Path, edges: str, size: int) -> None:
    machine = Machine(neurons_per_node=20, random_delay_buffer=True)
    description = Description(network=network(tmp_path, edges), machine=machine)
    alone = generate(description, 5, tmp_path / "alone")
    assert alone.n_nodes > 3
    together = generate(description, 5, tmp_path / "together", crew=Played(0, size))
    assert together.digest == alone.digest
    assert told(together) == told(alone)
    # Nor does the order of the entries tell who made what.
    assert [*together.manifest["synapses_by_sampler"]] == [*alone.manifest["synapses_by_sampler"]]
