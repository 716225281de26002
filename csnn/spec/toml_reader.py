"""Read descriptions from TOML; every fault is one line naming file, field, value and rule."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from csnn.errors import InvalidInputError, located
from csnn.spec.description import Description
from csnn.spec.toml_tables import read_description, shown

MAX_BYTES = 16 * 2**20
MAX_DEPTH = 16
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")


def load(path: str | Path) -> Description:
    """Read the description file at `path`.

    Parameters
    ----------
    path : str or Path
        A TOML file. Names of other files in it are relative to its folder.

    Returns
    -------
    Description

    Raises
    ------
    InvalidInputError
        If the file cannot be read, is no TOML, or describes something invalid.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise _one_line(f"{path}: {reason or error}") from None
    if len(content) > MAX_BYTES:
        raise _one_line(f"{path}: is longer than a description can be ({MAX_BYTES} bytes)")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        raise _one_line(f"{path}: line {line}: byte 0x{byte:02x} is not UTF-8 text") from None
    return loads(text, str(path), folder=path.parent)


def loads(text: str, where: str = "<text>", *, folder: Path | None = None) -> Description:
    """Read a description from `text`.

    Parameters
    ----------
    text : str
        The TOML document.
    where : str
        Its name in messages.
    folder : Path, optional
        Folder that relative file names start from; the current one by default.

    Returns
    -------
    Description

    Raises
    ------
    InvalidInputError
        If the text is no TOML or describes something invalid.
    """
    try:
        document = _parse(text)
        _check_bounds(document)
        return read_description(document, folder or Path())
    except InvalidInputError as error:
        raise _one_line(str(located(where, error))) from None


def _one_line(message: str) -> InvalidInputError:
    return InvalidInputError(_UNPRINTABLE.sub("?", message))


def _parse(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        found = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)\Z", message)
        if found is None:
            raise InvalidInputError(message) from None
        reason = message[: found.start()]
        if found[1] is None:
            last = text.count("\n") + 1
            raise InvalidInputError(f"line {last}: {reason} (at the end of the file)") from None
        raise InvalidInputError(f"line {found[1]}, column {found[2]}: {reason}") from None
    except RecursionError:
        raise InvalidInputError(f"nests deeper than {MAX_DEPTH} levels") from None
    except (ValueError, OverflowError):  # an integer of thousands of digits, a date out of range
        raise InvalidInputError("holds a number or date beyond the range of TOML") from None


def _check_bounds(document: dict[str, Any]) -> None:
    """Refuse what TOML does not promise to carry, before anything tries to print it."""
    waiting: list[tuple[str, int, Any]] = [("", 0, document)]
    while waiting:
        place, depth, value = waiting.pop()
        if depth > MAX_DEPTH:
            raise InvalidInputError(f"{place[:80]}: nests deeper than {MAX_DEPTH} levels")
        if isinstance(value, dict):
            waiting += [(f"{place}.{shown(key)}", depth + 1, v) for key, v in value.items()]
        elif isinstance(value, list):
            waiting += [(place, depth + 1, v) for v in value]
        elif isinstance(value, int) and not -(2**63) <= value < 2**63:
            bits = value.bit_length()
            raise InvalidInputError(
                f"{place.strip('.')}: an integer of {bits} bits; must fit in 64 bits"
            )
