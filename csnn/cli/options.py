"""Options that several commands share, and how a command gets its own."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NoReturn

from csnn.cli.console import one_line
from csnn.spec.builtin import BUILTINS

Action = Callable[[argparse.Namespace], int]


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """End with exit code 2 and one line."""
        self.exit(2, f"{self.prog}: {one_line(message)} (see {self.prog} --help)\n")


def add_command(commands: Any, name: str, action: Action, text: str, examples: str) -> Any:
    """Return the parser of a new command; `options.command` is then its action."""
    parser = commands.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog=f"example:{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(command=action)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quiet", action="store_true",
                        help="no progress bars, no summary; warnings stay")  # fmt: skip
    return parser


def add_group(commands: Any, name: str, text: str, example: str) -> Any:
    """Return the subcommands of a command that has several."""
    parser = commands.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    return parser.add_subparsers(title="what", metavar="WHAT", required=True)


def add_scale_options(parser: Any) -> None:
    """Add how a built-in network is scaled."""
    group = parser.add_argument_group("size (pd14, columns)")
    group.add_argument("--scale", type=float, metavar="X", help="neurons and in-degrees")
    group.add_argument("--n-scale", type=float, metavar="X", help="neurons only")
    group.add_argument("--k-scale", type=float, metavar="X", help="in-degrees only")
    group.add_argument("--columns", type=int, metavar="N", help="microcircuits side by side, of "
                       "columns only (default 4: 1.2 billion synapses)")  # fmt: skip


def add_network_options(parser: Any) -> None:
    """Add NETWORK and how it is scaled."""
    parser.add_argument("network", metavar="NETWORK", help=f"{', '.join(BUILTINS)}, or a TOML file")
    add_scale_options(parser)


def add_machine_options(parser: Any) -> None:
    """Add how a network is laid out on nodes."""
    group = parser.add_argument_group("machine")
    group.add_argument("--partition", choices=("equal", "load"), help="how nodes are filled; "
                       "load balances over --nodes, without which it is equal")  # fmt: skip
    group.add_argument(
        "--nodes", dest="n_nodes", type=int, metavar="N", help="nodes to balance over"
    )
    group.add_argument("--row-layout", choices=("auto", "dense", "sparse"), help="of seed tables")


def add_time_options(parser: Any) -> None:
    """Add how long a run and its warm-up are."""
    parser.add_argument("--time-ms", type=float, metavar="MS", help="model time (default 1000)")
    parser.add_argument("--warmup-ms", type=float, metavar="MS",
                        help="model time before it that is not recorded (default 500)")  # fmt: skip


def add_seed_and_threads(parser: Any, *, seed: bool = True) -> None:
    """Add --seed, unless an image gives it, and --threads."""
    if seed:
        parser.add_argument(
            "--seed", type=int, metavar="N", help="of everything random (default 1)"
        )
    parser.add_argument("--threads", type=int, metavar="N", help="threads (default 2)")


def add_mpi_option(parser: Any) -> None:
    """Add --mpi; `csnn.cli.parallel` looks for it before options are parsed."""
    parser.add_argument("--mpi", action="store_true",
                        help="divide nodes over the processes that mpiexec started")  # fmt: skip


def add_simulation_options(parser: Any) -> None:
    """Add what simulates, and what is kept of it."""
    parser.add_argument("--simulator", choices=("fast", "plain"), default="fast",
                        help="compiled, or the plain definition (slow)")  # fmt: skip
    parser.add_argument("--record", metavar="LIST",
                        help="neurons to trace (V, currents, input), such as 0,5-7")  # fmt: skip
    parser.add_argument("--checkpoint", action="store_true", help="save the final state")
    parser.add_argument("--checkpoint-every", type=float, metavar="MS",
                        help="keep what is recorded, and the state, every MS of model time, "
                        "so that a killed run can be resumed")  # fmt: skip
    parser.add_argument("--resume", action="store_true",
                        help="continue the run in DIR from its last checkpoint")  # fmt: skip
