"""The edge list of a network: read, and under the name that identifies it from everywhere."""

from __future__ import annotations

from pathlib import Path

from csnn import edges as edge_files
from csnn.errors import reject
from csnn.files import sha256
from csnn.image.origin import identified
from csnn.progress import progress
from csnn.spec.description import Description
from csnn.spec.neuron import weight_key
from netgen.edge_rows import EdgeRows


def read_edges(description: Description) -> tuple[EdgeRows | None, Description]:
    """Return the edges of a network, if it lists any, and the description that identifies them.

    Raises
    ------
    InvalidInputError
        If the file cannot be read, or is not the one of which the description has the digest.
    """
    network = description.network
    listed = network.edges
    if listed is None:
        return None, description
    with progress(None, "read edges"):
        listing = edge_files.read(listed.path, network.size, weight_key(network.weight_unit))
        edges = EdgeRows(listing, network, description.machine.delay_slots)
        digest = sha256(Path(listed.path))
    if listed.sha256 not in (None, digest):
        raise reject("edges.sha256", listed.sha256, f"{listed.path} has {digest}")
    return edges, identified(description, digest)
