"""The commands that write synapses and spikes for other tools: export."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from csnn.cli.console import OK, answer
from csnn.cli.options import add_command, add_group
from csnn.integer_lists import parse_integers


def add_export(commands: Any) -> None:
    """Add `csnn export edges` and `csnn export spikes`."""
    kinds = add_group(
        commands, "export", "write synapses or spikes in other formats",
        "csnn export edges out/image --targets L5I --out l5i.npz\n"
        "  csnn export spikes out/run --out spikes.nix",
    )  # fmt: skip
    edges = add_command(
        kinds, "edges", _export_edges, "unroll an image or a part of it into an edge list",
        """
  csnn export edges out/image --targets L5I --out l5i.npz""",
    )  # fmt: skip
    edges.add_argument("image", metavar="IMAGE", help="image directory")
    edges.add_argument("--nodes", metavar="LIST", help="node numbers, such as 0,3-5")
    edges.add_argument("--targets", metavar="LIST",
                       help="populations or neurons first:stop, such as L5I or 0:100")  # fmt: skip
    edges.add_argument("--sources", metavar="LIST", help="likewise")
    edges.add_argument("--out", required=True, metavar="FILE", help=".npz, .csv or .csv.gz")
    spikes = add_command(
        kinds, "spikes", _export_spikes, "write the spikes of a run for other tools",
        """
  csnn export spikes out/run --format nest --out spikes.dat
  csnn export spikes out/run --populations L5E,L5I --out l5.nix""",
    )  # fmt: skip
    spikes.add_argument("run", metavar="DIR", help="output directory of a run")
    spikes.add_argument("--format", choices=("npz", "nest", "sonata", "neo"),
                        help="default: by the suffix of FILE")  # fmt: skip
    spikes.add_argument("--populations", metavar="LIST", help="such as L5E,L5I (default: all)")
    spikes.add_argument("--out", required=True, metavar="FILE",
                        help=".npz, .dat (NEST), .h5 (SONATA) or .nix (Neo)")  # fmt: skip


def _export_edges(options: argparse.Namespace) -> int:
    from csnn import edges as edge_files
    from csnn.image.store import open_image
    from csnn.spec.neuron import weight_key
    from netgen.export import export_edges

    edge_files.check_name(options.out)
    image = open_image(options.image)
    edges = export_edges(
        image,
        nodes=None if options.nodes is None else parse_integers("--nodes", options.nodes),
        targets=None if options.targets is None else options.targets.split(","),
        sources=None if options.sources is None else options.sources.split(","),
    )
    edge_files.write(options.out, edges, weight_key(image.manifest["weight_unit"]))
    content = {"edges": len(edges), "file": options.out}
    answer(options, content, [f"{options.out}: {len(edges):,} edges"])
    return OK


def _export_spikes(options: argparse.Namespace) -> int:
    from csnn import spikes as spike_files
    from csnn.files import require_outside
    from csnn.recorded import recorded_spikes

    kind = options.format or spike_files.choose_format(options.out)
    spike_files.require_format(kind)
    require_outside(options.out)
    spikes = recorded_spikes(Path(options.run))
    if options.populations is not None:
        spikes = spikes.select(options.populations.split(","))
    spike_files.write(options.out, spikes, kind)
    content = {
        "spikes": len(spikes),
        "populations": [p.name for p in spikes.populations],
        "t_start_ms": spikes.t_start_ms,
        "t_stop_ms": spikes.t_stop_ms,
        "format": kind,
        "file": options.out,
    }
    answer(options, content, [f"{options.out}: {len(spikes):,} spikes"])
    return OK
