"""Explicit synapses: a list of (source, target, weight, delay) and its files.

Files are .npz (arrays `source`, `target`, `weight_pA`, `delay_ms`) or .csv with a header row of the
same names in any order; lines that begin with `#` are comments, and .csv.gz is compressed. The
column of weights ends in their unit: it is `weight_nS`, `weight_mV` or `weight` where a network's
weights are not in pA.
"""

from __future__ import annotations

import dataclasses
import gzip
import io
import re
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from csnn.errors import InvalidInputError, reject
from csnn.files import atomic_file, reported
from csnn.progress import Progress, progress
from csnn.spec.network import PART_RULE
from csnn.spec.neuron import weight_key

COLUMNS = ("source", "target", "weight", "delay_ms")
# Column of the weights of current-based networks.
_WEIGHT_PA = "weight_pA"
_IDS = ("source", "target")
_CSV_BLOCK = 2**16


@dataclass(frozen=True, kw_only=True, eq=False)
class Edges:
    """Explicit synapses, one per row.

    Attributes
    ----------
    source, target : ndarray of uint32, shape (n,)
        Global neuron numbers from 0 in population order.
    weight : ndarray of float64, shape (n,)
        Weight in the unit that the weights of the network have; negative is inhibitory.
    delay_ms : ndarray of float64, shape (n,)
        Delay in ms.
    """

    source: npt.NDArray[np.uint32]
    target: npt.NDArray[np.uint32]
    weight: npt.NDArray[np.float64]
    delay_ms: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        for field in COLUMNS:
            wanted = np.dtype(np.uint32 if field in _IDS else np.float64)
            values = getattr(self, field)
            if not isinstance(values, np.ndarray) or values.dtype != wanted or values.ndim != 1:
                kind = f"{values.dtype}" if isinstance(values, np.ndarray) else type(values)
                raise reject(f"edges.{field}", kind, f"must be a one-dimensional {wanted} array")
            if len(values) != len(self.source):
                raise reject(f"edges.{field}", len(values), f"must have {len(self.source)} rows")

    def __len__(self) -> int:
        return len(self.source)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Edges):
            return NotImplemented
        return all(
            np.array_equal(getattr(self, f.name), getattr(other, f.name))
            for f in dataclasses.fields(self)
        )

    __hash__ = None  # type: ignore[assignment]


def _columns(weight: str) -> tuple[str, ...]:
    return tuple(weight if name == "weight" else name for name in COLUMNS)


def read(path: str | Path, n_neurons: int, weight: str = _WEIGHT_PA) -> Edges:
    """Read an edge list and check every row.

    Parameters
    ----------
    path : str or Path
        A .npz, .csv or .csv.gz file.
    n_neurons : int
        Number of neurons of the network; IDs must be below it.
    weight : str
        Name of the column of weights, which ends in their unit (`csnn.spec.neuron.weight_key`).

    Returns
    -------
    Edges
        Rows in the order of the file.

    Raises
    ------
    InvalidInputError
        If the file cannot be read, lacks a column, is empty, or a row holds a neuron that does not
        exist, a weight that is no finite number or beyond what it is a part of, or a delay that is
        no finite number above zero. Rows are counted from 1, without header and comments.
    """
    suffix = _suffix(path)
    with reported(path):
        wanted = _columns(weight)
        columns = _read_npz(path, wanted) if suffix == ".npz" else _read_csv(path, suffix, wanted)
    for field, values in columns.items():
        if values.ndim != 1:
            rule = "must be a one-dimensional array"
            raise reject(f"{path}: shape of {field}", values.shape, rule)
    n_rows = len(columns["source"])
    for field, values in columns.items():
        if len(values) != n_rows:
            rule = f"must be as long as source, which has {n_rows} rows"
            raise reject(f"{path}: length of {field}", len(values), rule)
    if n_rows == 0:
        raise InvalidInputError(f"{path}: holds no edges; needs at least one row")
    weights = _reals(path, weight, columns[weight])
    if weight == weight_key("1"):
        _refuse_first(path, weight, weights, np.abs(weights) > 1.0, PART_RULE)
    return Edges(
        source=_ids(path, "source", columns["source"], n_neurons),
        target=_ids(path, "target", columns["target"], n_neurons),
        weight=weights,
        delay_ms=_reals(path, "delay_ms", columns["delay_ms"]),
    )


