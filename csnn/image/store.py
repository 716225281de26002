"""An image directory: node files and the manifest that vouches for them."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy

import csnn
from csnn.errors import InvalidInputError, reject
from csnn.files import MANIFEST_NAME, require_regular, sha256
from csnn.image import layout
from csnn.image.node import NodeImage
from csnn.image.node_file import read_node
from csnn.json_fields import (
    Kind,
    check_fields,
    is_count,
    is_fidelity,
    is_not_negative,
    is_positive,
    is_text,
    list_of,
    object_of,
)
from csnn.spec.neuron import WEIGHT_UNITS

SCHEMA = "csnn-image"
NETWORK_FILE = "network.toml"
_MAX_MANIFEST_BYTES = 64 * 2**20
_POPULATION_FIELDS = (("size", 1), ("first_neuron", 0), ("nodes", 1))
_MAX_NODES = 2**16


def _is_edge_fit(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("overall", {}), dict)


def is_weight_unit(value: Any) -> bool:
    """Return whether `value` is a unit of weights."""
    return isinstance(value, str) and value in WEIGHT_UNITS


# What readers use of a manifest, beside its files, populations and nodes.
_FIELDS: dict[str, tuple[Kind, str]] = {
    "dt_ms": (is_positive, "a number > 0"),
    "weight_grid": (is_positive, "a number > 0"),
    "weight_unit": (is_weight_unit, "pA, nS, mV or 1"),
    "network": (is_text, "a string"),
    "model": (is_text, "a string"),
    "seed": (is_count, "an integer >= 0"),
    "synapses": (is_count, "an integer >= 0"),
}
_OPTIONAL_FIELDS: dict[str, tuple[Kind, str]] = {
    "tools": (object_of(is_text), "an object of versions"),
    "notes": (list_of(is_text), "a list of strings"),
    "network_sha256": (is_text, "a string"),
    "largest_sum_units": (is_count, "an integer >= 0"),
    "explicit_bytes": (is_count, "an integer >= 0"),
    "synapses_by_sampler": (object_of(is_count), "an object of integers >= 0"),
    "fidelity": (is_fidelity, "a list of the errors of each projection's tables"),
    "edge_fit": (_is_edge_fit, "an object"),
    "generate_s": (is_not_negative, "a number >= 0"),
}
# Header fields that all nodes of an image share.
_COMMON_FIELDS = ("ext_lanes", "delay_slots", "grid_exponent")


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
    """Return the SHA-256 of a JSON object in canonical form, without its `digest`.

    `generate_s` is left out as well: the same image made again has the same digest.
    """
    rest = {key: value for key, value in content.items() if key not in ("digest", "generate_s")}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def has_own_digest(content: dict[str, Any]) -> bool:
    """Tell whether the `digest` of a JSON object is its own."""
    try:
        return bool(content.get("digest") == content_digest(content))
    except (ValueError, RecursionError):  # a number that is not finite, or absurd nesting
        return False


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
        """All nodes, memory-mapped; InvalidInputError if one is damaged or does not fit in."""
        nodes = self.read(range(self.n_nodes))
        self.check_together([header_of(node) for node in nodes])
        return tuple(nodes)

    def read(self, numbers: Iterable[int]) -> list[NodeImage]:
        """Memory-map some nodes; InvalidInputError if one is damaged or not of this image.

        Whether they fit the others is what `check_together` finds out.
        """
        nodes = []
        owner = self._population_of_nodes()
        for k in numbers:
            path = self.path / node_file(k)
            node = read_node(path)
            expected = {
                "node": k,
                "population": int(owner[k]),
                "n_sources": self.n_neurons,
                "dt_ms": self.dt_ms,
                "model": self.manifest["model"],
            }
            for name, value in expected.items():
                _require_header(path, name, getattr(node, name), value)
            if 2.0**node.grid_exponent != self.manifest["weight_grid"]:
                grid = self.manifest["weight_grid"]
                raise InvalidInputError(
                    f"{path}: header: grid_exponent = {node.grid_exponent}: must be that of the "
                    f"manifest's weight_grid = {grid!r}"
                )
            nodes.append(node)
        return nodes

    def check_together(self, headers: Sequence[Mapping[str, int]]) -> None:
        """Require that all nodes, of which `header_of` tells, make up the machine.

        Raises
        ------
        InvalidInputError
            If neurons are missing or twice there, or what nodes share differs.
        """
        first = 0
        for k, header in enumerate(headers):
            path = self.path / node_file(k)
            _require_header(path, "first_neuron", header["first_neuron"], first)
            for name in _COMMON_FIELDS:
                _require_header(path, name, header[name], headers[0][name])
            first += header["n_neurons"]
        sizes = [header["n_neurons"] for header in headers]
        held = np.bincount(self._population_of_nodes(), sizes)
        for (name, size), number in zip(self.populations, held.tolist(), strict=True):
            if number != size:
                raise InvalidInputError(
                    f"{self.path}: the nodes of population {name} hold {number:.0f} neurons: "
                    f"must be {size}"
                )

    def _population_of_nodes(self) -> npt.NDArray[np.intp]:
        populations = self.manifest["populations"]
        return np.repeat(np.arange(len(populations)), [p["nodes"] for p in populations])

    @property
    def dt_ms(self) -> float:
        """Duration of a step in ms."""
        return float(self.manifest["dt_ms"])


def header_of(node: NodeImage) -> dict[str, int]:
    """Return what `Image.check_together` needs of a node."""
    return {name: getattr(node, name) for name in ("first_neuron", "n_neurons", *_COMMON_FIELDS)}


def _require_header(path: Path, name: str, found: Any, expected: Any) -> None:
    if found != expected:
        raise InvalidInputError(f"{path}: header: {name} = {found!r}: must be {expected!r}")


def open_image(
    path: str | Path, *, verify: bool = True, nodes: Collection[int] | None = None
) -> Image:
    """Open an image directory.

    Parameters
    ----------
    path : str or Path
        The directory.
    verify : bool
        Compare every file with its digest, not only its size.
    nodes : collection of int, optional
        Look at the files of these nodes only, and at those that belong to no node.

    Raises
    ------
    InvalidInputError
        If it is no image, of another version, truncated or altered.
    """
    directory = Path(path)
    where = directory / MANIFEST_NAME
    manifest = _read_manifest(where)
    others = set()
    if nodes is not None:
        others = {node_file(k) for k in range(manifest["n_nodes"]) if k not in nodes}
    for name, entry in manifest["files"].items():
        if name in others:
            continue
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


def _read_manifest(where: Path) -> dict[str, Any]:
    require_regular(where)
    try:
        if where.stat().st_size > _MAX_MANIFEST_BYTES:
            raise InvalidInputError(f"{where}: larger than {_MAX_MANIFEST_BYTES} bytes")
        manifest = json.loads(where.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or "not valid JSON"
        raise InvalidInputError(
            f"{where}: cannot be read as an image manifest ({reason})"
        ) from None
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        inside = where.parent / "image"
        hint = f"; the image is {inside}" if (inside / where.name).is_file() else ""
        raise InvalidInputError(f"{where}: schema must be {SCHEMA!r}{hint}")
    version = manifest.get("version")
    if not _is_integer(version, 0) or version != layout.FORMAT_VERSION:
        raise reject(f"{where}: version", version, f"must be {layout.FORMAT_VERSION}")
    try:
        digest = content_digest(manifest)
    except (ValueError, RecursionError):  # a number that is not finite, or absurd nesting
        raise InvalidInputError(f"{where}: holds values that no manifest has") from None
    if manifest.get("digest") != digest:
        raise InvalidInputError(f"{where}: digest: the manifest was altered or truncated")
    _check_types(where, manifest)
    return manifest


def _check_types(where: Path, manifest: dict[str, Any]) -> None:
    """Require of a manifest the fields that readers use, also of one that vouches for itself."""

    def require(kept: bool, field: str, value: Any, rule: str) -> None:
        if not kept:
            raise reject(f"{where}: {field}", value, rule)

    files = manifest.get("files")
    require(isinstance(files, dict), "files", files, "must be an object")
    for name, entry in manifest["files"].items():
        # A name with a folder in it would reach outside the image.
        plain = Path(name).name == name and name not in ("", "..")
        plain = plain and name.isascii() and name.isprintable()
        require(plain, "files", name, "must be the name of a file in the image")
        kept = (
            isinstance(entry, dict)
            and _is_integer(entry.get("bytes"), 0)
            and isinstance(entry.get("sha256"), str)
        )
        require(kept, f"files.{name}", entry, "must hold bytes and sha256")
    populations = manifest.get("populations")
    require(
        isinstance(populations, list) and len(populations) > 0,
        "populations",
        populations,
        "must be a list of at least one",
    )
    for index, population in enumerate(manifest["populations"]):
        kept = (
            isinstance(population, dict)
            and isinstance(population.get("name"), str)
            and all(_is_integer(population.get(key), low) for key, low in _POPULATION_FIELDS)
            and is_not_negative(population.get("expected_rate_hz"))
        )
        rule = "must hold a name, the integers size, first_neuron and nodes, and expected_rate_hz"
        require(kept, f"populations[{index}]", population, rule)
    n_nodes = manifest.get("n_nodes")
    total = sum(population["nodes"] for population in manifest["populations"])
    kept = _is_integer(n_nodes, 1) and n_nodes == total <= _MAX_NODES
    rule = f"must be the number of the populations' nodes, at most {_MAX_NODES}"
    require(kept, "n_nodes", n_nodes, rule)
    missing = [k for k in range(total) if node_file(k) not in manifest["files"]]
    require(not missing, "files", missing[:1], "must list every node")
    require(NETWORK_FILE in manifest["files"], "files", "", f"must list {NETWORK_FILE}")
    check_fields(where, manifest, _FIELDS)
    check_fields(where, manifest, _OPTIONAL_FIELDS, optional=_OPTIONAL_FIELDS)


def _is_integer(value: Any, low: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= low
