"""Random damage to bytes, texts, JSON values and arrays, for tests that feed it to readers."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.files import sha256
from csnn.image.store import content_digest

Random = np.random.Generator

# What a field may hold that nobody expects.
NUMBERS = (
    *(
        "0",
        "-1",
        "1",
        "2",
        "255",
        "256",
        "65536",
        "4294967295",
        "4294967296",
        "-9223372036854775808",
    ),
    *("9223372036854775807", "18446744073709551616", "1" + "0" * 400),
    *("0.5", "-0.0", "1e-320"),
    *(
        "1e308",
        "-1e308",
        "1e400",
        "nan",
        "inf",
        "-inf",
        "0x7fffffff",
        "1_000",
        "1979-05-27",
        "true",
    ),
)
TEXTS = (
    *(
        '""',
        '"E"',
        '"I"',
        '"pd14"',
        '"x' + "y" * 500 + '"',
        '"\\u0000"',
        '"\\n"',
        '"../../etc/passwd"',
    ),
    *(
        "[]",
        "{}",
        "[1, 2]",
        "[[1.0, 2.0], [3.0]]",
        '{ distribution = "normal" }',
        "[" * 60 + "]" * 60,
    ),
    *('{ name = "all_to_all" }', "{ a = { a = { a = { a = 1 } } } }", "false", "'''", "[0, 'a']"),
    *('{ distribution = "normal", mu = 1e300, sigma = 1e300 }', '"\N{SNOWMAN}"', "[true]"),
)
JSON_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**32, 2**63, 2**64, 10**400, 0.5, -1.5, 1e308, 5e-324),
    *("", "x", "E", "\0", "../x", "node_00000.bin", [], {}, [[]], [None], {"": {}}, ["x"] * 3),
    *(float("nan"), float("inf")),
)
WORDS = (
    0,
    1,
    2,
    3,
    23,
    63,
    64,
    255,
    256,
    2**15,
    2**16 - 1,
    2**16,
    2**24,
    2**31 - 1,
    2**31,
    2**32 - 1,
)


def mutate_bytes(content: bytes, rng: Random) -> bytes:
    """Damage bytes anywhere: bits, ranges, length."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        n = len(data)
        if n < 2:
            return bytes(rng.bytes(int(rng.integers(0, 50))))
        at = int(rng.integers(n))
        size = int(rng.integers(1, max(2, min(64, n - at))))
        match int(rng.integers(8)):
            case 0 | 1:
                data[at] ^= 1 << int(rng.integers(8))
            case 2:
                del data[at : at + size]
            case 3:
                data[at:at] = rng.bytes(size)
            case 4:
                data[at : at + size] = data[at : at + size] * 2
            case 5:
                del data[at:]
            case 6:
                data[at : at + size] = bytes([int(rng.choice([0, 255]))]) * len(
                    data[at : at + size]
                )
            case _:
                other = int(rng.integers(n))
                data[at : at + size] = data[other : other + size]
    return bytes(data)


