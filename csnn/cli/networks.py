"""The commands that describe, compile and unroll networks: generate, show, export."""

from __future__ import annotations

import argparse
import math
import tomllib
from typing import Any

from csnn.cli.console import OK, answer, format_size, warn
from csnn.cli.options import (
    add_command,
    add_group,
    add_machine_options,
    add_network_options,
    add_scale_options,
    add_seed_and_threads,
)
from csnn.cli.settings import blamed, parse_integers, read_description, read_run
from csnn.spec.builtin import BUILTINS
from csnn.spec.toml import dumps


def add_generate(commands: Any) -> None:
    """Add `csnn generate`."""
    generate = add_command(
        commands, "generate", _generate, "compile a network into an image",
        """
  csnn generate pd14 --seed 1 --out out/image""",
    )  # fmt: skip
    add_network_options(generate)
    add_machine_options(generate)
    add_seed_and_threads(generate)
    generate.add_argument("--out", required=True, metavar="DIR", help="image directory")


def _generate(options: argparse.Namespace) -> int:
    from csnn.report.machine import PAPER_EXPLICIT_BYTES
    from csnn.run import is_full_scale_pd14
    from netgen.build import generate

    description = read_description(options)
    run = read_run(options, description.run)
    with blamed(options):
        image = generate(description, run.seed, options.out, threads=run.threads)
    manifest = image.manifest
    warn(manifest["notes"])
    explicit = manifest["explicit_bytes"] / max(image.node_bytes, 1)
    ratio = f"{explicit:.1f} times smaller" if explicit >= 1 else "larger"
    lines = [
        f"{image.path}: {image.n_neurons:,} neurons, {manifest['synapses']:,} synapses, "
        f"{image.n_nodes} nodes",
        f"{format_size(image.node_bytes)} in {manifest['generate_s']:.1f} s, "
        f"{ratio} than the synapses in explicit form",
    ]
    if is_full_scale_pd14(manifest):
        paper = PAPER_EXPLICIT_BYTES / image.node_bytes
        lines.append(
            f"{paper:.1f} times smaller than the explicit network of Heittmann et al. (2022)"
        )
    fit = manifest.get("edge_fit")
    if fit and fit["representation"] == "fitted":
        lines.append(
            f"edges fitted by tables: {fit['overall']['recovered_share']:.1%} of them recovered, "
            f"{fit['overall']['recovered_pair_share']:.1%} without regard to weight and delay; see "
            "edge_fit in the manifest"
        )
    answer(options, {"image": str(image.path), **manifest}, lines)
    return OK


def add_show(commands: Any) -> None:
    """Add `csnn show`."""
    show = add_command(
        commands, "show", _show, "print a network as TOML, to be copied and edited",
        """
  csnn show pd14 --scale 0.1 > small.toml""",
    )  # fmt: skip
    show.add_argument("network", nargs="?", metavar="NETWORK",
                      help="built-in network or TOML file; none: list them")  # fmt: skip
    add_scale_options(show)


def _show(options: argparse.Namespace) -> int:
    if options.network is None:
        content = {name: builtin.summary for name, builtin in BUILTINS.items()}
        answer(options, content, [f"{name:<10}{text}" for name, text in content.items()])
        return OK
    text = dumps(read_description(options))
    answer(options, {**_finite(tomllib.loads(text)), "toml": text}, [text.rstrip("\n")])
    return OK


def _finite(value: Any) -> Any:
    """Replace infinite numbers, which JSON has not, by null: no bound."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and math.isinf(value) else value


def add_export(commands: Any) -> None:
    """Add `csnn export edges`."""
    kinds = add_group(
        commands, "export", "write parts of an image in other formats",
        "csnn export edges out/image --targets L5I --out l5i.npz",
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


def _export_edges(options: argparse.Namespace) -> int:
    from csnn import edges as edge_files
    from csnn.image.store import open_image
    from csnn.spec.neuron import weight_key
    from netgen.export import export_edges

    edge_files.check_name(options.out)
    image = open_image(options.image)
    edges = export_edges(
        image,
        nodes=parse_integers("--nodes", options.nodes),
        targets=None if options.targets is None else options.targets.split(","),
        sources=None if options.sources is None else options.sources.split(","),
    )
    edge_files.write(options.out, edges, weight_key(image.manifest["weight_unit"]))
    content = {"edges": len(edges), "file": options.out}
    answer(options, content, [f"{options.out}: {len(edges):,} edges"])
    return OK
