"""Options of `csnn explore`."""

from __future__ import annotations

from typing import Any

from csnn.explore.chips import CHIPS
from csnn.perf.arguments import add_spike_options


def add_explore_options(parser: Any) -> None:
    """Add the options to the parser of the command."""
    parser.add_argument("image", metavar="IMAGE", help="image directory")
    add_spike_options(parser, "20")
    search = parser.add_argument_group("search")
    search.add_argument("--device", action="append", dest="devices", metavar="NAME",
                        help=f"{', '.join(CHIPS)}; may be repeated (default: all)")  # fmt: skip
    search.add_argument("--most-devices", type=int, metavar="N",
                        help="leave out machines of more devices")  # fmt: skip
    parser.add_argument("--out", metavar="DIR", help="for figures and all points")
