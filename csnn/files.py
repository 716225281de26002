"""Output that is either complete or absent, and digests of files.

Everything is built under a temporary name beside its destination and renamed when complete, so
that a crash, a full disk or Ctrl-C leaves neither half a file nor a damaged older one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from csnn.errors import InvalidInputError

MANIFEST_NAME = "manifest.json"
_MAX_MANIFEST_BYTES = 64 * 2**20
_LEFTOVER = re.compile(r"\.tmp-[0-9a-f]{8}-.+|.+\.tmp-[0-9a-f]{8}")


def describe_os_error(error: OSError, path: str | Path, stand_in: Path | None = None) -> str:
    """Return "PATH: reason" for an error met while working on `path`.

    Parameters
    ----------
    error : OSError
        The error; the file it names, if any, is the one reported.
    path : str or Path
        The file or directory that the user asked for.
    stand_in : Path, optional
        Temporary name of `path`, which the message must not show.

    Returns
    -------
    str
    """
    named = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else str(path)
    if stand_in is not None and named.startswith(str(stand_in)):
        named = str(path) + named[len(str(stand_in)) :]
    return f"{named}: {error.strerror or str(error) or type(error).__name__}"


@contextmanager
def reported(path: str | Path, stand_in: Path | None = None) -> Iterator[None]:
    """Turn every OSError into a one-line InvalidInputError about `path`."""
    try:
        yield
    except OSError as error:
        raise InvalidInputError(describe_os_error(error, path, stand_in)) from error


def _resolve(path: str | Path) -> Path:
    """Follow symbolic links, so that a link is kept and what it names is replaced."""
    try:
        return Path(os.path.realpath(path))
    except ValueError as error:  # a null byte
        raise InvalidInputError(f"{str(path)!r}: {error}") from None


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Write a file completely or not at all.

    Parameters
    ----------
    path : str or Path
        Destination. Its folder must exist; an existing regular file is replaced.

    Yields
    ------
    Path
        Temporary name in the same folder, with the same suffixes, for the body to write to. It
        is renamed to `path` after the body and removed if the body raises.

    Raises
    ------
    InvalidInputError
        If the destination is no regular file or the system refuses (disk full, permission).
    """
    final = _resolve(path)
    temporary = final.with_name(f".tmp-{secrets.token_hex(4)}-{final.name}")
    with reported(path, temporary):
        if final.exists() and not final.is_file():
            raise InvalidInputError(f"{path}: exists and is not a regular file")
        if not final.parent.is_dir():
            raise InvalidInputError(f"{path}: the folder {final.parent} does not exist")
        try:
            yield temporary
            # Without it a power failure could leave the new name on an empty file.
            with temporary.open("rb") as stream:
                os.fsync(stream.fileno())
            temporary.replace(final)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def sync_directory(path: Path) -> None:
    """Make durable which names a directory holds: after a power failure they are those of now.

    Raises
    ------
    InvalidInputError
        If the system refuses.
    """
    with reported(path):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove_leftovers(directory: Path) -> None:
    """Remove what killed processes left under temporary names; no other may be writing there."""
    with contextlib.suppress(OSError):
        for path in [path for path in directory.iterdir() if _LEFTOVER.fullmatch(path.name)]:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()


def require_writable(directory: Path) -> None:
    """Raise InvalidInputError if no file can be made in a directory."""
    probe = directory / f".tmp-{secrets.token_hex(4)}-probe"
    with reported(directory, probe):
        probe.touch(exist_ok=False)
        probe.unlink()


def remove_directory(path: Path) -> None:
    """Remove a directory, at once for whoever looks: a part of one would be misleading.

    Raises
    ------
    InvalidInputError
        If the system refuses. What it refuses to remove once the name is gone is left to
        `remove_leftovers`.
    """
    aside = path.with_name(f".tmp-{secrets.token_hex(4)}-{path.name}")
    with reported(path):
        path.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)


def is_own_directory(path: Path) -> bool:
    """Return whether `path` is a directory that may be replaced.

    It may if it is empty, but for what a killed process left under temporary names, or holds a
    manifest.json written by csnn: a JSON object in which a key or a string, at most one level down,
    begins with "csnn".
    """
    if not path.is_dir():
        return False
    manifest = path / MANIFEST_NAME
    if not manifest.is_file():
        return all(_LEFTOVER.fullmatch(entry.name) for entry in path.iterdir())
    if manifest.stat().st_size > _MAX_MANIFEST_BYTES:
        return False
    try:
        content = json.loads(manifest.read_bytes())
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and _mentions_csnn(content, levels=2)


def require_kind(path: str | Path, schema: str) -> None:
    """Raise InvalidInputError unless `path` is free for, or already is, an artifact of one kind.

    Parameters
    ----------
    path : str or Path
        What is to be written: absent, an empty directory, or one whose manifest has this schema.
    schema : str
        Its kind, such as "csnn-image"; a run must not replace an image, nor an image a run.
    """
    directory = Path(path)
    with reported(path):
        if not directory.exists():
            return
        if not directory.is_dir():
            raise InvalidInputError(f"{path}: exists and is not a directory")
        if not is_own_directory(directory):
            raise InvalidInputError(
                f"{path}: exists and was not written by csnn (no {MANIFEST_NAME} of its own); "
                "choose another name or remove it"
            )
        manifest = directory / MANIFEST_NAME
        found = json.loads(manifest.read_bytes()).get("schema") if manifest.exists() else schema
    if found != schema:
        raise InvalidInputError(f"{path}: holds a {found}, not a {schema}; choose another name")


