"""A lock on a directory, held by one process at a time and gone with it, however it ends.

And output directories that are held by it while they are written.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from csnn.errors import InvalidInputError
from csnn.files import (
    MANIFEST_NAME,
    remove_leftovers,
    reported,
    require_kind,
    require_writable,
)

# File systems without locks, such as some that are mounted over a network.
_WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EBADF, errno.EINVAL)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep other processes from writing to `directory`, which must exist.

    The lock is the kernel's, on the directory itself: no file tells of it, none is left behind by a
    process that was killed. Where the file system has no locks, nothing is kept out.

    Raises
    ------
    InvalidInputError
        If another process holds the lock.
    """
    with reported(directory):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            rule = "another process is writing there; wait for it, or choose another directory"
            raise InvalidInputError(f"{directory}: {rule}") from None
        except OSError as error:
            if error.errno not in _WITHOUT_LOCKS:
                with reported(directory):
                    raise
        yield
    finally:
        os.close(descriptor)


@contextmanager
def held(
    path: str | Path, schema: str, claim: Callable[[Path], None], folders: Sequence[str] = ()
) -> Iterator[Path]:
    """Create an output directory, or accept an empty one or one of its kind, and lock it.

    What a killed process left there under temporary names is removed. If the body raises, so is
    what was created here, unless the body put files there.

    Parameters
    ----------
    path : str or Path
    schema : str
        Kind of the directory, as its manifest names it.
    claim : callable
        Writes the first manifest of the directory that it is given, so that a command that is
        killed later can be repeated into it.
    folders : sequence of str
        Folders that the body creates, and which are worth nothing while they are empty.

    Yields
    ------
    Path

    Raises
    ------
    InvalidInputError
        If it cannot be created or written to, holds something else, or another process is writing
        there.
    """
    directory = Path(path)
    if ".." in directory.parts:
        # x/.. is here even where x is not yet.
        directory = Path(os.path.realpath(directory))
    with reported(directory):
        require_kind(directory, schema)
        missing = [folder for folder in (directory, *directory.parents) if not folder.exists()]
    claimed = False
    try:
        with reported(directory):
            directory.mkdir(parents=True, exist_ok=True)
        with locked(directory):
            remove_leftovers(directory)
            if not (directory / MANIFEST_NAME).exists():
                claimed = True
                claim(directory)
            else:
                # Not only when hours of work are to be written there.
                require_writable(directory)
            yield directory
    except BaseException:
        with contextlib.suppress(OSError):
            if claimed and {e.name for e in directory.iterdir()} <= {MANIFEST_NAME, *folders}:
                for name in folders:
                    if (directory / name).exists():
                        (directory / name).rmdir()
                (directory / MANIFEST_NAME).unlink(missing_ok=True)
            for folder in missing:
                folder.rmdir()
        raise
