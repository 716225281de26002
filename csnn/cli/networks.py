"""The commands that describe and compile networks: generate, show."""

from __future__ import annotations

import argparse
import math
import tomllib
from typing import Any

from csnn.cli.console import OK, answer, format_size, warn
from csnn.cli.options import (
    add_command,
    add_machine_options,
    add_mpi_option,
    add_network_options,
    add_scale_options,
    add_seed_and_threads,
)
from csnn.cli.settings import blamed, read_description, read_run
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
    add_mpi_option(generate)
    generate.add_argument("--out", required=True, metavar="DIR", help="image directory")


def _generate(options: argparse.Namespace) -> int:
    from csnn.report.machine import PAPER_EXPLICIT_BYTES
    from csnn.result import is_full_scale_pd14
    from netgen.build import generate

    description = read_description(options)
    run = read_run(options, description.run)
    with blamed(options):
        image = generate(description, run.seed, options.out, threads=run.threads, crew=options.team)
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
