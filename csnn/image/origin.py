"""What an image was made from: whether it is that of a network and a seed."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from csnn.files import sha256
from csnn.image.store import Image
from csnn.spec.description import Description
from csnn.spec.toml import dumps


def identified(description: Description, digest: str | None = None) -> Description:
    """Return a description whose edge list, if any, is known by its whole path and its digest.

    Parameters
    ----------
    description : Description
    digest : str, optional
        SHA-256 of the edge list's file, if it is known already.

    Raises
    ------
    InvalidInputError
        If the edge list cannot be read.
    """
    network = description.network
    if network.edges is None:
        return description
    path = Path(network.edges.path)
    edges = replace(network.edges, path=str(path.resolve()), sha256=digest or sha256(path))
    return replace(description, network=replace(network, edges=edges))


def is_image_of(image: Image, description: Description, seed: int) -> bool:
    """Return whether the generator would compile this network with this seed into `image`.

    Raises
    ------
    InvalidInputError
        If the network's edge list cannot be read.
    """
    text = dumps(identified(description)).encode()
    same = image.manifest.get("network_sha256") == hashlib.sha256(text).hexdigest()
    return same and bool(image.manifest["seed"] == seed)
