"""Edge lists: round trips through every format, and every fault of a file named by row."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from csnn import edges as edges_module
from csnn.edges import Edges, read, write
from csnn.errors import InvalidInputError

HEADER = "source,target,weight_pA,delay_ms\n"


def random_edges(n: int, seed: int = 1) -> Edges:
    rng = np.random.default_rng(seed)
    return Edges(
        source=rng.integers(0, 100, n, dtype=np.uint32),
        target=rng.integers(0, 100, n, dtype=np.uint32),
        weight=rng.normal(0.0, 1.0, n) * 10.0 ** rng.integers(-300, 300, n),
        delay_ms=rng.random(n) + 1e-9,
    )


@pytest.mark.parametrize("suffix", [".npz", ".csv", ".csv.gz"])
@pytest.mark.parametrize("n", [1, 1000])
def test_written_edges_read_back_bit_for_bit(
    tmp_path: Path, suffix: str, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edges_module, "_CSV_BLOCK", 64)  # several blocks, the last one short
    written = random_edges(n)
    path = tmp_path / f"e{suffix}"
    write(path, written)
    found = read(path, 100)
    assert found == written
    assert len(found) == n
    assert found != random_edges(n, seed=2)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    first = path.read_bytes()
    write(path, written)
    assert path.read_bytes() == first


def test_csv_may_have_any_column_order_comments_quotes_and_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "e.csv"
    path.write_text(
        "\ufeff# made by hand\n\n"
        'delay_ms, "target",source,weight_pA\r\n'
        "1.5, 3, 1, -2.5e1  # inhibitory\n\n"
        "# nothing\n"
        '"0.1",0,2,8\n'
    )
    assert read(path, 4) == Edges(
        source=np.array([1, 2], dtype=np.uint32),
        target=np.array([3, 0], dtype=np.uint32),
        weight=np.array([-25.0, 8.0]),
        delay_ms=np.array([1.5, 0.1]),
    )


CSV_FAULTS = [
    ("", "is empty; needs a header row source,target,weight_pA,delay_ms"),
    ("# only a comment\n\n", "is empty; needs a header row"),
    (HEADER, "holds no edges; needs at least one row"),
    ("1,2,3.0,1.5\n", "column source is missing; found: 1, 2, 3.0, 1.5"),
    ("source,target,weight_pA\n1,2,3\n", "column delay_ms is missing"),
    (
        "source,target,weight_pA,delay_ms,kind\n1,2,3,4,5\n",
        "column = 'kind': must be one of source, target",
    ),
    ("source,target,weight_pA,delay_ms,source\n1,2,3,4,5\n", "column = 'source': must be"),
    (HEADER + "1,2,3.0\n", "row 1 = 3 values: must hold 4 values"),
    (HEADER + "1,2,3.0,1.5\n1,2,3.0\n", "row 2 = 3 values: must hold 4 values"),
    (HEADER + "1,2,3.0,1.5\n1,2,x,1.5\n", "row 2: weight_pA = 'x': must be a number"),
    (HEADER + "1,,3.0,1.5\n", "row 1: target = '': must be a number"),
    (HEADER + "1,2,3.0,1.5\n1.5,2,3,1\n", "row 2: source = 1.5: must be an integer"),
    (HEADER + "nan,2,3,1\n", "row 1: source = nan: must be an integer"),
    (HEADER + "1,-2,3,1\n", "row 1: target = -2.0: must be >= 0"),
    (HEADER + "1,2,3,1\n" * 4 + "1,123,3,1\n", "row 5: target = 123.0: must be below 100"),
    (HEADER + "1e300,2,3,1\n", "row 1: source = 1e+300: must be below 100: the network has 100"),
    (HEADER + "1,2,nan,1\n", "row 1: weight_pA = nan: must be a finite number"),
    (HEADER + "1,2,-inf,1\n", "row 1: weight_pA = -inf: must be a finite number"),
    (HEADER + "1,2,3,1\n1,2,3,0\n", "row 2: delay_ms = 0.0: must be > 0"),
    (HEADER + "1,2,3,-1.5\n", "row 1: delay_ms = -1.5: must be > 0"),
    (HEADER + "1,2,3,inf\n", "row 1: delay_ms = inf: must be a finite number"),
]


@pytest.mark.parametrize(("text", "fragment"), CSV_FAULTS, ids=[f for _, f in CSV_FAULTS])
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_faults_of_csv_files_are_named(
    tmp_path: Path, text: str, fragment: str, suffix: str
) -> None:
    path = tmp_path / f"e{suffix}"
    path.write_bytes(gzip.compress(text.encode()) if suffix == ".csv.gz" else text.encode())
    _expect(path, fragment)


def _expect(path: Path, fragment: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read(path, 100)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert fragment in message
    assert len(message.splitlines()) == 1


GOOD: dict[str, Any] = {
    "source": np.array([1, 2, 3]),
    "target": np.array([4, 5, 6]),
    "weight_pA": np.array([1.0, -2.0, 3.0]),
    "delay_ms": np.array([1.5, 1.5, 0.1]),
}
NPZ_FAULTS: list[tuple[str, dict[str, Any], str]] = [
    ("missing", {"target": None}, "column target is missing; found: source, weight_pA, delay_ms"),
    ("unknown", {"kind": np.ones(3)}, "column = 'kind': must be one of"),
    ("length", {"delay_ms": np.ones(2)}, "length of delay_ms = 2: must be as long as source"),
    ("empty", {key: np.ones(0) for key in GOOD}, "holds no edges"),
    ("matrix", {"source": np.ones((3, 1), dtype=int)}, "source = (3, 1): must be a one-dim"),
    ("lone", {"source": np.uint32(3)}, "shape of source = (): must be a one-dimensional"),
    ("scalar", {"weight_pA": np.float64(1.0)}, "weight_pA = (): must be a one-dimensional"),
    ("text", {"weight_pA": np.array(["a", "b", "c"])}, "type of weight_pA = '<U1': must be an"),
    ("truth", {"source": np.ones(3, dtype=bool)}, "type of source = 'bool'"),
    ("complex", {"weight_pA": np.ones(3, dtype=complex)}, "type of weight_pA = 'complex128'"),
    ("object", {"source": np.array([1, {}, 2])}, "is no readable .npz file: Object arrays cannot"),
    ("negative", {"source": np.array([1, 2, -1])}, "row 3: source = -1: must be >= 0"),
    (
        "fraction",
        {"target": np.array([1.0, 2.25, 1.0])},
        "row 2: target = 2.25: must be an integer",
    ),
    (
        "large",
        {"target": np.array([1, 2**63 + 1, 1], dtype=np.uint64)},
        f"row 2: target = {2**63 + 1}: must be below 100",
    ),
    ("limit", {"source": np.array([1, 99, 100])}, "row 3: source = 100: must be below 100: the"),
    (
        "nan",
        {"weight_pA": np.array([1.0, np.nan, 1.0])},
        "row 2: weight_pA = nan: must be a finite",
    ),
    ("delay", {"delay_ms": np.array([1, 0, 1])}, "row 2: delay_ms = 0: must be > 0"),
    (
        "wide",
        {"weight_pA": np.array([1, 2, 3], np.longdouble) * np.longdouble("1e4000")},
        "row 1: weight_pA = ",
    ),
]


@pytest.mark.parametrize(("name", "change", "fragment"), NPZ_FAULTS, ids=[f[0] for f in NPZ_FAULTS])
def test_faults_of_npz_files_are_named(
    tmp_path: Path, name: str, change: dict[str, Any], fragment: str
) -> None:
    path = tmp_path / f"{name}.npz"
    arrays = {key: value for key, value in {**GOOD, **change}.items() if value is not None}
    np.savez(path, **arrays)
    _expect(path, fragment)


def test_other_number_types_are_converted(tmp_path: Path) -> None:
    path = tmp_path / "e.npz"
    np.savez_compressed(
        path,
        source=np.array([1.0, 99.0], dtype=np.float32),
        target=np.array([0, 5], dtype=np.uint8),
        weight_pA=np.array([-3, 4], dtype=np.int16),
        delay_ms=np.array([1, 2], dtype=np.uint8),
    )
    found = read(path, 100)
    assert found.source.tolist() == [1, 99]
    assert found.weight.tolist() == [-3.0, 4.0]
    assert found.delay_ms.dtype == np.float64


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _overwrite(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[100:130] = b"\xff" * 30
    path.write_bytes(bytes(content))


def _text(path: Path) -> None:
    path.write_text("source,target\n")


@pytest.mark.parametrize("damage", [_truncate, _overwrite, _text])
@pytest.mark.parametrize("suffix", [".npz", ".csv.gz"])
def test_damaged_archives_are_refused(
    tmp_path: Path, suffix: str, damage: Callable[[Path], None]
) -> None:
    path = tmp_path / f"e{suffix}"
    write(path, random_edges(50))
    damage(path)
    _expect(path, f"is no readable {suffix} file" if damage is not _overwrite else "")


def test_files_that_cannot_be_opened_are_named(tmp_path: Path) -> None:
    _expect(tmp_path / "none.npz", "No such file or directory")
    (tmp_path / "folder.csv").mkdir()
    _expect(tmp_path / "folder.csv", "Is a directory")
    binary = tmp_path / "binary.csv"
    binary.write_bytes(HEADER.encode() + b"1,2,\xff,1\n")
    _expect(binary, "byte 0xff is not UTF-8 text")
    with pytest.raises(InvalidInputError, match=r"'e\.txt': must end in \.npz, \.csv or \.csv\.gz"):
        read("e.txt", 1)
    with pytest.raises(InvalidInputError, match="must end in"):
        write(tmp_path / "e.json", random_edges(1))
    with pytest.raises(InvalidInputError, match=r"the folder .* does not exist"):
        write(tmp_path / "none" / "e.npz", random_edges(1))


def test_edges_of_wrong_shape_or_type_are_refused() -> None:
    good = random_edges(3)
    fields = {name: getattr(good, name) for name in edges_module.COLUMNS}
    for field, value, fragment in (
        ("source", good.source.astype(np.int64), r"edges\.source = 'int64': must be a one-dim"),
        ("weight", np.ones(3, dtype=np.float32), "float32"),
        ("delay_ms", good.delay_ms[:2], r"edges\.delay_ms = 2: must have 3 rows"),
        ("target", good.target[:, None], "must be a one-dimensional uint32 array"),
        ("target", [1, 2, 3], "must be a one-dimensional uint32 array"),
    ):
        with pytest.raises(InvalidInputError, match=fragment):
            Edges(**{**fields, field: value})


@pytest.mark.parametrize("size", [10**13, 10**30])
def test_absurd_sizes_are_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "e.npz"
    header = f"{{'descr': '<u4', 'fortran_order': False, 'shape': ({size},), }}\n".encode()
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with zipfile.ZipFile(path, "w") as archive:
        for field in GOOD:
            archive.writestr(f"{field}.npy", content)
    _expect(path, "is no readable .npz file")
