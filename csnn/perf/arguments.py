"""Options of `csnn perf`."""

from __future__ import annotations

from typing import Any

from csnn.hardware.mesh import LinkConfig, RouterConfig
from csnn.perf.parameters import Clocks, Wires
from csnn.perf.topology import KINDS

# Options that a machine inside one device has no use for.
BETWEEN_DEVICES = ("link_latency_ns", "link_jitter_ns", "comm_mhz", "frame_cycles")


def add_perf_options(parser: Any) -> None:
    """Add the options to the parser of the command."""
    parser.add_argument("image", metavar="IMAGE", help="image directory")
    add_spike_options(parser, "100, or all of the run")
    shape = parser.add_argument_group("machine")
    shape.add_argument("--topology", choices=KINDS, default="mesh",
                       help="how places are linked (default mesh)")  # fmt: skip
    shape.add_argument("--mesh", metavar="X,Y,Z", help="places of a mesh (default: the smallest of "
                       "cards of 3 x 3 x 3)")  # fmt: skip
    shape.add_argument("--express", metavar="X,Y,Z", help="places that express links of a mesh "
                       "pass, less than it has; 0: none")  # fmt: skip
    shape.add_argument("--arity", type=int, metavar="N", help="of a tree (default 6)")
    # Without a default here: it is known whether they were given.
    for name, default, text in (
        ("--link-latency-ns", Wires.latency_ns, "of a link, not with chip"),
        ("--link-jitter-ns", Wires.jitter_ns, "frames are late by up to so much, not with chip"),
        ("--comm-mhz", Clocks.comm_mhz, "clock of routers and links; with chip that of nodes"),
    ):
        shape.add_argument(name, type=float, metavar=name.rsplit("-", 1)[1].upper(),
                           help=f"{text} (default {default:g})")  # fmt: skip
    shape.add_argument("--frame-cycles", type=int, metavar="N", help="cycles of a frame on a link, "
                       f"not with chip (default {LinkConfig.frame_cycles})")  # fmt: skip
    for name, default, text in (
        ("--app-mhz", Clocks.app_mhz, "clock of nodes and master node"),
        ("--ppm", Clocks.ppm, "by which clocks differ at most"),
    ):
        metavar = name.rsplit("-", 1)[-1].upper()
        shape.add_argument(name, type=float, default=default, metavar=metavar,
                           help=f"{text} (default {default:g})")  # fmt: skip
    for name, count, text in (
        ("--window", LinkConfig.window, "frames under way on a link"),
        ("--buffer", LinkConfig.buffer, "packets that the end of a link holds"),
        ("--branch-buffer", RouterConfig.branch_buffer, "packets that an output of a router holds"),
        ("--seed", Clocks.seed, "of phases and rates of clocks"),
    ):
        shape.add_argument(name, type=int, default=count, metavar="N",
                           help=f"{text} (default {count})")  # fmt: skip
    parser.add_argument("--out", metavar="DIR", help="for figures and cycles of all steps")


def add_spike_options(parser: Any, default: str) -> None:
    """Add the options of `csnn.perf.spikes.read_workload`."""
    spikes = parser.add_argument_group("spikes")
    spikes.add_argument("--run", metavar="DIR", help="of a run of the image; else simulated")
    spikes.add_argument("--time-ms", type=float, metavar="MS",
                        help=f"model time (default {default})")  # fmt: skip
    spikes.add_argument("--warmup-ms", type=float, metavar="MS",
                        help="simulated before, not with --run (default 500)")  # fmt: skip
    spikes.add_argument("--threads", type=int, metavar="N",
                        help="of the simulation, not with --run (default 2)")  # fmt: skip
