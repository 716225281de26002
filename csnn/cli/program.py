"""The program `csnn`: which commands it has, and what becomes of their errors.

Data goes to stdout, progress and messages to stderr. Exit codes: 0 success, 1 mismatch or failed
criterion, 2 usage, 3 invalid input, 4 tool missing, 5 tool failed, 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shlex
import sys
from collections.abc import Sequence

import csnn
from csnn.cli import dse, export, hardware, networks, parallel, performance, runs
from csnn.cli.console import INTERRUPTED, OK, one_line, say
from csnn.cli.options import Parser
from csnn.errors import CsnnError, InvalidInputError, reject
from csnn.mpi.team import Team
from csnn.progress import set_quiet

# In the order of `csnn --help`.
COMMANDS = (
    runs.add_run,
    networks.add_generate,
    runs.add_simulate,
    runs.add_validate,
    runs.add_report,
    performance.add_bench,
    networks.add_show,
    export.add_export,
    hardware.add_verify,
    hardware.add_emit,
    performance.add_perf,
    performance.add_explore,
    dse.add_dse,
    hardware.add_synth,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    return parallel.run(given, lambda team: _main(given, team))


def _main(arguments: Sequence[str], team: Team | None) -> int:
    """Run the command line in the only process, or on the first of several."""
    options = make_parser().parse_args(arguments)
    options.command_line = _command_line(arguments)
    options.team = team
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names of files that are not UTF-8 are printed as the bytes they are.
        sys.stdout.reconfigure(errors="surrogateescape")
    set_quiet(options.quiet)
    try:
        _check_names(options)
        code: int = options.command(options)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except CsnnError as error:
        say(f"csnn: {one_line(str(error))}")
        return error.exit_code
    except KeyboardInterrupt:
        say("csnn: interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away; nothing is left to say to it.
        _give_up_stdout()
        return OK
    except MemoryError:
        say("csnn: out of memory")
        return InvalidInputError.exit_code
    except UnicodeError as error:
        say(f"csnn: {one_line(str(error))}")
        return InvalidInputError.exit_code
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        say(f"csnn: {one_line(f'{where}{error.strerror or error}')}")
        _give_up_stdout()
        return InvalidInputError.exit_code


def make_parser() -> Parser:
    """Return the parser of all commands."""
    parser = Parser(
        prog="csnn",
        description="Compile spiking networks into seed tables, simulate the machine\n"
        "bit-exactly, compare with NEST.",
        epilog="""\
exit codes: 0 success, 1 mismatch or failed criterion, 2 usage,
  3 invalid input, 4 tool missing, 5 tool failed, 130 interrupted

example:
  csnn run pd14 --scale 0.1 --out out/small""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"csnn {csnn.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in COMMANDS:
        add(commands)
    return parser


def _check_names(options: argparse.Namespace) -> None:
    """Refuse empty names of files, which would mean the current folder."""
    for name, shown in (
        ("network", "NETWORK"),
        ("image", "IMAGE"),
        ("run", "DIR"),
        ("out", "--out"),
    ):
        if getattr(options, name, None) == "":
            raise reject(shown, "", "must not be empty")


def _command_line(arguments: Sequence[str]) -> str:
    """Return the command as it could be typed again."""
    # Names of files that are not UTF-8 must not keep a report from being written.
    return shlex.join(["csnn", *arguments]).encode("utf-8", "backslashreplace").decode()


def _give_up_stdout() -> None:
    """Send what is left in the buffer nowhere if it cannot be written, lest exit complain of it."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        try:
            sys.stdout.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
