"""`csnn explore`: what is asked for, done, and told."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from csnn.errors import reject
from csnn.explore import figures
from csnn.explore.chips import CHIPS, USABLE_LOGIC, USABLE_MEMORY
from csnn.explore.design import INNER_ARITY, INNER_REGISTERS, Design
from csnn.explore.evaluate import OUTSIDE_RATE, Point, evaluate
from csnn.explore.network import Network, make_network
from csnn.explore.sweeps import balanced, boards, candidates, front, ideals, near_front, variations
from csnn.image.store import Image, open_image
from csnn.perf.folder import check_out, write_folder
from csnn.perf.spikes import read_workload
from csnn.progress import progress
from csnn.spec import checks

SCHEMA, VERSION = "csnn-explore", 1
_DEFAULT_MS = 20.0
# Steps of the first look at every design.
_SHORT = 10
PD14_NEURONS = 77_169
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
    chips = tuple(dict.fromkeys(options.devices or CHIPS))
    for name in chips:
        if name not in CHIPS:
            raise reject("--device", name, f"must be one of {', '.join(CHIPS)}")
    if options.most_devices is not None:
        checks.integer("explore", "most_devices", options.most_devices, 1, 2**16)
    out = None if options.out is None else Path(options.out)
    if out is not None:
        check_out(out, SCHEMA, image=image, run=options.run)
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
    with progress(None, "other clocks and links"):
        varied = {
            title: {name: evaluate(network, one) for name, one in changes.items()}
            for title, changes in _ends(best).items()
        }
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
    named = {_board(point): point for point in linked}
    if out is not None:
        with progress(None, "draw the figures"):
            _write(out, image, content, limits, named, (looked_at, points, best))
    lines = [
        f"{image.path}: {workload.steps} steps of {content['spikes_per_step']:.1f} spikes",
        "", "one node per XC7Z045 in a mesh, and with one cost less:", *_bars(limits),
        "", "the same nodes, linked otherwise:", *_bars(named),
        "", f"best of {len(looked_at)} designs (*: no other is better in devices and factor):",
        *_fronts(points, best),
    ]  # fmt: skip
    for title, rows in varied.items():
        lines += ["", f"{title}, with other assumptions:", *_bars(rows)]
    lines += ["", "assumed:"]
    for line in content["assumptions"]:
        lines += textwrap.wrap(line, 79, initial_indent="- ", subsequent_indent="  ")
    lines += [f"{out}: figures, all points"] if out else []
    return {**content, "out": options.out}, lines


def search(
    network: Network, chips: Sequence[str], most_devices: int | None
) -> tuple[list[Point], list[Point]]:
    """Return points: of all designs after a short run, of those near the front after a full one.

    Designs near the front are evaluated with nodes of the same load as well.
    """
    with progress(None, "look for designs that fit"):
        most = most_devices or network.neurons + 1
        designs = list(candidates(network, chips, most))
    short = network.steps(min(_SHORT, network.work.steps))
    looked_at = []
    with progress(len(designs), "short runs", "designs") as bar:
        for design in designs:
            looked_at.append(evaluate(short, design))
            bar.update()
    near = near_front(looked_at)
    points = []
    with progress(2 * len(near), "full runs", "designs") as bar:
        for point in near:
            points.append(evaluate(network, point.design))
            bar.update()
            other = evaluate(network, balanced(point.design))
            if other.room.fits:
                points.append(other)
            bar.update()
    return looked_at, points


def assumptions(chips: Sequence[str]) -> list[str]:
    """Return what the points rest on."""
    return [
        *(
            f"{name}: nodes at {CHIPS[name].app_mhz:g} MHz, routers at {CHIPS[name].comm_mhz:g} "
            f"({CHIPS[name].basis}); {CHIPS[name].outside} of "
            f"{CHIPS[name].outside_bytes_per_s / 1e9:g} GB/s and {CHIPS[name].outside_ns:g} ns; "
            f"{CHIPS[name].links} links of {CHIPS[name].link_gbps:g} Gb/s "
            f"({CHIPS[name].link_basis})"
            for name in chips
        ),
        "links between devices take 800 ns, those of boards in use today",
        f"{USABLE_LOGIC:.0%} of the logic and {USABLE_MEMORY:.0%} of memory and multipliers of a "
        "device can be used; logic is the sum of units synthesised alone",
        f"inside a device: a tree of {INNER_ARITY}, {INNER_REGISTERS} registers on each link; such "
        "a fabric has not been built; its buffers and what fetches rows are estimates",
        "lanes have rows and banks of their own, two share the ports of a table; a row ends with "
        "its longest part",
        f"reads of memory outside get {OUTSIDE_RATE:.0%} of its rate and overlap",
        "nodes above 256 neurons need wider addresses than the RTL has",
        "rows of nodes of other sizes are drawn from those of the image; stored synapses lie on "
        "the chip, in proportion to the neurons",
    ]


def _board(point: Point) -> str:
    design = point.design
    names = {
        "tree": f"tree of {design.arity}",
        "express": "mesh, express links",
        "cube": "mesh like a cube",
        "direct": "each with each",
    }
    return names.get(design.board, design.board)


def _bars(rows: Mapping[str, Point]) -> list[str]:
    base = next(iter(rows.values())).real_time_factor
    lines = [f"  {'':<36}{'factor':>8}{'change':>9}  limit"]
    for name, point in rows.items():
        limit = point.speed_limit if point.room.fits else f"no room: {point.room.limit}"
        short = limit.replace("synchronisation through the network", "synchronisation")
        change = f"{point.real_time_factor / base - 1:+.1%}"
        lines.append(f"  {name:<36}{point.real_time_factor:>8.4f}{change:>9}  {short}")
    return lines


def _ends(best: Sequence[Point]) -> dict[str, dict[str, Design]]:
    """Return variations of the designs of fewest devices and of the smallest factor."""
    if not best:
        return {}
    few, fast = best[0], best[-1]
    return {
        f"{point.room.devices} x {point.design.chip}": variations(point.design, point.room.devices)
        for point in ((few, fast) if fast is not few else (few,))
    }


def _fronts(points: Sequence[Point], best: Sequence[Point]) -> list[str]:
    """Return the front of each kind of device."""
    if not points:
        return ["  none: too small a network for the nodes that are tried, or too few devices"]
    lines = [
        f"  {'':<2}{'devices':>7}{'factor':>8} {'nodes':>5} {'neurons':<10}{'pipes':>5}{'lanes':>6}"
        "  limits: time; room"
    ]
    for chip in dict.fromkeys(point.design.chip for point in points):
        lines.append(f"  {chip}")
        for point in front([p for p in points if p.design.chip == chip]):
            design, room = point.design, point.room
            limit = point.speed_limit.split(" ", 1)[0]
            neurons = f"{room.largest}{' bal.' if design.partition == 'balanced' else ''}"
            mark = "*" if point in best else ""
            lines.append(
                f"  {mark:<2}{room.devices:>7}{point.real_time_factor:>8.4f} {room.nodes:>5} "
                f"{neurons:<10}{design.pipelines:>5}{design.lanes:>6}  {limit}; {room.limit}"
            )
    return lines


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
