"""The process that hosts NEST: one pickled job on stdin, pickled messages on stdout.

Messages are tuples: ("progress", stage, fraction), ("result", fields), ("missing", reason),
("failed", reason). Whatever NEST itself prints goes to stderr.
"""

from __future__ import annotations

import os
import pickle
import sys
from typing import Any, BinaryIO

from csnn.oracle import _nest_explicit, _nest_network, _nest_single


def _open_channel() -> BinaryIO:
    """Take file descriptor 1 for the messages and point NEST's stdout at stderr."""
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return channel


def main() -> None:
    """Serve one job."""
    channel = _open_channel()

    def send(*message: Any) -> None:
        pickle.dump(message, channel)
        channel.flush()

    job: dict[str, Any] = pickle.load(sys.stdin.buffer)
    try:
        import nest
    except ImportError as error:
        send("missing", str(error))
        return
    tasks = {
        "network": _nest_network.run,
        "explicit": _nest_explicit.run,
        "single": _nest_single.run,
    }
    try:
        nest.ResetKernel()
        nest.verbosity = nest.VerbosityLevel.ERROR
        nest.overwrite_files = True
        send("result", tasks[job.pop("task")](nest, job, send))
    except Exception as error:
        # The parent turns it into one line; NEST's errors are of many classes.
        send("failed", " ".join(f"{type(error).__name__}: {error}".split()))


if __name__ == "__main__":
    main()