def write(path: str | Path, edges: Edges, weight: str = _WEIGHT_PA) -> None:
    """Write an edge list that `read` reads back bit for bit.

    Parameters
    ----------
    path : str or Path
        Destination ending in .npz, .csv or .csv.gz; complete or absent, never half-written.
    edges : Edges
        The synapses.
    weight : str
        Name of the column of weights.

    Raises
    ------
    InvalidInputError
        If the suffix is another one or the system refuses (disk full, permission).
    """
    suffix = _suffix(path)
    total = None if suffix == ".npz" else len(edges)
    with (
        atomic_file(path) as temporary,
        temporary.open("wb") as stream,
        progress(total, "write", "edges") as bar,
    ):
        if suffix == ".npz":
            arrays: dict[str, Any] = {
                name: getattr(edges, field)
                for name, field in zip(_columns(weight), COLUMNS, strict=True)
            }
            np.savez(stream, **arrays)
        elif suffix == ".csv":
            _write_csv(stream, edges, _columns(weight), bar)
        else:
            # No name and time inside: equal edges make equal files.
            with gzip.GzipFile("", "wb", 6, stream, mtime=0) as packed:
                _write_csv(packed, edges, _columns(weight), bar)


def check_name(path: str | Path) -> None:
    """Raise InvalidInputError if `write` would refuse the name."""
    _suffix(path)


def _suffix(path: str | Path) -> str:
    name = str(path).lower()
    for suffix in (".npz", ".csv", ".csv.gz"):
        if name.endswith(suffix):
            return suffix
    raise reject("edge list", str(path), "must end in .npz, .csv or .csv.gz")


def _write_csv(stream: Any, edges: Edges, names: tuple[str, ...], bar: Progress) -> None:
    stream.write((",".join(names) + "\n").encode())
    for first in range(0, len(edges), _CSV_BLOCK):
        block = slice(first, first + _CSV_BLOCK)
        rows = zip(*(getattr(edges, field)[block].tolist() for field in COLUMNS), strict=True)
        stream.write("".join(f"{s},{t},{w!r},{d!r}\n" for s, t, w, d in rows).encode())
        bar.update(min(_CSV_BLOCK, len(edges) - first))


def _check_columns(path: str | Path, names: list[str], wanted: tuple[str, ...]) -> None:
    for field in wanted:
        if field not in names:
            shown = ", ".join(names)[:80]
            raise InvalidInputError(f"{path}: column {field} is missing; found: {shown}")
    for name in names:
        if name not in wanted or names.count(name) > 1:
            raise reject(f"{path}: column", name, f"must be one of {', '.join(wanted)}, once each")


def _read_npz(path: str | Path, wanted: tuple[str, ...]) -> dict[str, npt.NDArray[Any]]:
    with Path(path).open("rb") as stream:
        try:
            if not zipfile.is_zipfile(stream):
                raise ValueError("not a zip archive, or truncated")
            stream.seek(0)
            with np.load(stream, allow_pickle=False) as archive:
                _check_columns(path, list(archive.files), wanted)
                columns = {field: archive[field] for field in wanted}
        except (InvalidInputError, OSError):
            raise
        except Exception as error:
            # Damaged bytes make zipfile, zlib and NumPy's parser raise types of their own.
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InvalidInputError(f"{path}: is no readable .npz file: {reason}") from None
    for field, values in columns.items():
        if not isinstance(values, np.ndarray) or values.dtype.kind not in "iuf":
            kind = str(getattr(values, "dtype", "no array"))
            raise reject(f"{path}: type of {field}", kind, "must be an array of numbers")
    return columns


