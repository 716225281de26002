"""The command line under mpiexec: `--mpi` makes its processes one program."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from csnn.cli.console import say
from csnn.errors import ToolMissingError
from csnn.mpi import team

OPTION = "--mpi"
_USAGE = 2


def run(arguments: Sequence[str], program: Callable[[team.Team | None], int]) -> int:
    """Run the program once, however many processes were started.

    Parameters
    ----------
    arguments : sequence of str
        The command line. It is for rank 0 to parse; others only look for `--mpi` in it.
    program : callable
        `program(team)`, with None for a program of one process.

    Returns
    -------
    int
        The exit code of every process.
    """
    rank, size = team.launched()
    if OPTION in arguments:
        try:
            return team.run(program)
        except ToolMissingError as error:
            if rank == 0:
                say(f"csnn: {error}")
            return error.exit_code
    if size > 1:
        if rank == 0:
            say(f"csnn: started {size} times over: with {OPTION}, run, generate and simulate are "
                "one program of all processes; other commands have one process")  # fmt: skip
        return _USAGE
    return program(None)
