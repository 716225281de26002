"""Verification of a whole machine against the definition, bit by bit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from csnn.hardware.config import NodeConfig
from csnn.hardware.master_config import MasterConfig
from csnn.hardware.mesh import Mesh, Site
from csnn.host.machine import Machine, MachineError
from csnn.host.transport import Transport
from csnn.image.store import Image
from csnn.neurons.registry import MODELS
from csnn.progress import progress
from csnn.simulator.plain import Node
from csnn.simulator.state import MachineState
from csnn.spec.machine import SUM_LIMIT_UNITS

U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
# Time of the machine between two comparisons: what is kept of a full-scale machine takes 2 MB per
# step, and a step a few microseconds at least.
_SLICE_MS = 0.05


class Snapshots(Protocol):
    """Memories of a node at the ends of steps; see `rtl.mesh.machine_simulation.Snapshots`."""

    step: U32
    time_fs: U64
    cycle: U64
    words: dict[str, U32]


class ObservedMachine(Transport, Protocol):
    """A machine in simulation, whose memories can be looked at."""

    def watch(self, on: bool) -> None:
        """Keep the memories of every node at the end of every step from here on."""

    def snapshot_now(self) -> None:
        """Keep the memories of the step that no other has followed yet."""

    def snapshots(self, site: Site) -> Snapshots:
        """Return and forget what was kept of a node."""


MakeMachine = Callable[[NodeConfig, MasterConfig], ObservedMachine]


@dataclass(frozen=True)
class MachineMismatch:
    """The first word that differs: step, node, its site, neuron if it is of one, signal, values."""

    step: int
    node: int
    site: Site
    neuron: int | None
    signal: str
    expected: int
    found: int

    def __str__(self) -> str:
        x, y, z = self.site
        neuron = "" if self.neuron is None else f", neuron {self.neuron}"
        return (
            f"step {self.step}, node {self.node} at ({x}, {y}, {z}){neuron}, {self.signal}: "
            f"expected {self.expected} (0x{self.expected & 0xFFFFFFFF:x}), "
            f"found {self.found} (0x{self.found & 0xFFFFFFFF:x})"
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class MachineReplay:
    """What a verification found.

    Attributes
    ----------
    steps : int
        Steps that were compared.
    mismatch : MachineMismatch or None
    stopped : str or None
        Why the machine did not go on.
    spikes, synapses : int
        Spikes, and synaptic events that followed from them, since the machine was loaded.
    step_ns : ndarray of float64, shape (steps - 2,) at most
        Time from the beginning of each step at the first node to that of the next one; without the
        first step, before which nothing had to be exchanged, and the last, after which none begins.
    build_s, upload_s, simulate_s : float
        Wall time.
    """

    steps: int
    mismatch: MachineMismatch | None
    stopped: str | None
    spikes: int
    synapses: int
    step_ns: npt.NDArray[np.float64]
    build_s: float
    upload_s: float
    simulate_s: float

    @property
    def is_exact(self) -> bool:
        """Whether all steps were done and every bit is right."""
        return self.mismatch is None and self.stopped is None


def verify_machine(
    image: Image, state: MachineState, mesh: Mesh, steps: int, make: MakeMachine, *,
    preload: bool = False, step_timeout: int = 0,
) -> MachineReplay:  # fmt: skip
    """Run an image on a machine and compare every word of every node in every step.

    The parameters are those of `MachineVerification`, and how many steps.
    """
    return MachineVerification(
        image, state, mesh, make, preload=preload, step_timeout=step_timeout
    ).run(steps)


class MachineVerification:
    """A machine that has been loaded, beside the definition.

    Parameters
    ----------
    image : Image
    state : MachineState
        Where to start.
    mesh : Mesh
    make : callable
        Makes the machine with nodes and master node of a configuration.
    config : NodeConfig, optional
        Hardware of the nodes; what the image needs without it.
    preload : bool
        Load the nodes past the mesh.
    step_timeout : int
        See `csnn.host.machine.Machine.upload`.
    timeout_ms : float
        See `csnn.host.machine.Machine`.
    patience_ms : float
        A machine that does no step in this time of its own has stopped.

    Attributes
    ----------
    observed : ObservedMachine
        What `make` made.
    """

    def __init__(
        self, image: Image, state: MachineState, mesh: Mesh, make: MakeMachine, *,
        config: NodeConfig | None = None, preload: bool = False, step_timeout: int = 0,
        timeout_ms: float = 1.0, patience_ms: float = 1.0,
    ) -> None:  # fmt: skip
        config = config or NodeConfig.for_nodes(image.nodes)
        began = time.perf_counter()
        with progress(None, "build the machine (minutes, the first time)"):
            master = MasterConfig(nodes=1 << max(1, (image.n_nodes - 1).bit_length()))
            self.observed = make(config, master)
        self._build_s = time.perf_counter() - began
        self._machine = Machine(mesh, self.observed, timeout_ms=timeout_ms)
        with progress(None, "upload the image"):
            self._machine.upload(
                image, config, master, state, preload=preload, step_timeout=step_timeout
            )
        self._upload_s = time.perf_counter() - began - self._build_s
        self._patience_ms = patience_ms
        self._reference = _Reference(image, state, mesh)
        self.observed.watch(True)

    def run(self, steps: int) -> MachineReplay:
        """Go on by so many steps, compare them, then what was recorded and counted so far."""
        reference = self._reference
        began, first = time.perf_counter(), reference.step
        reference.times.clear()
        mismatch: MachineMismatch | None = None
        stopped = None
        try:
            mismatch = self._run_to(first + steps)
            if mismatch is None:
                mismatch = reference.compare_spikes(self._machine)
        except MachineError as error:
            stopped = str(error)
        return MachineReplay(
            steps=reference.step - first,
            mismatch=mismatch,
            stopped=stopped,
            spikes=reference.spikes,
            synapses=reference.synapses,
            step_ns=np.diff(np.array(reference.times[:-1], dtype=np.float64)) * 1e-6,
            build_s=self._build_s,
            upload_s=self._upload_s,
            simulate_s=time.perf_counter() - began,
        )

    def _run_to(self, last: int) -> MachineMismatch | None:
        """Run to a step without a halt and compare what the nodes have done meanwhile."""
        machine, observed, reference = self._machine, self.observed, self._reference
        first, waited = reference.step, 0.0
        machine.start(last)
        with progress(last - first, "simulate the machine", "steps") as bar:
            # The registers of the last step do not go on.
            while reference.step < last - 1 and waited < self._patience_ms:
                before = reference.step
                observed.rest(_SLICE_MS)
                mismatch = reference.compare(observed)
                if mismatch is not None:
                    return mismatch
                bar.update(reference.step - before)
                waited = 0.0 if reference.step > before else waited + _SLICE_MS
            machine.wait(limit_ms=self._patience_ms)
            observed.snapshot_now()
            mismatch = reference.compare(observed)
            bar.update(1)
        return mismatch


def summary(found: MachineReplay, mesh: Mesh, dt_ms: float, app_mhz: float) -> Iterator[str]:
    """Yield what a verification found, for people."""
    x, y, z = mesh.shape
    yield (
        f"{x} x {y} x {z} places: {len(mesh.nodes)} nodes, the master node at "
        f"({', '.join(map(str, mesh.master))}), {x * y * z - len(mesh.nodes) - 1} relays"
    )
    if found.mismatch is not None:
        yield f"mismatch at {found.mismatch}"
    if found.stopped is not None:
        yield found.stopped
    yield (
        f"{found.steps:,} steps ({found.steps * dt_ms:g} ms), {found.spikes:,} spikes, "
        f"{found.synapses:,} synapses" + (": bit-exact" if found.is_exact else "")
    )
    if len(found.step_ns):
        mean, worst = found.step_ns.mean(), found.step_ns.max()
        cycles = app_mhz * 1e-3
        yield (
            f"cycles per step at {app_mhz:g} MHz: mean {mean * cycles:,.1f}, "
            f"longest {worst * cycles:,.1f}; real-time factor {mean * 1e-6 / dt_ms:.4f}"
        )
    yield (
        f"wall time: built in {found.build_s:.1f} s, loaded in {found.upload_s:.1f} s, "
        f"simulated in {found.simulate_s:.1f} s"
    )


class _Reference:
    """The definition beside the machine."""

    def __init__(self, image: Image, state: MachineState, mesh: Mesh) -> None:
        model = MODELS[image.nodes[0].model]
        self._nodes = [Node(node, model, state, SUM_LIMIT_UNITS) for node in image.nodes]
        self._sites = mesh.nodes
        self._kept: list[list[tuple[int, dict[str, U32]]]] = [[] for _ in self._nodes]
        self._spikes: list[tuple[int, U32]] = []
        self.step = state.step
        # When the first node had done each step, fs.
        self.times: list[int] = []

    @property
    def spikes(self) -> int:
        return sum(len(sources) for _, sources in self._spikes)

    @property
    def synapses(self) -> int:
        return sum(node.router.events for node in self._nodes)

    def compare(self, observed: ObservedMachine) -> MachineMismatch | None:
        """Go on by as many steps as all nodes have done, and compare each."""
        for kept, site in zip(self._kept, self._sites, strict=True):
            found = observed.snapshots(site)
            for at, step in enumerate(found.step.tolist()):
                # The register changes once when the node is loaded.
                if step > self.step:
                    kept.append((step, {name: rows[at] for name, rows in found.words.items()}))
                    if site == self._sites[0]:
                        self.times.append(int(found.time_fs[at]))
        while all(self._kept):
            self.step += 1
            sources = [node.compute(self.step) for node in self._nodes]
            found_of = [kept.pop(0) for kept in self._kept]
            for number, (step, words) in enumerate(found_of):
                mismatch = next(self._differences(number, step, words), None)
                if mismatch is not None:
                    return mismatch
            together = np.concatenate(sources)
            self._spikes.append((self.step, together))
            for node in self._nodes:
                node.receive(together, self.step)
        return None

    def _differences(
        self, number: int, step: int, found: dict[str, U32]
    ) -> Iterator[MachineMismatch]:
        node, site = self._nodes[number], self._sites[number]
        if step != self.step:
            yield MachineMismatch(self.step, number, site, None, "step", self.step, step)
        words = {"ss_ex": node.ss[0], "ss_in": node.ss[1], "es": node.es}
        rows = node.ode.state.astype(np.int64)
        words |= dict(zip(node.ode.model.float_states, rows, strict=True))
        if node.ode.model.int_states:
            words["refractory"] = node.ode.refractory.astype(np.int64)
        for name, expected in words.items():
            part = found[name][: node.image.n_neurons].astype(np.int64)
            for n in np.flatnonzero(part != expected)[:1]:
                neuron = node.image.first_neuron + int(n)
                values = int(expected[n]), int(part[n])
                yield MachineMismatch(self.step, number, site, neuron, name, *values)

    def compare_spikes(self, machine: Machine) -> MachineMismatch | None:
        """Compare what the nodes recorded and counted."""
        machine.settle()
        counters = machine.node_counters()
        for number, node in enumerate(self._nodes):
            for name, expected in (
                ("spikes_handled", self.spikes),
                ("synapses", node.router.events),
            ):
                found = int(counters[name][number])
                if found != expected & 0xFFFFFFFF:
                    site = self._sites[number]
                    signal = f"register {name}"
                    return MachineMismatch(self.step, number, site, None, signal, expected, found)
        steps, found_sources = machine.spikes()
        expected_steps = np.repeat(
            np.array([step for step, _ in self._spikes], dtype=np.uint32),
            [len(sources) for _, sources in self._spikes],
        )
        expected_sources = np.concatenate([np.sort(sources) for _, sources in self._spikes])
        for name, expected_all, found_all in (
            ("recorded spikes", np.array([len(expected_steps)]), np.array([len(steps)])),
            ("step of a recorded spike", expected_steps, steps),
            ("source of a recorded spike", expected_sources, found_sources),
        ):
            for n in np.flatnonzero(expected_all != found_all)[:1]:
                values = int(expected_all[n]), int(found_all[n])
                return MachineMismatch(self.step, -1, machine.mesh.master, None, name, *values)
        return None