def _read_csv(
    path: str | Path, suffix: str, wanted: tuple[str, ...]
) -> dict[str, npt.NDArray[Any]]:
    opener: Any = gzip.open if suffix == ".csv.gz" else open
    try:
        with opener(Path(path), "rb") as raw, io.TextIOWrapper(raw, encoding="utf-8-sig") as text:
            names = _header(path, text, wanted)
            table = _table(path, text, names)
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise InvalidInputError(f"{path}: byte 0x{byte:02x} is not UTF-8 text") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InvalidInputError(f"{path}: is no readable .csv.gz file: {error}") from None
    return {field: table[:, names.index(field)] for field in wanted}


def _header(path: str | Path, text: IO[str], wanted: tuple[str, ...]) -> list[str]:
    for line in text:
        content = line.split("#")[0].strip()
        if content:
            names = [name.strip().strip('"') for name in content.split(",")]
            _check_columns(path, names, wanted)
            return names
    raise InvalidInputError(f"{path}: is empty; needs a header row {','.join(wanted)}")


def _table(path: str | Path, text: IO[str], names: list[str]) -> npt.NDArray[np.float64]:
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "loadtxt: input contained no data")
            table = np.loadtxt(text, delimiter=",", comments="#", quotechar='"', ndmin=2)
    except UnicodeDecodeError:
        raise
    except ValueError as error:
        raise InvalidInputError(f"{path}: {_loadtxt_fault(str(error), names)}") from None
    if table.size and table.shape[1] != len(names):
        found = f"{table.shape[1]} values"
        raise InvalidInputError(f"{path}: row 1 = {found}: must hold {len(names)} values")
    return table.reshape(-1, len(names))


def _loadtxt_fault(message: str, names: list[str]) -> str:
    """Say which row and field NumPy could not read."""
    found = re.match(
        r"could not convert string (.*) to float64 at row (\d+), column (\d+)", message
    )
    if found:
        field = names[int(found[3]) - 1] if int(found[3]) <= len(names) else f"column {found[3]}"
        return f"row {int(found[2]) + 1}: {field} = {found[1][:80]}: must be a number"
    found = re.match(r"the number of columns changed from \d+ to (\d+) at row (\d+)", message)
    if found:
        return f"row {found[2]} = {found[1]} values: must hold {len(names)} values"
    return message.splitlines()[0]


def _refuse_first(
    path: str | Path, field: str, values: npt.NDArray[Any], bad: npt.NDArray[np.bool_], rule: str
) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        raise reject(f"{path}: row {row + 1}: {field}", values[row].item(), rule)


def _ids(
    path: str | Path, field: str, values: npt.NDArray[Any], n_neurons: int
) -> npt.NDArray[np.uint32]:
    if values.dtype.kind == "f":
        # NaN differs from its floor, too; infinities are caught as too large or negative.
        _refuse_first(path, field, values, values != np.floor(values), "must be an integer")
    if values.dtype.kind != "u":
        _refuse_first(path, field, values, values < 0, "must be >= 0")
    if values.max() >= n_neurons:
        row = int(np.argmax(values >= n_neurons))
        rule = f"must be below {n_neurons}: the network has {n_neurons} neurons, numbered from 0"
        raise reject(f"{path}: row {row + 1}: {field}", values[row].item(), rule)
    return values.astype(np.uint32)


def _reals(path: str | Path, field: str, values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    with np.errstate(over="ignore", under="ignore"):  # wider types, beyond the range of float64
        numbers = np.ascontiguousarray(values, dtype=np.float64)
    _refuse_first(path, field, values, ~np.isfinite(numbers), "must be a finite number")
    if field == "delay_ms":
        _refuse_first(path, field, values, numbers <= 0, "must be > 0")
    return numbers
