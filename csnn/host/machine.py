"""Host of a machine: uploads an image, starts and stops it, reads what it counted and recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from csnn.errors import CsnnError, InvalidInputError, reject
from csnn.hardware import registers as node
from csnn.hardware import router_registers as router
from csnn.hardware.config import NodeConfig
from csnn.hardware.master_config import MasterConfig
from csnn.hardware.master_map import MasterRegion, bitmap_address, bitmap_words
from csnn.hardware.master_registers import (
    MASTER_CONTROL_BITS,
    MASTER_COUNTERS,
    MASTER_ERROR_BITS,
    MASTER_OFFSETS,
    MASTER_STATUS_BITS,
)
from csnn.hardware.memory_map import OFFSET_BITS, Region, Words, node_words
from csnn.hardware.mesh import Mesh, Site
from csnn.hardware.recorder import PAGE_BITS, RECORD_BYTES, records
from csnn.host.requests import Requests, UnansweredError, packets
from csnn.host.transport import BackDoor, Transport
from csnn.image.store import Image
from csnn.packets import Kind
from csnn.simulator.state import MachineState, with_state
from csnn.spec import checks

U32 = npt.NDArray[np.uint32]
# A node's external memory has 1 GB on INC-3000.
DEFAULT_RECORDS = 1 << 26


class MachineError(CsnnError):
    """A machine has stopped, or does not answer; the message names the place."""


@dataclass(frozen=True)
class Fault:
    """Something that a place tells of: its site, what stands there, what is wrong."""

    site: Site
    unit: str
    what: str

    def __str__(self) -> str:
        x, y, z = self.site
        return f"{self.unit} at ({x}, {y}, {z}): {self.what}"


class Machine:
    """A machine behind a transport.

    Parameters
    ----------
    mesh : Mesh
    transport : Transport
    timeout_ms : float
        Time of the machine within which a place must answer.
    """

    def __init__(self, mesh: Mesh, transport: Transport, *, timeout_ms: float = 1.0) -> None:
        self.mesh, self.transport, self.timeout_ms = mesh, transport, timeout_ms
        self._back_door: BackDoor | None = None
        self._requests = Requests(transport, timeout_ms)

    # Words.

    def write(self, site: Site, addresses: npt.ArrayLike, values: npt.ArrayLike) -> None:
        """Write words of a place."""
        self.transport.send(packets(Kind.CONFIG, site, addresses, values))

    def read(self, site: Site, addresses: npt.ArrayLike) -> U32:
        """Return words of a place, in the order of their addresses.

        Raises
        ------
        MachineError
            If it does not answer, or answers something else.
        """
        asked = np.atleast_1d(np.asarray(addresses, dtype=np.uint32))
        try:
            return self._requests.read(site, asked)
        except UnansweredError as error:
            raise MachineError(f"{self._named(site)} {error}") from None

    def _get(self, site: Site, region: int, offsets: Mapping[str, int], *names: str) -> list[int]:
        addresses = [region << OFFSET_BITS | offsets[name] for name in names]
        return [int(word) for word in self.read(site, addresses)]

    def _set(self, site: Site, offsets: Mapping[str, int], **values: int) -> None:
        self.write(site, [offsets[name] for name in values], [*values.values()])

    def _of_node(self, site: Site, *names: str) -> list[int]:
        """Return registers of a node, past the mesh if it was loaded so: one by one takes long."""
        addresses = np.array([node.OFFSETS[name] for name in names], dtype=np.uint32)
        found = self._back_door.peek(site, addresses) if self._back_door else None
        return [int(word) for word in (self.read(site, addresses) if found is None else found)]

    def _write_words(self, site: Site, words: Words) -> None:
        if self._back_door is None:
            self.write(site, words.address, words.value)
        else:
            self._back_door.preload(site, words)

    def _named(self, site: Site) -> str:
        x, y, z = site
        return f"{self._unit(site)} at ({x}, {y}, {z})"

    def _unit(self, site: Site) -> str:
        if site == self.mesh.master:
            return "master node"
        nodes = self.mesh.nodes
        return f"node {nodes.index(site)}" if site in nodes else "router"

    # A run.

    def upload(
        self,
        image: Image,
        config: NodeConfig,
        master: MasterConfig,
        state: MachineState,
        *,
        step_timeout: int = 0,
        records: int = DEFAULT_RECORDS,
        preload: bool = False,
    ) -> None:
        """Load all nodes and the master node, and make them ready.

        Parameters
        ----------
        image : Image
        config : NodeConfig
            Hardware of the nodes.
        master : MasterConfig
            Hardware of the master node.
        state : MachineState
            Where the run starts.
        step_timeout : int
            Cycles of the master node after which a step that has not ended stops the machine;
            0: none.
        records : int
            Spikes that a node has room to record.
        preload : bool
            Past the mesh, if the transport can. From then on the registers of nodes are also read
            past it while nothing is wrong.

        Raises
        ------
        InvalidInputError
            If the image does not fit the machine.
        MachineError
            If a node is not ready after it.
        """
        nodes = self.mesh.nodes
        if image.n_nodes != len(nodes):
            raise InvalidInputError(
                f"the image has {image.n_nodes} nodes, the machine {len(nodes)}"
            )
        if master.nodes < len(nodes):
            raise reject("master.nodes", master.nodes, f"the machine has {len(nodes)} nodes")
        x, y, z = self.mesh.master
        settings = {
            "master": x | y << 8 | z << 16,
            "host": 0,
            "recorder_page": 0,
            "recorder_size": records,
            "step": state.step,
        }
        self._back_door = None
        if preload and isinstance(self.transport, BackDoor):
            self._back_door = self.transport
        for site, image_node in zip(nodes, image.nodes, strict=True):
            misfit = config.misfit(image_node)
            if misfit:
                raise InvalidInputError(
                    f"node {image_node.node} does not fit the hardware: {misfit}"
                )
            for words in node_words(config, with_state(image_node, state)):
                self._write_words(site, words)
            control = _bits(node.CONTROL_BITS, "run", "clear")
            for registers in (settings, {"control": control}):
                self._write_words(site, _register_words(registers))
        for site in nodes:
            errors, status = self._of_node(site, "errors", "status")
            if errors or status & _bits(node.STATUS_BITS, "halted"):
                raise MachineError(f"{self._named(site)} is not ready: errors 0x{errors:x}")
        place = self.mesh.master
        self._set(place, MASTER_OFFSETS, control=0)
        self.write(place, *_active(master, len(nodes)))
        self._set(place, MASTER_OFFSETS, host=0, step=state.step, timeout=step_timeout)
        self._set(place, MASTER_OFFSETS, stop_step=state.step)
        self._set(place, MASTER_OFFSETS, control=_bits(MASTER_CONTROL_BITS, "clear"))

    def start(self, stop_step: int) -> None:
        """Let the machine run until a step has been computed."""
        place = self.mesh.master
        self._set(place, MASTER_OFFSETS, stop_step=stop_step)
        self._set(place, MASTER_OFFSETS, control=_bits(MASTER_CONTROL_BITS, "run"))

    def stop(self) -> None:
        """Let the machine halt after the step that it is in."""
        self._set(self.mesh.master, MASTER_OFFSETS, control=0)

    def wait(self, *, limit_ms: float, between_ms: float = 0.02) -> int:
        """Wait until the machine halts; return the step that it has computed last.

        Parameters
        ----------
        limit_ms : float
            Time of the machine after which waiting ends.
        between_ms : float
            Time between two looks.

        Raises
        ------
        MachineError
            If it stopped with an error, or does not halt: with what all places tell of.
        """
        checks.positive("wait", "between_ms", between_ms)
        waited = 0.0
        while True:
            try:
                status, errors, step = self._get(
                    self.mesh.master, 0, MASTER_OFFSETS, "status", "errors", "step"
                )
            except MachineError as error:
                raise MachineError(f"{error}: {self._all_faults()}") from None
            if errors:
                raise MachineError(f"the machine stopped in step {step}: {self._all_faults()}")
            if status & _bits(MASTER_STATUS_BITS, "halted"):
                return step
            if waited >= limit_ms:
                faults = "; ".join(str(fault) for fault in (*self.faults(), *self._late()))
                told = f": {faults}" if faults else ""
                raise MachineError(f"the machine does not halt; it is in step {step}{told}")
            self.transport.rest(between_ms)
            waited += between_ms

    def run(self, stop_step: int, *, limit_ms: float) -> None:
        """Run until a step has been computed everywhere; see `wait`."""
        self.start(stop_step)
        step = self.wait(limit_ms=limit_ms)
        if step != stop_step:
            raise MachineError(f"the machine halted after step {step}, not {stop_step}")

    def settle(self, *, limit_ms: float = 10.0, between_ms: float = 0.02) -> None:
        """Wait, while the machine is halted, until all nodes have handled the last spikes."""
        checks.positive("settle", "between_ms", between_ms)
        ready = _bits(node.STATUS_BITS, "waiting", "router_idle")
        for site in self.mesh.nodes:
            waited = 0.0
            while self._of_node(site, "status")[0] & ready != ready:
                if waited >= limit_ms:
                    raise MachineError(f"{self._named(site)} does not come to rest")
                self.transport.rest(between_ms)
                waited += between_ms

    # What it tells.

    def missing(self) -> list[int]:
        """Return the nodes whose barrier message has not come."""
        n = len(self.mesh.nodes)
        addresses = [bitmap_address(MasterRegion.MISSING, first) for first in range(0, n, 32)]
        words = self.read(self.mesh.master, addresses)
        bits = np.unpackbits(words.astype("<u4").view(np.uint8), bitorder="little")
        return [int(number) for number in np.flatnonzero(bits[:n])]

    def _late(self) -> Iterator[Fault]:
        for number in self.missing():
            yield Fault(self.mesh.nodes[number], f"node {number}", "no barrier message")

    def faults(self) -> list[Fault]:
        """Ask every place what is wrong; a place that does not answer is one of the faults."""
        return [fault for site in self._by_distance() for fault in self._faults_of(site)]

    def _all_faults(self) -> str:
        return "; ".join(str(fault) for fault in self.faults())

    def _by_distance(self) -> list[Site]:
        host = (0, 0, 0)
        return sorted(self.mesh.sites, key=lambda site: self.mesh.hops(host, site))

    def _faults_of(self, site: Site) -> Iterator[Fault]:
        unit = self._unit(site)
        try:
            names = ("failed", "silent", "overflow", "errors")
            *links, errors = self._get(site, router.ROUTER_REGION, router.OFFSETS, *names)
            for name, bits in zip(names, links, strict=False):
                for number, direction in enumerate(self.mesh.router.directions):
                    if bits >> number & 1:
                        yield Fault(site, "router", f"link {direction.name} {name}")
            yield from _told(site, "router", errors, router.ERRORS)
            if unit == "router":
                return
            is_master = site == self.mesh.master
            offsets = MASTER_OFFSETS if is_master else node.OFFSETS
            (errors,) = self._get(site, 0, offsets, "errors")
            table = MASTER_ERROR_BITS if is_master else node.ERROR_BITS
            names_of = {bit.name: bit.meaning for bit in table}
            yield from _told(site, unit, errors, names_of)
            if is_master:
                yield from self._late() if errors else ()
        except MachineError:
            yield Fault(site, unit, "no answer")

    def node_counters(self) -> dict[str, U32]:
        """Return the counters of all nodes by name, shape (nodes,)."""
        rows = np.array(
            [self._of_node(site, *node.COUNTERS) for site in self.mesh.nodes], dtype=np.uint32
        )
        return dict(zip(node.COUNTERS, rows.T, strict=True))

    def master_counters(self) -> dict[str, int]:
        """Return the counters of the master node by name."""
        words = self._get(self.mesh.master, 0, MASTER_OFFSETS, *MASTER_COUNTERS)
        return dict(zip(MASTER_COUNTERS, words, strict=True))

    def spikes(self) -> tuple[U32, U32]:
        """Return step and source of all spikes recorded, by step and source, shape (n,) each."""
        found = []
        for site in self.mesh.nodes:
            (count,) = self._of_node(site, "recorded")
            memory = self.transport.memory(site, 0 << PAGE_BITS, count * RECORD_BYTES)
            if len(memory) < count * RECORD_BYTES:
                raise MachineError(f"{self._named(site)}: its memory holds no {count} records")
            found.append(records(memory, count))
        together = np.concatenate(found)
        order = np.lexsort((together["source"], together["step"]))
        return together["step"][order], together["source"][order]


def _register_words(values: Mapping[str, int]) -> Words:
    offsets = np.array([node.OFFSETS[name] for name in values], dtype=np.uint32)
    return Words(Region.REGISTERS, offsets, np.array([*values.values()], dtype=np.uint32))


def _active(config: MasterConfig, n: int) -> tuple[list[int], U32]:
    """Return addresses and words that make nodes 0 to n - 1 the active ones."""
    bits = np.zeros(32 * bitmap_words(config), dtype=np.uint8)
    bits[:n] = 1
    values = np.packbits(bits, bitorder="little").view("<u4")
    addresses = [bitmap_address(MasterRegion.ACTIVE, 32 * word) for word in range(len(values))]
    return addresses, values


def _told(site: Site, unit: str, errors: int, meanings: Mapping[str, str]) -> Iterator[Fault]:
    for number, (name, meaning) in enumerate(meanings.items()):
        if errors >> number & 1:
            yield Fault(site, unit, f"error {name} ({meaning})")


def _bits(table: Iterable[node.Bit], *names: str) -> int:
    return sum(1 << bit.position for bit in table if bit.name in names)
