"""Arrays in an .npz file that vouches for itself: a header with a digest of every array.

For files that stand alone, such as checkpoints; what lies in an artifact directory has its digest
in the manifest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.errors import InvalidInputError, reject
from csnn.files import atomic_file, require_regular
from csnn.image.store import content_digest

Arrays = dict[str, npt.NDArray[Any]]


def write_sealed(
    path: str | Path,
    header: Mapping[str, Any],
    arrays: Mapping[str, npt.NDArray[Any]],
    *,
    compress: bool = False,
) -> None:
    """Write arrays and a header atomically.

    Parameters
    ----------
    path : str or Path
    header : mapping
        JSON values; `schema` and `version` among them. `arrays` and `digest` are added.
    arrays : mapping of str to ndarray
    compress : bool
        Worth its time for arrays that are mostly zero.

    Raises
    ------
    InvalidInputError
        If the system refuses (disk full, permission).
    """
    sealed = {**header, "arrays": {name: _digest(array) for name, array in arrays.items()}}
    sealed["digest"] = content_digest(sealed)
    members: dict[str, Any] = {"header": np.array(json.dumps(sealed)), **arrays}
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        (np.savez_compressed if compress else np.savez)(file, allow_pickle=False, **members)


def read_sealed(
    path: str | Path, schema: str, version: int, names: tuple[str, ...], kind: str
) -> tuple[dict[str, Any], Arrays]:
    """Read a file of `write_sealed`.

    Parameters
    ----------
    path : str or Path
    schema, version
        What the header must say.
    names : tuple of str
        Arrays to read.
    kind : str
        What the file is, as messages say: "checkpoint".

    Returns
    -------
    header : dict
    arrays : dict of str to ndarray
        Of any shape and type: the file may vouch for what its reader cannot use.

    Raises
    ------
    InvalidInputError
        If the file is missing, damaged, or of another schema or version.
    """
    require_regular(path)
    try:
        # np.load would not close a damaged file that it had opened itself.
        with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as data:
            header = json.loads(str(data["header"]))
            arrays = {name: np.asarray(data[name]) for name in names}
            intact = _is_intact(header, arrays)
    except OSError as error:
        reason = error.strerror or f"damaged or not a {kind}"
        raise InvalidInputError(f"{path}: cannot be read as a {kind} ({reason})") from None
    except Exception:
        # Damaged bytes make zipfile, zlib and NumPy's parser raise types of their own.
        reason = f"damaged or not a {kind}"
        raise InvalidInputError(f"{path}: cannot be read as a {kind} ({reason})") from None
    if not isinstance(header, dict) or header.get("schema") != schema:
        raise InvalidInputError(f"{path}: schema must be {schema!r}")
    if header.get("version") != version:
        raise reject(f"{path}: version", header.get("version"), f"must be {version}")
    if not intact:
        raise InvalidInputError(f"{path}: damaged {kind} (digest)")
    return header, arrays


def _is_intact(header: Any, arrays: Arrays) -> bool:
    if not isinstance(header, dict) or header.get("digest") != content_digest(header):
        return False
    return bool(header.get("arrays") == {name: _digest(array) for name, array in arrays.items()})


def _digest(array: npt.NDArray[Any]) -> str:
    content = np.ascontiguousarray(array)
    head = f"{content.dtype}{content.shape}".encode()
    digest = hashlib.sha256(head)
    digest.update(content.data if content.size else b"")
    return digest.hexdigest()
