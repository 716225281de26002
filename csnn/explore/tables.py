"""What `csnn explore` tells people: tables of 80 columns, and what they rest on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from csnn.explore.chips import CHIPS, USABLE_LOGIC, USABLE_MEMORY
from csnn.explore.design import INNER_ARITY, INNER_REGISTERS
from csnn.explore.evaluate import OUTSIDE_RATE, Point
from csnn.explore.sweeps import front


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


def name_board(point: Point) -> str:
    """Return how the devices of a machine are linked."""
    design = point.design
    names = {
        "tree": f"tree of {design.arity}",
        "express": "mesh, express links",
        "cube": "mesh like a cube",
        "direct": "each with each",
    }
    return names.get(design.board, design.board)


def tell_bars(rows: Mapping[str, Point]) -> list[str]:
    """Return real-time factors beside that of the first row."""
    base = next(iter(rows.values())).real_time_factor
    lines = [f"  {'':<36}{'factor':>8}{'change':>9}  limit"]
    for name, point in rows.items():
        limit = point.short_limit if point.room.fits else f"no room: {point.room.limit}"
        change = f"{point.real_time_factor / base - 1:+.1%}"
        lines.append(f"  {name:<36}{point.real_time_factor:>8.4f}{change:>9}  {limit}")
    return lines


def tell_fronts(points: Sequence[Point], best: Sequence[Point]) -> list[str]:
    """Return the front of each kind of device."""
    if not points:
        return ["  none: too small a network for the nodes that are tried, or too few devices"]
    lines = [
        f"  {'':<2}{'devices':>7}{'factor':>8} {'nodes':>5} {'neurons':<9}{'pipes':>5}{'lanes':>6}"
        "  limits: time; room"
    ]
    for chip in dict.fromkeys(point.design.chip for point in points):
        lines.append(f"  {chip}")
        for point in front([p for p in points if p.design.chip == chip]):
            design, room = point.design, point.room
            neurons = f"{room.largest}{' bal.' if design.partition == 'balanced' else ''}"
            mark = "*" if point in best else ""
            lines.append(
                f"  {mark:<2}{room.devices:>7}{point.real_time_factor:>8.4f} {room.nodes:>5} "
                f"{neurons:<9}{design.pipelines:>5}{design.lanes:>6}  "
                f"{point.short_limit}; {room.limit}"
            )
    return lines


def tell_variations(varied: Mapping[str, Mapping[str, Point]]) -> list[str]:
    """Return the factors of machines with other clocks and links, a machine a line."""
    if not varied:
        return []
    names = list(dict.fromkeys(name for rows in varied.values() for name in rows))
    lines = ["  " + f"{'':<8}" + "".join(f"{_head(name)[0]:>7}" for name in names)]
    lines.append(f"  {'devices':<8}" + "".join(f"{_head(name)[1]:>7}" for name in names))
    told = ""
    for rows in varied.values():
        first = next(iter(rows.values()))
        chip, devices = first.design.chip, first.room.devices
        lines += [f"  {chip}"] if chip != told else []
        told = chip
        cells = (_cell(rows[name]) if name in rows else "-" for name in names)
        lines.append(f"  {devices:>7} " + "".join(f"{cell:>7}" for cell in cells))
    return lines


def _head(name: str) -> tuple[str, str]:
    """Return the name of a variation in two lines: `rate x 4`, `100 ns`, `as assumed`."""
    first, second = name.split(" ", 1)
    return first, second.replace("x ", "x")


def _cell(point: Point) -> str:
    factor = point.real_time_factor
    return f"{factor:.4f}" if factor < 10 else f"{factor:.1f}"
