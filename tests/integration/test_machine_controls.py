"""A machine in simulation does what it is told: faults, clocks that stop, phases, threads."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from machine_images import LIVELY, MESH, eight_nodes

from csnn.hardware.config import NodeConfig
from csnn.hardware.master_config import MasterConfig
from csnn.hardware.memory_map import register_address
from csnn.hardware.mesh import Direction, Site
from csnn.hardware.router_registers import OFFSETS, ROUTER_REGION, counter_offset
from csnn.image.store import Image
from csnn.packets import Kind, encode, packet_words
from csnn.simulator.state import initial_state
from csnn.verify_machine import MachineVerification
from rtl.mesh import machine_simulation
from rtl.mesh.machine_simulation import FaultKind, MachineSimulation, Physics, Snapshots
from rtl.mesh.simulated_transport import SimulatedTransport

HOST, NEXT, FAR = (0, 0, 0), (1, 0, 0), (0, 1, 0)
PLUS_X = Direction(0, 1)
WIRE = HOST, PLUS_X
ROUTER_ID = ROUTER_REGION << 20 | OFFSETS["id"]
NODE_ID = register_address("id")
# No answer takes longer, even if a frame of it is sent again.
LIMIT_NS = 20_000.0
# An answer that comes without trouble.
SOON_NS = 3_000.0
# What a fault does to a frame: argument, whether its packet comes late, frames besides, corrupt
# frames. A frame that is lost is sent again; one that is 3,000 ns late is not.
EFFECTS = {
    FaultKind.DROP: (0, True, 1, 0),
    FaultKind.DOUBLE: (0, False, 0, 0),
    FaultKind.CORRUPT: (77, True, 1, 1),
    FaultKind.REORDER: (3_000_000_000, True, 0, 0),
}
STEPS = 8
# In the harness: a fault comes a frame too early, and again and again; what stops one clock stops
# both; a place may hear what another one sent in the same window.
HARNESS_VARIABLE = "CSNN_HARNESS_FAULT"
HARNESS_FAULTS = (
    ("if (fault.after)", "if (fault.after > PLANTED(1))"),
    ("if (fault.hits ||", "if ((fault.hits && !PLANTED(2)) ||"),
    ("if (chosen)", "if (chosen || PLANTED(3))"),
    ("take_over(parity ^ 1)", "take_over(parity ^ !PLANTED(4))"),
)
_PLANTED = f"""
#include <cstdlib>
static unsigned PLANTED(int number) {{
  const char* chosen = std::getenv("{HARNESS_VARIABLE}");
  return chosen && std::atoi(chosen) == number;
}}
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return eight_nodes(tmp_path_factory.mktemp("controls") / "image", LIVELY[0])


class Host:
    """A host that asks for one word at a time."""

    def __init__(self, image: Image) -> None:
        config = NodeConfig.for_nodes(image.nodes)
        self.simulation = MachineSimulation(
            MESH, config, MasterConfig(nodes=len(MESH.nodes)), Physics(), threads=1
        )

    def send(self, kind: Kind, site: Site, **values: int) -> None:
        self.simulation.send(packet_words(encode(kind, site, **values))[None])

    def ask(self, site: Site, address: int = ROUTER_ID) -> tuple[float, int | None]:
        """Return how long the answer took, and the word in it; None if there was none."""
        began = self.simulation.now_ns
        self.send(Kind.MONITOR, site, address=address, data=0)
        self.simulation.run(LIMIT_NS, wanted=1)
        answers = self.simulation.receive(1)
        waited = self.simulation.now_ns - began
        return (waited, int(answers[0, 2])) if len(answers) else (math.inf, None)

    def hits(self) -> int:
        """Return how many faults have hit, on any link."""
        return sum(self.simulation.hits(*wire) for wire in self.simulation.wires)

    def corrupt(self) -> int:
        """Return how many corrupt frames came to the place next to the host's from there."""
        offset = counter_offset(MESH.router, PLUS_X.opposite, "bad")
        word = self.ask(NEXT, ROUTER_REGION << 20 | offset)[1]
        assert word is not None
        return word


