"""Faults in a machine that runs: each one alone, in a copy of the machine made by a fork.

    PYTHONPATH=tests python tests/integration/fault_campaign.py --each 100 --json out/faults.json

prints how many of every kind hit traffic, and what became of them.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pickle
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from csnn.hardware.config import NodeConfig
from csnn.hardware.mesh import Direction, Mesh, Site
from csnn.image.store import Image
from csnn.simulator.state import MachineState
from csnn.verify_machine import MachineReplay, MachineVerification
from rtl.mesh.machine_simulation import FaultKind, MachineSimulation, Physics
from rtl.mesh.simulated_transport import SimulatedTransport

# Cycles of the master node that a step may take, and what the host waits: a step takes 70 us at
# most, a silent link tells of itself after 82 us.
STEP_TIMEOUT, PATIENCE_MS, ANSWER_MS = 30_000, 0.3, 0.03
# A fault strikes within the first of these steps.
STEPS = 12
# Depth of the nodes' input FIFO: bursts of this column fill it.
SHALLOW_FIFO = 4
# Links, clocks and their phases of the campaign.
PHYSICS = Physics(jitter_ns=150.0, spread_ns=200.0, seed=3)
# Faults of a kind that are planted for each that is to hit, before a campaign gives up.
PATIENCE = 20
# Nanoseconds that a frame is held back, and a clock stands.
HELD_BACK_NS, STALL_NS = (100, 1500), (5_000, 60_000)


class Kind(StrEnum):
    """What goes wrong."""

    DROPPED = "dropped frame"
    DUPLICATED = "duplicated frame"
    CORRUPTED = "corrupted frame"
    REORDERED = "reordered frame"
    FULL_FIFO = "full FIFO"
    DEAD_NODE = "dead node"
    STUCK_LINK = "stuck link"
    ALTERED_SOURCE = "altered source"


ON_LINKS = {
    Kind.DROPPED: FaultKind.DROP,
    Kind.DUPLICATED: FaultKind.DOUBLE,
    Kind.CORRUPTED: FaultKind.CORRUPT,
    Kind.REORDERED: FaultKind.REORDER,
    Kind.STUCK_LINK: FaultKind.STUCK,
    Kind.ALTERED_SOURCE: FaultKind.FORGE,
}
MUST_STOP = (Kind.DEAD_NODE, Kind.STUCK_LINK, Kind.ALTERED_SOURCE)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a fault.

    Attributes
    ----------
    kind : Kind
    place : str
    step : int
        The machine was in when the fault was planted.
    hit : bool
        Whether it met traffic.
    exact : bool
        Whether the run went on to its end with every bit right.
    named : bool
        Whether the machine stopped with an error that names the place.
    message : str
        Why it stopped, or what differs.
    """

    kind: Kind
    place: str
    step: int
    hit: bool
    exact: bool
    named: bool
    message: str

    @property
    def is_silent(self) -> bool:
        """Whether the fault did harm that nobody was told of."""
        return not self.exact and not self.named


