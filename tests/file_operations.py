"""A program that runs csnn again and again, each time stopped at another of its file operations.

    python tests/file_operations.py kill|fail STRIDE FOLDER COMMAND...
    python tests/file_operations.py kill|fail STRIDE FOLDER protocol

Every process is a fork of this one, which has loaded what all of them need. The command must write
to FOLDER/run; FOLDER/whole holds the same run, never stopped. "kill": the process is killed before
its n-th operation. "fail": that operation meets a full disk. Then the command is given again with
--resume. This is done for n = 1, 1 + STRIDE, ... until a process makes fewer than n operations.
"protocol" is one seed of the protocol with a tiny network, which is given again as it was. Prints a
JSON object: how many were stopped, and what went wrong.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy.lib.format
from commands import SMALL

import csnn.protocol.seeds as stages
from csnn import journal
from csnn.cli import main
from csnn.errors import CsnnError
from csnn.protocol.folder import claimed, seed_folder
from csnn.protocol.settings import Settings
from csnn.spec.toml import loads
from netgen.build import generate

# Events of sys.audit; opening counts if it is for writing.
OPERATIONS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "os.truncate")
FILES = ("spikes.npz", "traces.npz", "checkpoint.npz")
SEED_FILES = ("seed_1/samples.npz", "seed_1/run/spikes.npz", "seed_1/run/checkpoint.npz")
Job = Callable[[], int]


def simulate_seed(out: Path) -> int:
    """Do a seed of the protocol in the directory `out`; return the exit code."""
    stages.PERIOD_MS = 300.0
    settings = Settings(seeds=(1,), time_ms=1000.0, warmup_ms=200.0, threads=1)
    description = loads(SMALL)
    try:
        with claimed(out, settings.fixed()) as directory:
            folder = seed_folder(directory, 1)
            window = settings.window()
            stages.run_seed(1, folder, settings, description, generate, [window])
    except CsnnError as error:
        print(f"csnn: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def stop_at(n: int, how: str, folder: str, reached: Path) -> None:
    """Let the n-th operation of this process on files below `folder` kill it or fail.

    That it came so far is told by a file `reached`.
    """
    left = n

    def count() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            reached.touch()
            if how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in OPERATIONS and event != "open":
            return
        where = arguments[1] if event == "os.symlink" else arguments[0]
        if not isinstance(where, (str, bytes, os.PathLike)) or folder not in os.fsdecode(where):
            return
        if event != "open" or (isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")):
            count()

    sys.addaudithook(hook)
    fsync, write_array = os.fsync, numpy.lib.format.write_array

    def counted_fsync(descriptor: int) -> None:
        count()
        fsync(descriptor)

    def counted_write(*arguments: Any, **options: Any) -> None:
        # In the middle of a file.
        count()
        write_array(*arguments, **options)

    os.fsync = counted_fsync  # type: ignore[assignment]
    numpy.lib.format.write_array = counted_write
    numpy.lib._npyio_impl.format.write_array = counted_write


def forked(job: Job, folder: Path, n: int = 0, how: str = "") -> tuple[int, str]:
    """Do a job in a fork; return its exit code, negative for a signal, and its stderr."""
    log = folder / "stderr"
    child = os.fork()
    if child == 0:
        code = 99
        try:
            out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(out, 1)
            os.dup2(out, 2)
            if n:
                stop_at(n, how, f"{folder}/run", folder / "reached")
            code = job()
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    return os.waitstatus_to_exitcode(status), log.read_text("utf-8")


def differences(folder: Path, files: Sequence[str]) -> list[str]:
    """Return the files of the run that differ from those of the run that was not stopped."""
    return [
        name
        for name in files
        if not (folder / "run" / name).exists()
        or (folder / "run" / name).read_bytes() != (folder / "whole" / name).read_bytes()
    ]


def names(folder: Path) -> set[str]:
    """Return the names of all that a directory holds, however deep."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def campaign(
    how: str, folder: Path, first: Job, again: Job, files: Sequence[str], stride: int
) -> dict[str, Any]:
    """Stop the first job at every `stride`-th of its operations, and do the other each time."""
    stopped, wrong, n = 0, [], 1
    while len(wrong) < 5:
        shutil.rmtree(folder / "run", ignore_errors=True)
        (folder / "reached").unlink(missing_ok=True)
        code, told = forked(first, folder, n, how)
        if not (folder / "reached").exists():
            break
        stopped += 1
        # What fails while something is tidied up stops nobody.
        if code not in ((-signal.SIGKILL,) if how == "kill" else (0, 3)) or "Traceback" in told:
            wrong.append(f"{n}: exit code {code}: {told[-800:]}")
        if code == 3 and "No space left" not in told:
            wrong.append(f"{n}: {told[-800:]}")
        code, told = forked(again, folder)
        if code != 0 or "Traceback" in told:
            wrong.append(f"{n} resumed: exit code {code}: {told[-800:]}")
        elif differences(folder, files):
            wrong.append(f"{n} resumed: {differences(folder, files)} differ")
        elif names(folder / "run") != names(folder / "whole"):
            other = sorted(names(folder / "run") ^ names(folder / "whole"))
            wrong.append(f"{n} resumed: {other} are left, or missing")
        n += stride
    return {"stopped": stopped, "wrong": wrong}


def plant(fault: str) -> None:
    """Let resumed runs go wrong in a way that comparing their results must show."""
    recover = journal.recover

    def forgetting(*arguments: Any) -> Any:
        book, state = recover(*arguments)
        if len(book._segments) > 2:
            # What one part recorded is lost.
            del book._segments[1]
        return book, state

    if fault == "forgetting":
        journal.recover = forgetting  # type: ignore[assignment]


if __name__ == "__main__":
    plant(os.environ.get("PLANTED_FAULT", ""))
    place, given = Path(sys.argv[3]), sys.argv[4:]
    jobs: tuple[Job, Job]
    if given == ["protocol"]:
        files: Sequence[str] = SEED_FILES
        jobs = (lambda: simulate_seed(place / "run"),) * 2
        whole = partial(simulate_seed, place / "whole")
    else:
        files = FILES
        jobs = (lambda: main(given), lambda: main([*given, "--resume"]))
        same = [str(place / "whole") if part == str(place / "run") else part for part in given]
        whole = partial(main, [*same, "--quiet"])
    # Loads what is compiled, so that forks need not.
    assert whole() == 0
    print(json.dumps(campaign(sys.argv[1], place, *jobs, files, int(sys.argv[2]))))