@pytest.fixture
def host(image: Image) -> Host:
    return Host(image)


def strike(host: Host, kind: FaultKind, after: int) -> tuple[list[int], list[bool]]:
    """Ask six times after a fault was planted; return the hits so far, and which answer is late."""
    host.simulation.add_fault(*WIRE, kind, after=after, argument=EFFECTS[kind][0])
    hits, late = [], []
    for _ in range(6):
        late.append(host.ask(NEXT)[0] > SOON_NS)
        hits.append(host.hits())
    return hits, late


@pytest.mark.parametrize("kind", EFFECTS, ids=lambda kind: kind.name)
def test_a_fault_hits_the_frame_it_names(host: Host, kind: FaultKind) -> None:
    _, is_late, besides, corrupt = EFFECTS[kind]
    hits, late = strike(host, kind, after=2)
    assert hits == [0, 0, 1, 1, 1, 1]
    assert late == [False, False, is_late, False, False, False]
    assert host.simulation.packets(*WIRE) == 6 + besides
    assert host.simulation.overtaken(*WIRE) == (kind is FaultKind.REORDER)
    assert host.corrupt() == corrupt
    # A second one waits for its own frame.
    assert strike(host, kind, after=3) == (
        [1, 1, 1, 2, 2, 2],
        [*[False] * 3, is_late, *[False] * 2],
    )


def test_a_doubled_frame_comes_twice(host: Host) -> None:
    for kind in (FaultKind.CORRUPT, FaultKind.DOUBLE):
        host.simulation.add_fault(*WIRE, kind, after=1, argument=77)
    host.ask(NEXT)
    assert host.hits() == 0
    host.ask(NEXT)
    assert host.hits() == 2
    assert host.corrupt() == 2


def test_only_spikes_are_forged(host: Host) -> None:
    host.simulation.add_fault(*WIRE, FaultKind.FORGE, after=1, argument=3)
    hits = []
    for step in range(4):
        host.ask(NEXT)
        hits.append(host.hits())
        host.send(Kind.AER, NEXT, source=step, step=step)
        host.simulation.run(LIMIT_NS / 4, wanted=0)
        hits.append(host.hits())
    assert hits == [0, 0, 0, 1, 1, 1, 1, 1]
    # The frame is as good as any.
    assert host.simulation.packets(*WIRE) == 8
    assert host.corrupt() == 0


def test_a_stuck_link_is_cut_from_its_frame_on(host: Host) -> None:
    host.simulation.add_fault(*WIRE, FaultKind.STUCK, after=2)
    answered = [host.ask(NEXT)[1] is not None for _ in range(4)]
    assert answered == [True, True, False, False]
    assert host.hits() == 1
    assert host.ask(FAR)[0] < SOON_NS


@pytest.mark.parametrize(
    ("app", "comm", "address", "answers"),
    [
        (True, False, ROUTER_ID, True),
        (True, False, NODE_ID, False),
        (False, True, ROUTER_ID, False),
        (False, True, NODE_ID, False),
        (True, True, ROUTER_ID, False),
    ],
)
def test_a_clock_stops_alone_and_goes_on(
    host: Host, app: bool, comm: bool, address: int, answers: bool
) -> None:
    simulation = host.simulation
    word, other = (host.ask(site, address)[1] for site in (NEXT, FAR))
    span_ns = 1.2 * LIMIT_NS
    begin = simulation.now_ns + span_ns
    simulation.stop_clocks(NEXT, app=app, comm=comm, from_ns=begin, until_ns=begin + span_ns)
    counts = [[simulation.app_cycles(site) for site in MESH.nodes]]
    for end in (begin, begin + span_ns, begin + 2 * span_ns):
        if end == begin + span_ns:
            # The clock stands for longer than an answer may take.
            assert host.ask(NEXT, address)[1] == (word if answers else None)
        simulation.run(end - simulation.now_ns)
        counts.append([simulation.app_cycles(site) for site in MESH.nodes])
    full = span_ns * Physics().app_mhz * 1e-3
    for site, cycles in zip(MESH.nodes, np.diff(counts, axis=0).T.tolist(), strict=True):
        meanwhile = 0 if app and site == NEXT else full
        assert cycles == pytest.approx([full, meanwhile, full], abs=2), site
    if not answers:
        # What waited is answered now.
        assert simulation.receive(1)[:, 2].tolist() == [word]
    for site, value in ((NEXT, word), (FAR, other)):
        waited, found = host.ask(site, address)
        assert waited < SOON_NS
        assert found == value


