"""Options of `csnn perf`."""

from __future__ import annotations

from typing import Any

from csnn.perf.topology import KINDS


def add_perf_options(parser: Any) -> None:
    """Add the options to the parser of the command."""
    parser.add_argument("image", metavar="IMAGE", help="image directory")
    add_spike_options(parser, "100, or all of the run")
    shape = parser.add_argument_group("machine")
    shape.add_argument("--topology", choices=KINDS, default="mesh",
                       help="how places are linked (default mesh)")  # fmt: skip
    shape.add_argument("--mesh", metavar="X,Y,Z", help="places (default: the smallest of cards of "
                       "3 x 3 x 3)")  # fmt: skip
    shape.add_argument("--express", metavar="X,Y,Z", help="places that express links pass; 0: none")
    shape.add_argument("--arity", type=int, metavar="N", help="of a tree (default 6)")
    for name, default, text in (
        ("--link-latency-ns", 800.0, "of a link"),
        ("--link-jitter-ns", 0.0, "frames are late by up to so much"),
        ("--app-mhz", 150.0, "clock of nodes and master node"),
        ("--comm-mhz", 100.0, "clock of routers and links"),
        ("--ppm", 100.0, "by which clocks differ at most"),
    ):
        metavar = name.rsplit("-", 1)[1].upper()
        shape.add_argument(name, type=float, default=default, metavar=metavar,
                           help=f"{text} (default {default:g})")  # fmt: skip
    for name, default, text in (
        ("--frame-cycles", 4, "cycles of a frame on a link"),
        ("--window", 64, "frames under way on a link"),
        ("--buffer", 64, "packets that the end of a link holds"),
        ("--branch-buffer", 16, "packets that an output of a router holds"),
        ("--seed", 1, "of phases and rates of clocks"),
    ):
        shape.add_argument(name, type=int, default=default, metavar="N",
                           help=f"{text} (default {default})")  # fmt: skip
    parser.add_argument("--out", metavar="DIR", help="for figures and cycles of all steps")


def add_spike_options(parser: Any, default: str) -> None:
    """Add the options of `csnn.perf.spikes.read_workload`."""
    spikes = parser.add_argument_group("spikes")
    spikes.add_argument("--run", metavar="DIR", help="of a run of the image; else simulated")
    spikes.add_argument("--time-ms", type=float, metavar="MS",
                        help=f"model time (default {default})")  # fmt: skip
    spikes.add_argument("--warmup-ms", type=float, metavar="MS",
                        help="model time simulated before (default 500)")  # fmt: skip
    spikes.add_argument("--threads", type=int, metavar="N", help="threads (default 2)")
