"""An image directory: node files and the manifest that vouches for them."""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import scipy

import csnn
from csnn.errors import InvalidInputError
from csnn.files import MANIFEST_NAME, sha256
from csnn.image import layout
from csnn.image.node import NodeImage, read_node

SCHEMA = "csnn-image"
NETWORK_FILE = "network.toml"


def node_file(node: int) -> str:
    """Return the name of the file of node number `node`."""
    return f"node_{node:05d}.bin"


def tool_versions() -> dict[str, str]:
    """Return the versions of what made an artifact."""
    return {
        "csnn": csnn.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
    }


def content_digest(content: dict[str, Any]) -> str:
    """Return the SHA-256 of a JSON object in canonical form, without its `digest`."""
    rest = {key: value for key, value in content.items() if key != "digest"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def write_manifest(directory: Path, content: dict[str, Any]) -> dict[str, Any]:
    """Add schema, version, tool versions, file digests and own digest, and write the manifest."""
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)}
        for path in sorted(directory.iterdir())
        if path.name != MANIFEST_NAME
    }
    manifest = {
        "schema": SCHEMA,
        "version": layout.FORMAT_VERSION,
        "tools": tool_versions(),
        **content,
        "files": files,
    }
    manifest["digest"] = content_digest(manifest)
    (directory / MANIFEST_NAME).write_text(json.dumps(manifest, indent=1) + "\n")
    return manifest


@dataclass(frozen=True)
class Image:
    """A verified image.

    Attributes
    ----------
    path : Path
        Its directory.
    manifest : dict
        Its manifest; `digest` identifies the image.
    """

    path: Path
    manifest: dict[str, Any]

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return int(self.manifest["n_nodes"])

    @property
    def n_neurons(self) -> int:
        """Number of neurons."""
        return sum(size for _, size in self.populations)

    @property
    def populations(self) -> list[tuple[str, int]]:
        """Name and size of each population, in order of neuron numbers."""
        return [(p["name"], int(p["size"])) for p in self.manifest["populations"]]

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest's content."""
        return str(self.manifest["digest"])

    @property
    def node_bytes(self) -> int:
        """Bytes of all node files."""
        return sum(
            int(entry["bytes"])
            for name, entry in self.manifest["files"].items()
            if name.startswith("node_")
        )

    @cached_property
    def nodes(self) -> tuple[NodeImage, ...]:
        """All nodes, memory-mapped."""
        return tuple(read_node(self.path / node_file(k)) for k in range(self.n_nodes))

    @property
    def dt_ms(self) -> float:
        """Duration of a step in ms."""
        return float(self.manifest["dt_ms"])


def open_image(path: str | Path, *, verify: bool = True) -> Image:
    """Open an image directory.

    Parameters
    ----------
    path : str or Path
        The directory.
    verify : bool
        Compare every file with its digest, not only its size.

    Raises
    ------
    InvalidInputError
        If it is no image, of another version, truncated or altered.
    """
    directory = Path(path)
    where = directory / MANIFEST_NAME
    try:
        manifest = json.loads(where.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or "not valid JSON"
        raise InvalidInputError(
            f"{where}: cannot be read as an image manifest ({reason})"
        ) from None
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        raise InvalidInputError(f"{where}: schema must be {SCHEMA!r}")
    if manifest.get("version") != layout.FORMAT_VERSION:
        raise InvalidInputError(
            f"{where}: version = {manifest.get('version')!r}: must be {layout.FORMAT_VERSION}"
        )
    if manifest.get("digest") != content_digest(manifest):
        raise InvalidInputError(f"{where}: digest: the manifest was altered or truncated")
    for name, entry in manifest["files"].items():
        file = directory / name
        try:
            size = file.stat().st_size
        except OSError:
            raise InvalidInputError(f"{file}: missing, but listed in the manifest") from None
        if size != entry["bytes"]:
            raise InvalidInputError(
                f"{file}: truncated or altered: {size} bytes, must be {entry['bytes']}"
            )
        if verify and sha256(file) != entry["sha256"]:
            raise InvalidInputError(f"{file}: altered: its SHA-256 is not the manifest's")
    return Image(directory, manifest)
