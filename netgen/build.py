"""From a description to an image: the grid chosen, nodes made, written, proved, vouched for."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from csnn.files import atomic_directory, require_kind
from csnn.image.store import NETWORK_FILE, SCHEMA, Image, open_image, write_manifest
from csnn.spec.description import Description
from csnn.spec.toml import dumps
from netgen.crew import Crew, make_all_nodes
from netgen.edge_list import read_edges
from netgen.edge_rows import EdgeRows
from netgen.grid import GridTooFineError, check_magnitudes, choose_exponent
from netgen.manifest import describe
from netgen.prepared import PreparedNetwork


def generate(
    description: Description,
    seed: int,
    out: str | Path,
    *,
    threads: int = 2,
    crew: Crew | None = None,
) -> Image:
    """Compile a network into an image directory.

    Parameters
    ----------
    description : Description
        Network and machine.
    seed : int
        Seed of everything random in the image.
    out : str or Path
        Directory to write; replaced only if it is empty or an image.
    threads : int
        Nodes made at the same time (by each process). The image does not depend on it.
    crew : Crew, optional
        Processes over which the nodes are divided; they must all see the same files. The image
        does not depend on it either.

    Returns
    -------
    Image

    Raises
    ------
    InvalidInputError
        If the description cannot be represented, naming field, value and rule.
    """
    network, machine = description.network, description.machine
    require_kind(out, SCHEMA)
    edges, description = read_edges(description)
    check_magnitudes(network)
    if machine.weight_grid is not None:
        exponent = round(np.log2(machine.weight_grid))
    else:
        exponent = choose_exponent(
            network, edges.largest() if edges else 0.0, edges.sums() if edges else None
        )
    while True:
        try:
            with atomic_directory(out) as directory:
                _write(directory, description, edges, seed, exponent, threads, crew)
            return open_image(out, verify=False)
        except GridTooFineError:
            # The choice rests on expected sums; a rare draw beyond them takes the next grid.
            if machine.weight_grid is not None:
                raise
            exponent += 1


def _write(
    directory: Path,
    description: Description,
    edges: EdgeRows | None,
    seed: int,
    exponent: int,
    threads: int,
    crew: Crew | None,
) -> None:
    """Write all nodes, of which others may make some, the description and the manifest."""
    started = time.perf_counter()
    network = PreparedNetwork(description, edges, seed, exponent)
    made = make_all_nodes(network, directory, threads, crew)
    (directory / NETWORK_FILE).write_text(dumps(description), encoding="utf-8")
    content = describe(network, made, directory)
    generate_s = round(time.perf_counter() - started, 3)
    write_manifest(directory, {**content, "generate_s": generate_s})