class Campaign:
    """A machine in which faults are planted.

    Parameters
    ----------
    image : Image
    state : MachineState
    mesh : Mesh
    physics : Physics
    shallow : bool
        Give the nodes a FIFO that bursts fill.
    transport : callable
        Makes the transport around a simulation.
    """

    def __init__(
        self, image: Image, state: MachineState, mesh: Mesh, physics: Physics, *,
        shallow: bool = False, transport: Callable[..., SimulatedTransport] = SimulatedTransport,
    ) -> None:  # fmt: skip
        config = NodeConfig.for_nodes(image.nodes)
        if shallow:
            config = dataclasses.replace(config, event_fifo=SHALLOW_FIFO)
        self.mesh = mesh

        def make(node: NodeConfig, master: object) -> SimulatedTransport:
            # Threads do not survive a fork.
            self.simulation = MachineSimulation(mesh, node, master, physics, threads=1)
            return transport(self.simulation, patience_ms=ANSWER_MS)

        self.verification = MachineVerification(
            image, state, mesh, make, config=config, preload=True, step_timeout=STEP_TIMEOUT,
            timeout_ms=ANSWER_MS, patience_ms=PATIENCE_MS,
        )  # fmt: skip
        self.step = state.step
        self._packets: dict[tuple[Site, Direction], int] = {}

    def advance(self, steps: int) -> None:
        """Go on without a fault and see where packets go."""
        before = {wire: self.simulation.packets(*wire) for wire in self.simulation.wires}
        found = self.verification.run(steps)
        if not found.is_exact:
            raise AssertionError(str(found.mismatch or found.stopped))
        self.step += steps
        for wire, count in before.items():
            self._packets[wire] = self.simulation.packets(*wire) - count

    def strike(self, kind: Kind, rng: np.random.Generator) -> Outcome:
        """Plant a fault, go on, and tell what became of it; the machine is not fit for more."""
        if kind in ON_LINKS:
            return self._strike_link(kind, rng)
        site = self.mesh.nodes[rng.integers(len(self.mesh.nodes))]
        if kind is Kind.FULL_FIFO:
            return self._stall(site, rng)
        if not rng.integers(10):
            site = self.mesh.master
        return self._kill(site, rng)

    def _strike_link(self, kind: Kind, rng: np.random.Generator) -> Outcome:
        wires = [wire for wire, count in self._packets.items() if count >= STEPS // 2]
        site, direction = wires[rng.integers(len(wires))]
        argument = {
            Kind.CORRUPTED: lambda: rng.integers(160),
            Kind.REORDERED: lambda: rng.integers(*HELD_BACK_NS) * 1_000_000,
            Kind.ALTERED_SOURCE: lambda: rng.integers(32),
        }.get(kind, lambda: 0)()
        self.simulation.add_fault(
            site, direction, ON_LINKS[kind], after=int(rng.integers(STEPS // 2)),
            argument=int(argument),
        )  # fmt: skip
        found = self.verification.run(STEPS)
        hit = self.simulation.hits(site, direction) > 0
        if kind is Kind.REORDERED:
            hit = self.simulation.overtaken(site, direction) > 0
        other = direction.from_site(site)
        if kind is Kind.ALTERED_SOURCE:
            places = [f"{self._name(s)}: error sum" for s in self._behind(site, direction)]
        else:
            # Of the place that sends, and of the one that hears nothing.
            places = [
                f"router at {_shown(site)}: link {direction.name} ",
                f"router at {_shown(other)}: link {direction.opposite.name} ",
            ]
        return self._outcome(kind, f"{_shown(site)} {direction.name}", found, hit, places)

    def _behind(self, site: Site, direction: Direction) -> Iterator[Site]:
        """Yield who hears what is sent on a link: nodes, or the master node."""
        master, router = self.mesh.master, self.mesh.router
        for node in self.mesh.nodes:
            for way, end in ((master, node), (node, master)):
                here = way
                for step in router.route(way, end):
                    if (here, step) == (site, direction):
                        yield end
                    here = step.from_site(here)

    def _kill(self, site: Site, rng: np.random.Generator) -> Outcome:
        app, comm = ((True, False), (False, True), (True, True))[rng.integers(3)]
        before = self.simulation.now_ns
        self.simulation.stop_clocks(
            site, app=app, comm=comm, from_ns=before + rng.uniform(0, STEPS // 2 * 5_000)
        )
        found = self.verification.run(STEPS)
        clocks = " and ".join(["application"] * app + ["communication"] * comm)
        named = [f"{self._name(site)}: no ", f"{self._name(site)} does not answer"]
        # Whoever runs needs every node in every step.
        hit = found.steps < STEPS
        return self._outcome(Kind.DEAD_NODE, f"{_shown(site)} {clocks}", found, hit, named)

    def _stall(self, site: Site, rng: np.random.Generator) -> Outcome:
        before, now = self.simulation.full_cycles(site), self.simulation.now_ns
        begin = now + rng.uniform(0, STEPS // 2 * 5_000)
        self.simulation.stop_clocks(
            site, app=True, comm=False, from_ns=begin, until_ns=begin + rng.uniform(*STALL_NS)
        )
        found = self.verification.run(STEPS)
        hit = self.simulation.full_cycles(site) > before
        return self._outcome(Kind.FULL_FIFO, _shown(site), found, hit, [self._name(site)])

    def _outcome(
        self, kind: Kind, place: str, found: MachineReplay, hit: bool, names: list[str]
    ) -> Outcome:
        told = found.stopped or ""
        return Outcome(
            kind=kind,
            place=place,
            step=self.step,
            hit=hit,
            exact=found.is_exact,
            named=any(name in told for name in names),
            message=told or str(found.mismatch or ""),
        )

    def _name(self, site: Site) -> str:
        if site == self.mesh.master:
            return f"master node at {_shown(site)}"
        return f"node {self.mesh.nodes.index(site)} at {_shown(site)}"


def _shown(site: Site) -> str:
    return f"({', '.join(map(str, site))})"


def run_campaign(
    campaign: Campaign,
    counts: dict[Kind, int],
    *,
    stages: int,
    seed: int,
    jobs: int = 2,
    tell: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """Strike copies of a machine, at several steps of its run, until enough faults have hit.

    Parameters
    ----------
    campaign : Campaign
    counts : dict of Kind to int
        How many of every kind must hit traffic.
    stages : int
        Points of the run, `STEPS` apart, among which they are divided.
    seed : int
    jobs : int
        Copies that run at a time.
    tell : callable
        Called with every outcome.

    Returns
    -------
    list of Outcome
        Also of those that hit nothing.
    """
    outcomes: list[Outcome] = []
    number = 0
    for stage in range(stages):
        campaign.advance(STEPS)
        due = {kind: count * (stage + 1) // stages for kind, count in counts.items()}
        while True:
            hits = {kind: sum(o.hit for o in outcomes if o.kind is kind) for kind in counts}
            kinds = [kind for kind in counts for _ in range(max(0, due[kind] - hits[kind]))]
            if not kinds:
                break
            for kind in dict.fromkeys(kinds):
                planted = sum(o.kind is kind for o in outcomes)
                if planted > PATIENCE * due[kind]:
                    raise AssertionError(f"{kind}: {planted} planted, {hits[kind]} hit traffic")
            running: list[tuple[int, int]] = []
            for kind in kinds:
                if len(running) == jobs:
                    outcomes.append(_collect(*running.pop(0)))
                    tell(outcomes[-1])
                number += 1
                running.append(_fork(campaign, kind, np.random.default_rng([seed, number])))
            for child in running:
                outcomes.append(_collect(*child))
                tell(outcomes[-1])
    return outcomes


def _fork(campaign: Campaign, kind: Kind, rng: np.random.Generator) -> tuple[int, int]:
    """Strike a copy; return its process and the pipe on which it tells."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child:
        os.close(writer)
        return child, reader
    code = 1
    try:
        os.close(reader)
        outcome = campaign.strike(kind, rng)
        with os.fdopen(writer, "wb") as pipe:
            pickle.dump(outcome, pipe)
        code = 0
    finally:
        os._exit(code)


def _collect(child: int, reader: int) -> Outcome:
    with os.fdopen(reader, "rb") as pipe:
        told = pipe.read()
    _, status = os.waitpid(child, 0)
    if status:
        raise AssertionError(f"a copy of the machine ended with status {status}")
    outcome: Outcome = pickle.loads(told)
    return outcome


def table(outcomes: list[Outcome]) -> list[str]:
    """Return the rows of a summary, for people; faults that hit nothing count nowhere else."""
    rows = [f"{'fault':<18}{'planted':>8}{'hit':>6}{'corrected':>11}{'stopped':>9}{'silent':>8}"]
    for kind in Kind:
        found = [outcome for outcome in outcomes if outcome.kind is kind]
        hits = [outcome for outcome in found if outcome.hit]
        if found:
            rows.append(
                f"{kind:<18}{len(found):>8}{len(hits):>6}{sum(o.exact for o in hits):>11}"
                f"{sum(o.named for o in hits):>9}{sum(o.is_silent for o in found):>8}"
            )
    return rows


def main() -> int:
    """Run a campaign on the column of 8 nodes."""
    from machine_images import LIVELY, MESH, eight_nodes

    from csnn.verify import record_traffic

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--each", type=int, default=100, help="hits of every kind")
    parser.add_argument("--kinds", nargs="*", type=Kind, default=list(Kind))
    parser.add_argument("--stages", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    image = eight_nodes(Path("out/lively"), LIVELY[0])
    state = record_traffic(image, warmup_ms=LIVELY[1], steps=1, threads=2).state
    told: list[dict[str, object]] = []

    def tell(outcome: Outcome) -> None:
        # What is known is kept if the rest is not waited for.
        told.append(dataclasses.asdict(outcome))
        if options.json:
            options.json.write_text(json.dumps(told, indent=1))
        print(
            f"{outcome.kind}, {outcome.place}, step {outcome.step}: "
            + ("" if outcome.hit else "hit nothing, ")
            + ("exact" if outcome.exact else outcome.message),
            flush=True,
        )

    outcomes: list[Outcome] = []
    for shallow in (False, True):
        kinds = [kind for kind in options.kinds if (kind is Kind.FULL_FIFO) == shallow]
        if kinds:
            outcomes += run_campaign(
                Campaign(image, state, MESH, PHYSICS, shallow=shallow),
                dict.fromkeys(kinds, options.each), stages=options.stages, seed=options.seed,
                jobs=options.jobs, tell=tell,
            )  # fmt: skip
    print("\n".join(table(outcomes)))
    return any(outcome.is_silent for outcome in outcomes)


if __name__ == "__main__":
    sys.exit(main())