@dataclass
class Journal:
    """When every node began its steps, in femtoseconds and in its cycles, and its state then."""

    times: dict[tuple[Site, int], tuple[int, int]]
    states: dict[tuple[Site, int], bytes]


class Kept(SimulatedTransport):
    """Keeps a journal of what a verification looks at."""

    journal: Journal

    def snapshots(self, site: Site) -> Snapshots:
        found = super().snapshots(site)
        for row, step in enumerate(found.step.tolist()):
            self.journal.times[site, step] = int(found.time_fs[row]), int(found.cycle[row])
            state = b"".join(words[row].tobytes() for words in found.words.values())
            self.journal.states[site, step] = state
        return found


def journal(image: Image, *, threads: int, seed: int) -> Journal:
    """Run a network; return what happened when."""
    physics = Physics(jitter_ns=150.0, spread_ns=200.0, seed=seed)
    kept = Journal({}, {})

    def make(node: NodeConfig, master: MasterConfig) -> Kept:
        simulation = MachineSimulation(MESH, node, master, physics, threads=threads)
        transport = Kept(simulation)
        transport.journal = kept
        return transport

    verification = MachineVerification(
        image, initial_state(image), MESH, make, preload=True, step_timeout=60_000
    )
    found = verification.run(STEPS)
    assert found.is_exact
    assert found.spikes > 0
    return kept


def test_a_run_depends_on_its_seed_and_on_nothing_else(image: Image) -> None:
    first = journal(image, threads=1, seed=1)
    for threads in (1, 2):
        assert journal(image, threads=threads, seed=1) == first
    other = journal(image, threads=2, seed=2)
    assert other.states == first.states
    # Other phases, clocks, latencies and jitter, at every node from the first step on.
    assert all(other.times[place] != time for place, time in first.times.items())


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Build machines with a harness of which a variable chooses a fault."""
    folder = Path(machine_simulation.__file__).parent
    shutil.copy(folder / "machine_tile.h", tmp_path)
    text = (folder / "machine_harness.cpp").read_text()
    for right, wrong in HARNESS_FAULTS:
        assert text.count(right) == 1
        text = text.replace(right, wrong)
    (tmp_path / "machine_harness.cpp").write_text(_PLANTED + text)
    monkeypatch.setattr(machine_simulation, "_FOLDER", tmp_path)
    return monkeypatch


@pytest.mark.slow
def test_faults_of_the_harness_are_seen(image: Image, planted: pytest.MonkeyPatch) -> None:
    test_a_fault_hits_the_frame_it_names(Host(image), FaultKind.DROP)
    for number in (1, 2):
        planted.setenv(HARNESS_VARIABLE, str(number))
        with pytest.raises(AssertionError):
            test_a_fault_hits_the_frame_it_names(Host(image), FaultKind.DROP)
    planted.setenv(HARNESS_VARIABLE, "3")
    for app in (False, True):
        with pytest.raises(AssertionError):
            test_a_clock_stops_alone_and_goes_on(Host(image), app, not app, ROUTER_ID, app)
    planted.setenv(HARNESS_VARIABLE, "4")
    with pytest.raises(AssertionError):
        test_a_run_depends_on_its_seed_and_on_nothing_else(image)
