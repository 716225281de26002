"""Optional packages of file formats, and the errors of HDF5, which both of them use."""

from __future__ import annotations

import errno
import importlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from csnn.errors import InvalidInputError, ToolMissingError


def require(extra: str, *modules: str) -> Any:
    """Return the first of the modules of an optional dependency, all of them imported.

    Raises
    ------
    ToolMissingError
        If one cannot be imported, with the command that installs the extra.
    """
    try:
        loaded = [importlib.import_module(module) for module in modules]
    except ImportError as error:
        raise ToolMissingError(
            f'spikes as {extra} need {" and ".join(modules)}: pip install "csnn[{extra}]" ({error})'
        ) from None
    return loaded[0]


def require_room(path: Path, n_bytes: int) -> None:
    """Raise OSError if the disk has no room for so many bytes at `path`, before HDF5 finds out.

    When a write fails, HDF5 tries again for every object it closes, and h5py prints a traceback
    each time.
    """
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, n_bytes)
            file.truncate(0)


@contextmanager
def hdf5_errors(path: str | Path, stand_in: Path | None = None) -> Iterator[None]:
    """Turn what HDF5 raises while it reads or writes `path` into an InvalidInputError.

    h5py raises OSError, RuntimeError, KeyError or ValueError with the library's own stack of
    messages; an errno of the system stands in their text at best.
    """
    try:
        yield
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        text = str(error)
        number = re.search(r"errno = (\d+)", text, re.IGNORECASE)
        code = int(number[1]) if number else (error.errno if isinstance(error, OSError) else None)
        if code is not None and code in errno.errorcode:
            reason = os.strerror(code)
        else:
            reason = "damaged or another file" + (f" ({text.splitlines()[0][:80]})" if text else "")
        if stand_in is not None:
            reason = reason.replace(str(stand_in), str(path))
        raise InvalidInputError(f"{path}: {reason}") from None