def mutate_words(content: bytes, rng: Random) -> bytes:
    """Overwrite aligned 32-bit words, more often those of the header, with unlikely numbers."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        last = len(data) // 4 if rng.random() < 0.5 else min(len(data) // 4, 250)
        at = 4 * int(rng.integers(last))
        width = int(rng.choice([1, 2, 4]))
        word = int(rng.choice(WORDS)) if rng.random() < 0.8 else int(rng.integers(2**32))
        data[at : at + width] = word.to_bytes(4, "little")[:width]
    return bytes(data)


def mutate_toml(text: str, rng: Random) -> str:
    """Damage a description in its values, keys and lines."""
    for _ in range(int(rng.integers(1, 4))):
        lines = text.splitlines(keepends=True)
        at = int(rng.integers(len(lines)))
        match int(rng.integers(7)):
            case 0:
                del lines[at]
            case 1:
                lines.insert(int(rng.integers(len(lines))), lines[at])
            case 2:
                other = int(rng.integers(len(lines)))
                lines[at], lines[other] = lines[other], lines[at]
            case 3 | 4:
                lines[at] = _replace_token(lines[at], r"-?\b[0-9][0-9.e_+-]*\b", NUMBERS, rng)
            case 5:
                lines[at] = _replace_token(lines[at], r'"[^"]*"|\{.*\}|[0-9.]+', TEXTS, rng)
            case _:
                names = re.findall(r"\b[A-Za-z_]+\b", text)
                lines[at] = _replace_token(lines[at], r"\b[A-Za-z_]+\b", names, rng)
        text = "".join(lines) or "x"
    return text


def _replace_token(line: str, pattern: str, values: Any, rng: Random) -> str:
    found = list(re.finditer(pattern, line))
    if not found:
        return line
    token = found[int(rng.integers(len(found)))]
    value = str(values[int(rng.integers(len(values)))])
    return line[: token.start()] + value + line[token.end() :]


def mutate_json(content: Any, rng: Random) -> Any:
    """Return a copy of a JSON value in which one value or key, at any depth, is another."""
    content = json.loads(json.dumps(content))
    places: list[tuple[Any, Any]] = []
    waiting = [content]
    while waiting:
        value = waiting.pop()
        keys = list(value) if isinstance(value, dict) else range(len(value))
        for key in keys:
            places.append((value, key))
            if isinstance(value[key], (dict, list)):
                waiting.append(value[key])
    holder, key = places[int(rng.integers(len(places)))]
    match int(rng.integers(5)):
        case 0:
            del holder[key]
        case 1:
            other, name = places[int(rng.integers(len(places)))]
            holder[key] = json.loads(json.dumps(other[name])) if _holds(other, name) else None
        case 2 if isinstance(holder[key], (int, float)) and not isinstance(holder[key], bool):
            holder[key] = holder[key] + int(rng.choice([-1, 1]))
        case _:
            holder[key] = JSON_VALUES[int(rng.integers(len(JSON_VALUES)))]
    return content


def _holds(holder: Any, key: Any) -> bool:
    return key in holder if isinstance(holder, dict) else key < len(holder)


def vouched(manifest: dict[str, Any]) -> str:
    """Return the text of a manifest with a digest that is right, where it can have one."""
    with contextlib.suppress(ValueError, TypeError):
        manifest = {**manifest, "digest": content_digest(manifest)}
    return json.dumps(manifest)


def vouch_for(directory: Path, name: str) -> None:
    """Make the manifest of a directory agree with a file that was changed."""
    path = directory / "manifest.json"
    manifest = json.loads(path.read_text())
    file = directory / name
    manifest["files"][name] = {"bytes": file.stat().st_size, "sha256": sha256(file)}
    path.write_text(vouched(manifest))


def mutate_arrays(arrays: dict[str, npt.NDArray[Any]], rng: Random) -> dict[str, npt.NDArray[Any]]:
    """Return arrays of which one has other values, another shape or another type."""
    arrays = dict(arrays)
    name = str(rng.choice(sorted(arrays)))
    array = arrays[name].copy()
    values: list[Callable[[], npt.NDArray[Any]]] = [
        lambda: array[:-1] if array.ndim else array[None],
        lambda: array[None],
        lambda: np.concatenate([array, array]) if array.ndim else array + 1,
        lambda: array.astype(str(rng.choice(["u8", "f8", "i1", "U3", "?", "c8", "M8[s]"]))),
        lambda: array.reshape(-1)[::-1].reshape(array.shape),
        lambda: np.zeros_like(array),
        lambda: np.asarray(array.T),
    ]
    if rng.random() < 0.5 and array.size and array.dtype.kind in "ui":
        flat = array.reshape(-1)
        for at in rng.integers(array.size, size=int(rng.integers(1, 20))):
            flat[at] = np.asarray(int(rng.choice(WORDS))).astype(array.dtype)
        arrays[name] = flat.reshape(array.shape)
    else:
        arrays[name] = values[int(rng.integers(len(values)))]()
    return arrays
