"""Routers in hardware send every packet where `RouterConfig` says."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from csnn.hardware.mesh import Mesh, RouterConfig, Site
from rtl.mesh.broadcast_router import BroadcastRouter
from rtl.mesh.unicast_router import UnicastRouter, may_leave
from rtl.verilate import Verilated

EXPRESS = [(0, 0, 0), (3, 3, 0), (2, 0, 5), (4, 7, 128)]
SHAPES = [(3, 3, 2), (8, 2, 1), (2, 7, 1), (1, 2, 7), (4, 4, 3)]
N_RANDOM = 4_000
LOCAL = "local"


@dataclass(frozen=True)
class Case:
    """A packet at a router, the input where it comes, and the outputs where it must appear."""

    here: Site
    end: Site
    entry: str
    exits: frozenset[str]


def pairs(rng: np.random.Generator) -> list[tuple[Site, Site]]:
    """Return all pairs of some meshes, pairs of random coordinates and pairs of near ones."""
    found: list[tuple[Site, Site]] = []
    for shape in SHAPES:
        found += itertools.product(Mesh(shape=shape, n_nodes=1).sites, repeat=2)
    here = rng.integers(0, 256, (2 * N_RANDOM, 3))
    far, near = rng.integers(0, 256, here.shape), here + rng.integers(-9, 10, here.shape)
    end = np.where(np.arange(len(here))[:, np.newaxis] < N_RANDOM, far, near.clip(0, 255))
    # Most random coordinates differ in X already: let some be equal.
    end = np.where(rng.random(here.shape) < 0.4, here, end)
    return found + [(tuple(a), tuple(b)) for a, b in zip(here.tolist(), end.tolist(), strict=True)]


def inside(site: Site) -> bool:
    return all(0 <= place < 256 for place in site)


def run(
    component: UnicastRouter | BroadcastRouter, cases: Sequence[Case], decided: int
) -> list[set[str]]:
    """Return the outputs at which each packet appeared; demand `misrouted` for those at none.

    A packet comes in each cycle; `clear` is always given. The straps are right in the cycle in
    which the router decides, `decided` cycles after the packet came.
    """
    router = Verilated(component)
    count, cycles = len(cases), len(cases) + component.LATENCY
    given = {}
    for name in router.inputs:
        shape = (cycles, 2) if name.endswith("payload") else (cycles,)
        is_set = name.endswith("ready") or name in ("clear", "deliver")
        given[name] = np.full(shape, is_set, dtype=np.uint64)
    given["exists"][:] = (1 << len(component.config.directions)) - 1
    for axis, letter in enumerate("xyz"):
        places = [case.here[axis] for case in cases]
        given[f"here_{letter}"][decided : count + decided] = places
    for number, case in enumerate(cases):
        x, y, z = case.end
        given[f"{case.entry}_in__valid"][number] = 1
        given[f"{case.entry}_in__payload"][number, 0] = number << 32 | z << 16 | y << 8 | x
    found = router.run(given)
    exits: list[set[str]] = [set() for _ in cases]
    for port in router.outputs:
        if port.endswith("_out__valid"):
            name = port.removesuffix("_out__valid")
            times = np.flatnonzero(found[port])
            numbers = (found[f"{name}_out__payload"][times, 0] >> np.uint64(32)).tolist()
            assert numbers == (times - component.LATENCY).tolist(), name
            for number in numbers:
                exits[number].add(name)
    lost = np.array([not ways for ways in exits], dtype=np.uint64)
    # Both tell of it two cycles after the packet came.
    assert np.array_equal(found["misrouted"][2:][:count], lost)
    return exits


def unicast_cases(config: RouterConfig, rng: np.random.Generator) -> list[Case]:
    """Return every pair with a packet of the node, and with one that came along its route."""
    cases = []
    for here, target in pairs(rng):
        direction = config.unicast(here, target)
        exits = frozenset({LOCAL if direction is None else direction.name})
        cases.append(Case(here, target, LOCAL, exits))
        behind = [(d.opposite, d.opposite.from_site(here)) for d in config.directions]
        entries = [
            back.name
            for back, site in behind
            if inside(site) and config.unicast(site, target) == back.opposite
        ]
        if entries:
            cases.append(Case(here, target, str(rng.choice(entries)), exits))
    return cases


def broadcast_cases(config: RouterConfig, rng: np.random.Generator) -> list[Case]:
    """Return every pair with a packet at the right input, and with one at a wrong one."""
    cases = []
    names = [*(direction.name for direction in config.directions), LOCAL]
    for here, sender in pairs(rng):
        arrival = config.arrival(sender, here)
        entry = LOCAL if arrival is None else arrival.opposite.name
        exits = {direction.name for direction in config.branches(sender, here)}
        if arrival is not None:
            exits.add(LOCAL)
        cases.append(Case(here, sender, entry, frozenset(exits)))
        wrong = str(rng.choice([name for name in names if name != entry]))
        cases.append(Case(here, sender, wrong, frozenset()))
    return cases


ROUTERS = [(UnicastRouter, unicast_cases, 0), (BroadcastRouter, broadcast_cases, 1)]


@pytest.mark.parametrize("express", EXPRESS)
@pytest.mark.parametrize(("make", "make_cases", "decided"), ROUTERS, ids=["unicast", "broadcast"])
def test_every_packet_takes_the_links_of_the_rule(
    make: Callable[[RouterConfig], UnicastRouter | BroadcastRouter],
    make_cases: Callable[[RouterConfig, np.random.Generator], list[Case]],
    decided: int,
    express: tuple[int, int, int],
) -> None:
    config = RouterConfig(express=express, branch_buffer=4)
    cases = make_cases(config, np.random.default_rng(1))
    entries = {case.entry for case in cases if case.exits}
    exits = set().union(*(case.exits for case in cases))
    assert entries == exits == {*(direction.name for direction in config.directions), LOCAL}
    found = run(make(config), cases, decided)
    assert not [case for case, ways in zip(cases, found, strict=True) if ways != case.exits][:5]


def test_a_planted_fault_is_found() -> None:
    config = RouterConfig(express=(3, 3, 0))
    other = RouterConfig(express=(3, 4, 0))
    for make, make_cases, decided in ROUTERS:
        cases = [
            replace(
                case,
                entry=case.entry.replace("_4", "_3"),
                exits=frozenset(name.replace("_4", "_3") for name in case.exits),
            )
            for case in make_cases(other, np.random.default_rng(1))
        ]
        found = run(make(config), cases, decided)
        assert [case for case, ways in zip(cases, found, strict=True) if ways != case.exits]


@pytest.mark.parametrize("express", [(0, 0, 0), (3, 3, 0), (4, 0, 5), (2, 2, 2)])
def test_inputs_lead_where_some_route_leads(express: tuple[int, int, int]) -> None:
    config = RouterConfig(express=express)
    here = (100, 100, 100)
    offsets = range(-max(express) - 2, max(express) + 3)
    turns = set()
    for offset in itertools.product(offsets, repeat=3):
        target = tuple(place + by for place, by in zip(here, offset, strict=True))
        leaves = config.unicast(here, target)
        for travelled in config.directions:
            if config.unicast(travelled.opposite.from_site(here), target) == travelled:
                turns.add((travelled.opposite, leaves))
    allowed = {
        (entry, leaving)
        for entry, leaving in itertools.product(config.directions, repeat=2)
        if may_leave(entry, leaving)
    }
    found = {(entry, leaving) for entry, leaving in turns if leaving is not None}
    # Beside express links of 2 places no route takes two nearest ones in a row.
    spare = {(d.opposite, d) for d in config.directions if d.span == 1} if 2 in express else set()
    assert found == allowed - spare
