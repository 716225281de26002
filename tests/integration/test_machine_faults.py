"""Faults in a whole machine are corrected without a trace, or stop it and are named."""

from __future__ import annotations

import numpy as np
import pytest
from fault_campaign import (
    MUST_STOP,
    PHYSICS,
    STEPS,
    Campaign,
    Kind,
    Outcome,
    run_campaign,
    table,
)
from machine_images import LIVELY, MESH, eight_nodes

from csnn.hardware.mesh import Site
from csnn.image.store import Image
from csnn.simulator.state import MachineState
from csnn.verify import record_traffic
from rtl.mesh.machine_simulation import FaultKind, Physics, Snapshots
from rtl.mesh.simulated_transport import SimulatedTransport

TRANSIENT = (Kind.DROPPED, Kind.DUPLICATED, Kind.CORRUPTED, Kind.REORDERED)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return eight_nodes(tmp_path_factory.mktemp("faults") / "image", LIVELY[0])


@pytest.fixture(scope="module")
def state(image: Image) -> MachineState:
    return record_traffic(image, warmup_ms=LIVELY[1], steps=1, threads=2).state


def check(outcomes: list[Outcome]) -> None:
    """Transient faults change no bit; the others stop the machine; none passes silently."""
    shown = "\n".join(table(outcomes))
    for outcome in outcomes:
        assert not outcome.is_silent, f"{outcome}\n{shown}"
        if outcome.hit:
            assert outcome.exact != (outcome.kind in MUST_STOP), f"{outcome}\n{shown}"


def test_faults_are_corrected_or_named(image: Image, state: MachineState) -> None:
    campaign = Campaign(image, state, MESH, PHYSICS)
    counts = dict.fromkeys(TRANSIENT, 3) | dict.fromkeys(MUST_STOP, 2)
    outcomes = run_campaign(campaign, counts, stages=1, seed=1)
    for kind, count in counts.items():
        assert sum(outcome.hit for outcome in outcomes if outcome.kind is kind) >= count
    check(outcomes)


@pytest.mark.slow
@pytest.mark.parametrize("shallow", [False, True])
def test_a_hundred_faults_of_each_kind(image: Image, state: MachineState, shallow: bool) -> None:
    """A FIFO that fills is another node; all other faults strike the usual one."""
    kinds = [kind for kind in Kind if (kind is Kind.FULL_FIFO) == shallow]
    campaign = Campaign(image, state, MESH, PHYSICS, shallow=shallow)
    outcomes = run_campaign(campaign, dict.fromkeys(kinds, 100), stages=2, seed=1)
    print("\n".join(table(outcomes)))
    for kind in kinds:
        assert sum(outcome.hit for outcome in outcomes if outcome.kind is kind) >= 100
    check(outcomes)


class Flipping(SimulatedTransport):
    """Alters a word of what it finds in a node's memory."""

    altered = False

    def snapshots(self, site: Site) -> Snapshots:
        found = super().snapshots(site)
        if self.altered and len(found.step):
            found.words["V"][-1, 0] ^= 1
        return found


def test_a_fault_that_nothing_tells_of_would_be_seen(image: Image, state: MachineState) -> None:
    campaign = Campaign(image, state, MESH, PHYSICS, transport=Flipping)
    campaign.advance(STEPS)
    Flipping.altered = True
    try:
        outcome = campaign.strike(Kind.DROPPED, np.random.default_rng(1))
    finally:
        Flipping.altered = False
    assert outcome.is_silent
    assert not outcome.exact
    assert "V: expected" in outcome.message


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_many_faults_at_once_change_no_bit(image: Image, state: MachineState, seed: int) -> None:
    """Loss, doubles, errors and late frames on all links, with clocks that stand for a while."""
    physics = Physics(jitter_ns=300.0 * seed, spread_ns=100.0 * seed, ppm=1000.0, seed=seed)
    campaign = Campaign(image, state, MESH, physics)
    simulation, rng = campaign.simulation, np.random.default_rng(seed)
    campaign.advance(STEPS)
    wires = sorted(simulation.wires, key=simulation.wires.__getitem__)
    for wire in wires:
        for kind in (FaultKind.DROP, FaultKind.DOUBLE, FaultKind.CORRUPT, FaultKind.REORDER):
            for after in rng.integers(150, size=5):
                argument = rng.integers(160) if kind is FaultKind.CORRUPT else 10**9
                simulation.add_fault(*wire, kind, after=int(after), argument=int(argument))
    for site in MESH.sites:
        begin = simulation.now_ns + rng.uniform(0, 200_000)
        simulation.stop_clocks(
            site, app=bool(rng.integers(2)), comm=True, from_ns=begin, until_ns=begin + 20_000
        )
    found = campaign.verification.run(40)
    assert found.is_exact, found.mismatch or found.stopped
    assert found.spikes >= 150
    assert sum(simulation.hits(*wire) for wire in wires) >= 200
