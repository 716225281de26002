"""A lock on a directory, held by one process at a time and gone with it, however it ends."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from csnn.errors import InvalidInputError
from csnn.files import reported

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
