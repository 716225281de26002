"""`csnn explore`: what is asked for, done, and told."""

from __future__ import annotations

import argparse
import itertools
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from csnn.errors import reject
from csnn.explore import figures
from csnn.explore.chips import CHIPS
from csnn.explore.design import Design
from csnn.explore.evaluate import Point, evaluate
from csnn.explore.network import Network, make_network
from csnn.explore.room import measure_room
from csnn.explore.sweeps import (
    balanced,
    boards,
    candidates,
    front,
    ideals,
    near_front,
    sparser,
    variations,
)
from csnn.explore.tables import (
    assumptions,
    name_board,
    tell_bars,
    tell_fronts,
    tell_variations,
)
from csnn.files import require_apart
from csnn.image.store import Image, open_image
from csnn.neurons.lif import LIF
from csnn.perf.folder import write_folder
from csnn.perf.spikes import read_workload
from csnn.progress import progress
from csnn.spec import checks

SCHEMA, VERSION = "csnn-explore", 1
_DEFAULT_MS = 20.0
# Steps of the first look at every design.
_SHORT = 10
PD14_NEURONS = 77_169
# Those whose pipeline was synthesised; what others take is another question (`csnn dse`).
_MODELS = (LIF.name, "lif_exp_cuba_exact")
# Full-scale PD14, measured: devices and real-time factor.
PUBLISHED = {
    "CsNN, 305 XC7Z045": (305, 0.246),
    "neuroAIx, 35 FPGAs": (35, 0.05),
}


def run_explore(options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """Search for machines; return the figures, and lines for people.

    Raises
    ------
    InvalidInputError
        If an option, the image or the run breaks a rule.
    """
    image = open_image(options.image)
    if image.manifest["model"] not in _MODELS:
        rule = f"an image of {image.manifest['model']}: resources of nodes are known for LIF only"
        raise reject("IMAGE", options.image, rule)
    chips = tuple(dict.fromkeys(name.lower() for name in options.devices or CHIPS))
    for name in chips:
        if name not in CHIPS:
            raise reject("--device", name, f"must be one of {', '.join(CHIPS)}")
    if options.most_devices is not None:
        checks.integer("explore", "most_devices", options.most_devices, 1, 2**16)
    out = None if options.out is None else Path(options.out)
    if out is not None:
        require_apart(out, SCHEMA, image=image.path, run=options.run)
    workload = read_workload(options, image, default_ms=_DEFAULT_MS)
    network = make_network(image, workload)
    base = Design(pipelines=network.config.pipelines)
    with progress(None, "what limits a mesh"):
        changed = ideals(base, network.work.nodes, network.neurons)
        limits = {name: evaluate(network, design) for name, design in changed.items()}
        limits["no spikes"] = evaluate(network, base, spikes=False)
    with progress(None, "other topologies"):
        linked = [evaluate(network, design) for design in boards(base)]
    looked_at, points = search(network, chips, options.most_devices)
    best = front(points)
    varied = vary(network, points)
    content = {
        "network": image.manifest["network"],
        "neurons": network.neurons,
        "steps": workload.steps,
        "spikes_per_step": len(workload.source) / workload.steps,
        "mesh": {name: point.to_dict() for name, point in limits.items()},
        "boards": [point.to_dict() for point in linked],
        "points": [point.to_dict() for point in points],
        "short_runs": [point.to_dict() for point in looked_at],
        "front": [point.to_dict() for point in best],
        "variations": {
            title: {name: point.to_dict() for name, point in rows.items()}
            for title, rows in varied.items()
        },
        "assumptions": assumptions(tuple(dict.fromkeys((base.chip, *chips)))),
    }
    named = {name_board(point): point for point in linked}
    if out is not None:
        with progress(None, "draw the figures"):
            _write(out, image, content, limits, named, (looked_at, points, best))
    lines = [
        f"{image.path}: {workload.steps} steps of {content['spikes_per_step']:.1f} spikes",
        "", "one node per XC7Z045 in a mesh, and with one cost less:", *tell_bars(limits),
        "", "the same nodes, linked otherwise:", *tell_bars(named),
        "", f"best of {len(looked_at)} designs (*: no other is better in devices and factor):",
        *tell_fronts(points, best),
    ]  # fmt: skip
    if varied:
        lines += ["", "these with other clocks, other latencies and rates of links:"]
        lines += tell_variations(varied)
    lines += ["", "assumed:"]
    for line in content["assumptions"]:
        lines += textwrap.wrap(line, 79, initial_indent="- ", subsequent_indent="  ")
    lines += [f"{out}: figures, all points"] if out else []
    return {**content, "out": options.out}, lines


def search(
    network: Network, chips: Sequence[str], most_devices: int | None
) -> tuple[list[Point], list[Point]]:
    """Return points: of all designs after a short run, of those near the front after a full one.

    Designs near the front are looked at with fewer nodes in a device as well, and evaluated with
    nodes of the same load as well.
    """
    most = most_devices or network.neurons + 1
    with progress(None, "look for designs that fit"):
        designs = list(candidates(network, chips, most))
    short = network.steps(min(_SHORT, network.work.steps))
    looked_at = _evaluate(short, designs, "short runs")
    designs = list(sparser(network, near_front(looked_at), most))
    looked_at += _evaluate(short, designs, "fewer nodes in a device")
    designs = [point.design for point in near_front(looked_at)]
    points = _evaluate(network, designs, "full runs")
    loaded = [balanced(design) for design in designs]
    fitting = [design for design in loaded if measure_room(network, design).fits]
    return looked_at, points + _evaluate(network, fitting, "balanced nodes")


def vary(network: Network, points: Sequence[Point]) -> dict[str, dict[str, Point]]:
    """Return the front of each kind of device, by name, with other clocks and links."""
    chips = dict.fromkeys(point.design.chip for point in points)
    fronts = [front([p for p in points if p.design.chip == chip]) for chip in chips]
    varied = {}
    best = list(itertools.chain.from_iterable(fronts))
    with progress(len(best), "other clocks and links", "designs") as bar:
        for point in best:
            devices = point.room.devices
            varied[f"{devices} x {point.design.chip}"] = {"as assumed": point} | {
                name: evaluate(network, design)
                for name, design in variations(point.design, devices).items()
            }
            bar.update()
    return varied


def _evaluate(network: Network, designs: Sequence[Design], label: str) -> list[Point]:
    points = []
    with progress(len(designs), label, "designs") as bar:
        for design in designs:
            points.append(evaluate(network, design))
            bar.update()
    return points


def _write(
    out: Path, image: Image, content: dict[str, Any], limits: Mapping[str, Point],
    linked: Mapping[str, Point], found: tuple[Sequence[Point], Sequence[Point], Sequence[Point]],
) -> None:  # fmt: skip
    is_full = content["network"] == "pd14" and content["neurons"] == PD14_NEURONS
    drawn = {
        "mesh": figures.draw_bars(limits, "a mesh of XC7Z045, with one cost less"),
        "boards": figures.draw_bars(linked, "the same nodes, linked otherwise"),
    }
    if found[1]:
        drawn["front"] = figures.draw_front(*found, PUBLISHED if is_full else {})
    write_folder(
        out, image, SCHEMA, VERSION, figures=drawn, content={"explore": content}, arrays={}
    )
