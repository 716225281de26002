"""Columns that tests run on whole machines, and when they are lively.

Their rows are dense, so that the hardware of their nodes is the same and is compiled once.
"""

from __future__ import annotations

from pathlib import Path

from commands import succeed

from csnn.hardware.mesh import Mesh
from csnn.image.store import Image, open_image

MESH = Mesh(shape=(3, 3, 1), n_nodes=8)
# A card of the machine, full: 26 nodes and the master node.
CARD = Mesh(shape=(3, 3, 3), n_nodes=26)
# Share of the synapses, and the time after which a burst begins: of up to 31 spikes in a step, and
# of up to 20.
LOUD = ("0.4", 964.0)
LIVELY = ("0.2", 789.0)


def eight_nodes(path: Path, k_scale: str) -> Image:
    """Return a column of which every population fits a node, made if it is not there."""
    if not path.exists():
        succeed(
            "generate", "pd14", "--n-scale", "0.0116", "--k-scale", k_scale,
            "--row-layout", "dense", "--seed", "1", "--out", path,
        )  # fmt: skip
    return open_image(path)


def full_card(path: Path) -> Image:
    """Return a column of 26 nodes, made if it is not there."""
    if not path.exists():
        succeed(
            "generate", "pd14", "--n-scale", "0.073", "--k-scale", "0.1", "--seed", "1",
            "--out", path,
        )  # fmt: skip
    image = open_image(path)
    assert image.n_nodes == CARD.n_nodes
    return image
