"""What an image was made from: whether it is that of a network and a seed."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from csnn.files import sha256
from csnn.image.store import Image
from csnn.spec.description import Description
from csnn.spec.network import EdgeList
from csnn.spec.toml import dumps


def identified(listed: EdgeList, digest: str) -> EdgeList:
    """Return an edge list under the name that identifies it from everywhere."""
    return replace(listed, path=str(Path(listed.path).resolve()), sha256=digest)


def is_image_of(image: Image, description: Description, seed: int) -> bool:
    """Return whether the generator would compile this network with this seed into `image`.

    Raises
    ------
    InvalidInputError
        If the network's edge list cannot be read.
    """
    network = description.network
    if network.edges is not None:
        edges = identified(network.edges, sha256(network.edges.path))
        description = replace(description, network=replace(network, edges=edges))
    text = dumps(description).encode()
    same = image.manifest.get("network_sha256") == hashlib.sha256(text).hexdigest()
    return same and bool(image.manifest["seed"] == seed)