def require_apart(out: Path, schema: str, **inputs: str | Path | None) -> None:
    """Refuse an output directory of another kind, one with an input in it, and one inside another.

    Parameters
    ----------
    out : Path
        What is to be written.
    schema : str
        Its kind, as for `require_kind`.
    **inputs : str or Path, optional
        Directories that are read, by what they are; None: not given.

    Raises
    ------
    InvalidInputError
    """
    with reported(out):
        final = _resolve(out)
        for kind, path in inputs.items():
            if path is not None and _resolve(path).is_relative_to(final):
                raise InvalidInputError(f"{out}: holds the {kind} {path}; choose another name")
        require_kind(out, schema)
    require_outside(out)


def require_outside(out: str | Path) -> None:
    """Raise InvalidInputError if `out` lies in a directory that csnn wrote and vouches for."""
    with reported(out):
        for folder in _resolve(out).parents:
            if (folder / MANIFEST_NAME).is_file() and is_own_directory(folder):
                rule = f"lies in {folder}, which is written as a whole"
                raise InvalidInputError(f"{out}: {rule}; choose another name")


def _mentions_csnn(value: Any, levels: int) -> bool:
    if isinstance(value, str):
        return value.startswith("csnn")
    if isinstance(value, dict) and levels:
        return any(
            key.startswith("csnn") or _mentions_csnn(item, levels - 1)
            for key, item in value.items()
        )
    return False


def _check_replaceable(final: Path, path: str | Path) -> None:
    if final == Path.cwd() or final in Path.cwd().parents:
        raise InvalidInputError(f"{path}: is the current folder or holds it")
    if final.exists() and not final.is_dir():
        raise InvalidInputError(f"{path}: exists and is not a directory")
    if final.is_dir() and not is_own_directory(final):
        raise InvalidInputError(
            f"{path}: exists and was not written by csnn (no {MANIFEST_NAME} of its own); "
            "choose another name or remove it"
        )


def _make_parents(folder: Path) -> list[Path]:
    """Create `folder` and what is missing above it; return what was created, outermost first."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    created: list[Path] = []
    try:
        for directory in reversed(missing):
            directory.mkdir(exist_ok=True)
            created.append(directory)
    except BaseException:
        _remove_empty(created)
        raise
    return created


def _remove_empty(created: list[Path]) -> None:
    for directory in reversed(created):
        with contextlib.suppress(OSError):
            directory.rmdir()


def _swap_in(temporary: Path, final: Path) -> None:
    """Rename `temporary` to `final`, putting an existing `final` back if that fails."""
    if not final.exists():
        temporary.rename(final)
        return
    aside = final.with_name(f"{final.name}.tmp-{secrets.token_hex(4)}")
    try:
        final.rename(aside)
        temporary.rename(final)
    except BaseException:
        if aside.exists() and not final.exists():
            aside.rename(final)
        raise
    finally:
        if final.exists():
            shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def atomic_directory(path: str | Path) -> Iterator[Path]:
    """Write a directory completely or not at all.

    Parameters
    ----------
    path : str or Path
        Destination; missing folders above it are created. An existing directory is replaced only
        if it is empty or was written by csnn (see `is_own_directory`).

    Yields
    ------
    Path
        An empty directory `PATH.tmp-XXXX` beside the destination, for the body to fill. It is
        renamed to `path` after the body; if the body raises, it is removed with all it holds.

    Raises
    ------
    InvalidInputError
        If the destination may not be replaced or the system refuses (disk full, permission).
    """
    final = _resolve(path)
    temporary = final.with_name(f"{final.name}.tmp-{secrets.token_hex(4)}")
    with reported(path, temporary):
        _check_replaceable(final, path)
        created = _make_parents(final.parent)
        try:
            temporary.mkdir()
            yield temporary
            _check_replaceable(final, path)
            _swap_in(temporary, final)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            _remove_empty(created)
            raise


def require_regular(path: str | Path) -> None:
    """Raise InvalidInputError if `path` holds a null byte or is a pipe or a device, without end."""
    if "\0" in str(path):
        raise InvalidInputError(f"{str(path)!r}: embedded null byte")
    with reported(path):
        exists, ends = Path(path).exists(), Path(path).is_file() or Path(path).is_dir()
    if exists and not ends:
        raise InvalidInputError(f"{path}: is not a regular file")


def sha256(path: str | Path) -> str:
    """Return the SHA-256 digest of a file as 64 hexadecimal digits.

    Parameters
    ----------
    path : str or Path
        The file, read in pieces: memory does not grow with its size.

    Returns
    -------
    str

    Raises
    ------
    InvalidInputError
        If the file cannot be read.
    """
    require_regular(path)
    with reported(path), Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
