"""Which formats spikes can be written in, and how a name tells one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from csnn.errors import reject
from csnn.spikes.extras import require
from csnn.spikes.neo import write_neo
from csnn.spikes.nest import write_nest
from csnn.spikes.npz import write_npz
from csnn.spikes.sonata import write_sonata
from csnn.spikes.trains import Spikes


@dataclass(frozen=True)
class _Format:
    suffixes: tuple[str, ...]
    modules: tuple[str, ...]
    write: Callable[[str | Path, Spikes], None]


_FORMATS = {
    "npz": _Format((".npz",), (), write_npz),
    "nest": _Format((".dat",), (), write_nest),
    "sonata": _Format((".h5", ".hdf5"), ("h5py",), write_sonata),
    "neo": _Format((".nix",), ("neo", "nixio"), write_neo),
}
FORMATS = tuple(_FORMATS)


def choose_format(path: str | Path) -> str:
    """Return the format that a file name ends in.

    Raises
    ------
    InvalidInputError
        If it ends in none.
    """
    name = str(path).lower()
    for kind, found in _FORMATS.items():
        if name.endswith(found.suffixes):
            return kind
    suffixes = [suffix for found in _FORMATS.values() for suffix in found.suffixes]
    rule = f"must end in {', '.join(suffixes)}, or a format be chosen"
    raise reject("spike file", str(path), rule)


def require_format(kind: str) -> None:
    """Refuse a format that does not exist, or whose packages are not installed.

    Raises
    ------
    InvalidInputError, ToolMissingError
    """
    if kind not in _FORMATS:
        raise reject("format", kind, f"must be one of {', '.join(FORMATS)}")
    if _FORMATS[kind].modules:
        require(kind, *_FORMATS[kind].modules)


def write(path: str | Path, spikes: Spikes, kind: str | None = None) -> None:
    """Write spikes in one of the formats.

    Parameters
    ----------
    path : str or Path
        Destination, complete or absent, never half-written; an existing file is replaced.
    spikes : Spikes
    kind : str, optional
        npz, nest, sonata or neo; by default what the name ends in.

    Raises
    ------
    InvalidInputError
        If there is no such format, or the file cannot be written.
    ToolMissingError
        If the packages of the format are not installed.
    """
    kind = choose_format(path) if kind is None else kind
    require_format(kind)
    _FORMATS[kind].write(path, spikes)
