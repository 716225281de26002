"""Block diagram of a node, drawn from its elaborated design."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from amaranth.hdl import Fragment, Value
from amaranth.hdl._ast import Assign, Statement, Switch
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from csnn.hardware.config import NodeConfig
from rtl.node import Node

# Ports of a node by the beginning of their names.
_FIRST = {"packets in": "input", "AXI4-Lite": "s_axil"}
_LAST = {"packets out": "output", "AXI4 memory": "m_axi"}
# Answers along a connection: they go against the direction of what is carried.
_ANSWERS = ("ready", "read_data")
_STEP, _WIDTH, _HEIGHT, _EDGE = 110, 96, 34, 20


def connections(config: NodeConfig) -> tuple[list[str], dict[tuple[str, str], int]]:
    """Return the units of a node and the wires between them.

    Parameters
    ----------
    config : NodeConfig

    Returns
    -------
    units : list of str
        In the order of the design, the ports of the node first and last.
    wires : dict of (str, str) to int
        Bits of the ports of the second unit that depend on outputs of the first, through any
        logic of the node and of its core.
    """
    top = Fragment.get(Node(config), None)
    units: dict[str, wiring.Component] = {}
    drivers: dict[int, list[int]] = defaultdict(list)
    _collect(top, units, drivers)
    owner: dict[int, str] = {}
    inputs: list[tuple[str, int, int]] = []
    node = next(o for o in top.origins or () if isinstance(o, Node))
    parts: tuple[tuple[str, str, wiring.Component], ...] = (
        *((name, beginning, node) for name, beginning in _FIRST.items()),
        *((name, "", unit) for name, unit in units.items()),
        *((name, beginning, node) for name, beginning in _LAST.items()),
    )
    for name, beginning, component in parts:
        for path, member, value in component.signature.flatten(component):
            if not str(path[0]).startswith(beginning):
                continue
            # What comes into the node drives its units.
            drives = (member.flow is Out) != (component is node)
            for signal in Value.cast(value)._rhs_signals():
                if drives:
                    owner[id(signal)] = name
                elif not str(path[-1]).endswith(_ANSWERS):
                    inputs.append((name, id(signal), len(signal)))
    wires: dict[tuple[str, str], int] = defaultdict(int)
    for target, port, bits in inputs:
        for source in sorted(_sources(port, drivers, owner)):
            if source != target:
                wires[source, target] += bits
    return [name for name, _, _ in parts], dict(wires)


def node_units(top: Fragment) -> dict[str, wiring.Component]:
    """Return the units of an elaborated node and of its core by name."""
    units: dict[str, wiring.Component] = {}
    _collect(top, units, defaultdict(list))
    return units


def _collect(
    fragment: Fragment,
    units: dict[str, wiring.Component],
    drivers: dict[int, list[int]],
) -> None:
    """Add the units of a fragment, and what drives its signals; the core is opened."""
    for statements in fragment.statements.values():
        for assign, conditions in _assigns(statements, ()):
            for left in assign.lhs._lhs_signals():
                drivers[id(left)] += [*_ids(assign.rhs), *conditions]
    for inner, name, _ in fragment.subfragments:
        unit = next(o for o in inner.origins or () if isinstance(o, wiring.Component))
        if name == "core":
            _collect(inner, units, drivers)
        else:
            units[str(name)] = unit


def _ids(value: Value) -> list[int]:
    return [id(signal) for signal in value._rhs_signals()]


def _assigns(
    statements: Iterable[Statement], conditions: tuple[int, ...]
) -> Iterator[tuple[Assign, tuple[int, ...]]]:
    for statement in statements:
        if isinstance(statement, Assign):
            yield statement, conditions
        elif isinstance(statement, Switch):
            inner = (*conditions, *_ids(statement.test))
            for case in statement.cases:
                yield from _assigns(case[1], inner)


def _sources(port: int, drivers: dict[int, list[int]], owner: dict[int, str]) -> set[str]:
    """Return the units whose outputs a port depends on."""
    found, seen, waiting = set(), {port}, [port]
    while waiting:
        signal = waiting.pop()
        if signal in owner:
            found.add(owner[signal])
            continue
        for driver in drivers.get(signal, ()):
            if driver not in seen:
                seen.add(driver)
                waiting.append(driver)
    return found


def block_diagram(config: NodeConfig) -> str:
    """Return the picture as SVG: units on the diagonal, wires leave sideways, enter upright."""
    units, wires = connections(config)
    place = {name: i for i, name in enumerate(units)}
    size = _STEP * (len(units) - 1) + _WIDTH + 2 * _EDGE
    height = 52 * (len(units) - 1) + _HEIGHT + 2 * _EDGE

    def middle(i: int) -> tuple[int, int]:
        return _EDGE + _WIDTH // 2 + _STEP * i, _EDGE + _HEIGHT // 2 + 52 * i

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {height}" '
        f'width="{size}" height="{height}" font-family="DejaVu Sans, sans-serif" font-size="11">',
        '<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" '
        'orient="auto"><path d="M0,1 L7,4 L0,7 z" fill="#345"/></marker></defs>',
        f'<rect width="{size}" height="{height}" fill="white"/>',
    ]
    for (source, target), bits in sorted(wires.items(), key=lambda w: [place[n] for n in w[0]]):
        (x, y), (u, v) = middle(place[source]), middle(place[target])
        side, end = (1, -1) if u > x else (-1, 1)
        start, tip = x + side * _WIDTH // 2, v + end * _HEIGHT // 2
        lines += [
            f'<path d="M{start},{y} H{u} V{tip}" fill="none" stroke="#345" '
            'stroke-opacity="0.55" marker-end="url(#tip)"/>',
            f'<circle cx="{u}" cy="{y}" r="2.5" fill="#345"/>',
            f'<text x="{u - side * 5}" y="{y - 4}" fill="#345" font-size="10" '
            f'text-anchor="{"end" if side > 0 else "start"}">{bits}</text>',
        ]
    for name, i in place.items():
        x, y = middle(i)
        colour = "#eee" if name in (*_FIRST, *_LAST) else "#d8e6f3"
        lines += [
            f'<rect x="{x - _WIDTH // 2}" y="{y - _HEIGHT // 2}" width="{_WIDTH}" '
            f'height="{_HEIGHT}" rx="4" fill="{colour}" stroke="#345"/>',
            f'<text x="{x}" y="{y + 4}" text-anchor="middle">{name.replace("_", " ")}</text>',
        ]
    return "\n".join([*lines, "</svg>"]) + "\n"
