"""The options of the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import csnn
from csnn.explore.arguments import add_explore_options
from csnn.hardware.devices import DEVICES
from csnn.perf.arguments import add_perf_options
from csnn.spec.builtin import BUILTINS


def one_line(text: str) -> str:
    """Return `text` in one line of printable characters."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """End with exit code 2 and one line."""
        self.exit(2, f"{self.prog}: {one_line(message)} (see {self.prog} --help)\n")


def make_parser(actions: Mapping[str, Callable[[argparse.Namespace], int]]) -> Parser:
    """Return the parser; `options.command` is then the action of the command that was given."""
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
    run = _command(
        commands, "run", actions,
        "generate, simulate, validate and report in one go",
        """
  csnn run pd14 --scale 1.0 --time-ms 1000 --warmup-ms 500 --seed 1 \\
      --threads 2 --out out/pd14""",
    )  # fmt: skip
    _network_options(run)
    _machine_options(run)
    _time_options(run)
    _seed_and_threads(run)
    _simulation_options(run)
    run.add_argument("--out", required=True, metavar="DIR", help="output directory")

    generate = _command(
        commands, "generate", actions, "compile a network into an image",
        """
  csnn generate pd14 --seed 1 --out out/image""",
    )  # fmt: skip
    _network_options(generate)
    _machine_options(generate)
    _seed_and_threads(generate)
    generate.add_argument("--out", required=True, metavar="DIR", help="image directory")

    simulate = _command(
        commands, "simulate", actions, "simulate an image",
        """
  csnn simulate out/image --time-ms 1000 --warmup-ms 500 \\
      --record 0,77168 --checkpoint --out out/run
  csnn simulate out/image --time-ms 2000 --resume --out out/run""",
    )  # fmt: skip
    simulate.add_argument("image", metavar="IMAGE", help="image directory")
    _time_options(simulate)
    _seed_and_threads(simulate, seed=False)
    _simulation_options(simulate)
    simulate.add_argument("--resume", action="store_true",
                          help="continue the run in DIR from its checkpoint")  # fmt: skip
    simulate.add_argument("--out", required=True, metavar="DIR", help="output directory")

    validate = _command(
        commands, "validate", actions, "judge the spikes of a run against NEST",
        """
  csnn validate out/run --json""",
    )  # fmt: skip
    validate.add_argument("run", metavar="DIR", help="output directory of a run")

    report = _command(
        commands, "report", actions, "write the HTML report of a run",
        """
  csnn report out/run""",
    )  # fmt: skip
    report.add_argument("run", metavar="DIR", help="output directory of a run")

    bench = _command(
        commands, "bench", actions, "measure generation, speed and memory, beside NEST's",
        """
  csnn bench --json""",
    )  # fmt: skip
    bench.add_argument("network", nargs="?", default="pd14", metavar="NETWORK",
                       help="built-in network or TOML file (default pd14)")  # fmt: skip
    _scale_options(bench)
    _machine_options(bench)
    _time_options(bench)
    _seed_and_threads(bench)
    bench.add_argument("--nest-time-ms", type=float, default=100.0, metavar="MS",
                       help="model time for NEST (default 100; full scale takes minutes and "
                       "15 GB)")  # fmt: skip
    bench.add_argument("--no-nest", action="store_true", help="leave NEST out")

    show = _command(
        commands, "show", actions, "print a network as TOML, to be copied and edited",
        """
  csnn show pd14 --scale 0.1 > small.toml""",
    )  # fmt: skip
    show.add_argument("network", nargs="?", metavar="NETWORK",
                      help="built-in network or TOML file; none: list them")  # fmt: skip
    _scale_options(show)

    kinds = _group(
        commands, "export", "write parts of an image in other formats",
        "csnn export edges out/image --targets L5I --out l5i.npz",
    )  # fmt: skip
    edges = _command(
        kinds, "edges", actions, "unroll an image or a part of it into an edge list",
        """
  csnn export edges out/image --targets L5I --out l5i.npz""",
    )  # fmt: skip
    edges.add_argument("image", metavar="IMAGE", help="image directory")
    edges.add_argument("--nodes", metavar="LIST", help="node numbers, such as 0,3-5")
    edges.add_argument("--targets", metavar="LIST",
                       help="populations or neurons first:stop, such as L5I or 0:100")  # fmt: skip
    edges.add_argument("--sources", metavar="LIST", help="likewise")
    edges.add_argument("--out", required=True, metavar="FILE", help=".npz, .csv or .csv.gz")
    _verify_parser(commands, actions)
    _emit_parser(commands, actions)
    perf = _command(
        commands, "perf", actions, "model how fast a machine runs an image",
        """
  csnn perf out/image --run out/run --mesh 12,12,3 --out out/perf
  csnn perf out/image --topology tree --arity 6 --link-latency-ns 200""",
    )  # fmt: skip
    add_perf_options(perf)
    explore = _command(
        commands, "explore", actions, "search for machines: devices, nodes, links, and their speed",
        """
  csnn explore out/image --run out/run --out out/explore
  csnn explore out/image --device xcvu37p --most-devices 4""",
    )  # fmt: skip
    add_explore_options(explore)
    synth = _command(
        commands, "synth", actions, "resources and clock of a node's hardware, by open tools",
        """
  csnn synth --target xc7 --component node
  csnn synth --target ecp5 --component "neuron pipeline" --seeds 4""",
    )  # fmt: skip
    synth.add_argument("--target", required=True, choices=("xc7", "xcup", "ecp5"),
                       help="family of devices")  # fmt: skip
    synth.add_argument("--component", action="append", metavar="NAME", dest="components",
                       help="only this one; may be repeated (default: all, the node last; takes "
                       "about 15 minutes)")  # fmt: skip
    synth.add_argument("--seeds", type=int, default=2, metavar="N",
                       help="placements on an ECP5 (default 2)")  # fmt: skip
    return parser


def _verify_parser(commands: Any, actions: Mapping[str, Any]) -> None:
    kinds = _group(
        commands, "verify", "compare hardware with the definition, bit by bit",
        "csnn verify rtl out/image --node 0 --steps 2000",
    )  # fmt: skip
    rtl = _command(
        kinds, "rtl", actions, "replay a network's traffic in the RTL of a node",
        """
  csnn verify rtl out/image --node 0 --steps 2000 --out out/verify
  csnn verify rtl --replay out/verify""",
        key="verify rtl",
    )  # fmt: skip
    rtl.add_argument("image", nargs="?", metavar="IMAGE", help="image directory")
    rtl.add_argument("--node", type=int, metavar="K", help="number of the node (default 0)")
    rtl.add_argument("--steps", type=int, metavar="N", help="steps to compare (default 2000)")
    rtl.add_argument("--warmup-ms", type=float, metavar="MS",
                     help="model time simulated before (default 500)")  # fmt: skip
    rtl.add_argument("--device", choices=tuple(DEVICES),
                     help="what the node is built for (default xc7z045)")  # fmt: skip
    _seed_and_threads(rtl)
    rtl.add_argument("--out", metavar="DIR", help="where a mismatch is laid down, with a "
                     "waveform (default: csnn-mismatch)")  # fmt: skip
    rtl.add_argument("--replay", metavar="DIR",
                     help="repeat a mismatch laid down (IMAGE: if it was moved)")  # fmt: skip
    machine = _command(
        kinds, "machine", actions,
        "run a network on the whole machine in RTL: nodes, routers, links, master node",
        """
  csnn verify machine out/small --mesh 3,3,1 --steps 500""",
        key="verify machine",
    )  # fmt: skip
    machine.add_argument("image", metavar="IMAGE", help="image directory")
    machine.add_argument("--mesh", required=True, metavar="X,Y,Z",
                         help="places, for all nodes and the master node")  # fmt: skip
    machine.add_argument("--steps", type=int, default=100, metavar="N",
                         help="steps to compare (default 100)")  # fmt: skip
    machine.add_argument("--warmup-ms", type=float, default=500.0, metavar="MS",
                         help="model time simulated before (default 500)")  # fmt: skip
    machine.add_argument("--express", default="0,0,0", metavar="X,Y,Z",
                         help="places that express links along the axes pass (default 0,0,0: "
                         "none)")  # fmt: skip
    machine.add_argument("--link-latency-ns", type=float, default=800.0, metavar="NS",
                         help="from serialiser to serialiser (default 800)")  # fmt: skip
    machine.add_argument("--jitter-ns", type=float, default=0.0, metavar="NS",
                         help="by up to so much every frame is late (default 0)")  # fmt: skip
    machine.add_argument("--ppm", type=float, default=100.0, metavar="X",
                         help="clocks differ by up to so many ppm (default 100)")  # fmt: skip
    machine.add_argument("--upload", action="store_true",
                         help="through the host's port and the mesh (slow)")  # fmt: skip
    _seed_and_threads(machine)


def _emit_parser(commands: Any, actions: Mapping[str, Any]) -> None:
    kinds = _group(
        commands, "emit", "write hardware descriptions",
        "csnn emit rtl out/image --node 0 --out out/rtl",
    )  # fmt: skip
    rtl = _command(
        kinds, "rtl", actions, "write a node as Verilog, with all that a board needs",
        """
  csnn emit rtl out/image --node 0 --device xc7z045 --out out/rtl""",
        key="emit rtl",
    )  # fmt: skip
    rtl.add_argument("image", metavar="IMAGE", help="image directory")
    rtl.add_argument("--node", type=int, default=0, metavar="K",
                     help="node whose memory contents are written (default 0)")  # fmt: skip
    rtl.add_argument("--device", default="xc7z045", choices=tuple(DEVICES),
                     help="what it must fit (default xc7z045)")  # fmt: skip
    rtl.add_argument("--out", required=True, metavar="DIR", help="output directory")


def _group(commands: Any, name: str, text: str, example: str) -> Any:
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


def _command(
    commands: Any,
    name: str,
    actions: Mapping[str, Any],
    text: str,
    examples: str,
    *,
    key: str | None = None,
) -> Any:
    parser = commands.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog=f"example:{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(command=actions[key or name])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quiet", action="store_true",
                        help="no progress bars, no summary; warnings stay")  # fmt: skip
    return parser


def _scale_options(parser: Any) -> None:
    group = parser.add_argument_group("scaling (pd14)")
    group.add_argument("--scale", type=float, metavar="X", help="neurons and in-degrees")
    group.add_argument("--n-scale", type=float, metavar="X", help="neurons only")
    group.add_argument("--k-scale", type=float, metavar="X", help="in-degrees only")


def _network_options(parser: Any) -> None:
    parser.add_argument("network", metavar="NETWORK", help=f"{', '.join(BUILTINS)}, or a TOML file")
    _scale_options(parser)


def _machine_options(parser: Any) -> None:
    group = parser.add_argument_group("machine")
    group.add_argument("--partition", choices=("equal", "load"), help="how nodes are filled; "
                       "load balances over --nodes, without which it is equal")  # fmt: skip
    group.add_argument(
        "--nodes", dest="n_nodes", type=int, metavar="N", help="nodes to balance over"
    )
    group.add_argument("--row-layout", choices=("auto", "dense", "sparse"), help="of seed tables")


def _time_options(parser: Any) -> None:
    parser.add_argument("--time-ms", type=float, metavar="MS", help="model time (default 1000)")
    parser.add_argument("--warmup-ms", type=float, metavar="MS",
                        help="model time before it that is not recorded (default 500)")  # fmt: skip


def _seed_and_threads(parser: Any, *, seed: bool = True) -> None:
    if seed:
        parser.add_argument(
            "--seed", type=int, metavar="N", help="of everything random (default 1)"
        )
    parser.add_argument("--threads", type=int, metavar="N", help="threads (default 2)")


def _simulation_options(parser: Any) -> None:
    parser.add_argument("--simulator", choices=("fast", "plain"), default="fast",
                        help="compiled, or the plain definition (slow)")  # fmt: skip
    parser.add_argument("--record", metavar="LIST",
                        help="neurons to trace (V, currents, input), such as 0,5-7")  # fmt: skip
    parser.add_argument("--checkpoint", action="store_true", help="save the final state")
