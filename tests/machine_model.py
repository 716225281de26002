"""A machine of registers behind a transport: what a host sees of one, without any hardware."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from csnn.hardware import registers as node
from csnn.hardware import router_registers as router
from csnn.hardware.master_map import MasterRegion, bitmap_address
from csnn.hardware.master_registers import MASTER_OFFSETS
from csnn.hardware.memory_map import OFFSET_BITS, Region, Words
from csnn.hardware.mesh import Mesh, Site
from csnn.packets import ANSWERS, Kind

U32 = npt.NDArray[np.uint32]
RUN, CLEAR, HALTED, READY = 1, 2, 1, 6


def router_address(name: str) -> int:
    return router.ROUTER_REGION << OFFSET_BITS | router.OFFSETS[name]


@dataclass
class Place:
    """Words by address, and what is wrong with the place.

    Attributes
    ----------
    is_dead : bool
        It answers nothing.
    late_ms : float
        So much later it answers; the answers of a unit, and of a router, stay in order.
    unit_late_ms : float
        So much later still the unit does.
    gap_ms : float
        Its answers are so far apart.
    lies : bool
        It answers for another address.
    ignores : set of int
        Addresses whose writes are lost.
    """

    words: dict[int, int] = field(default_factory=dict)
    memory: bytearray = field(default_factory=bytearray)
    is_dead: bool = False
    late_ms: float = 0.0
    unit_late_ms: float = 0.0
    gap_ms: float = 0.0
    lies: bool = False
    ignores: set[int] = field(default_factory=set)


class ModelTransport:
    """A `csnn.host.transport.Transport`.

    Parameters
    ----------
    mesh : Mesh
    step_ms : float
        Time of a step of the machine.
    """

    def __init__(self, mesh: Mesh, *, step_ms: float = 0.01) -> None:
        self.mesh, self.step_ms = mesh, step_ms
        self.places = {site: Place() for site in mesh.sites}
        self.now_ms = 0.0
        # Site, address, value of every write, in order.
        self.written: list[tuple[Site, int, int]] = []
        self.on_step: Callable[[int], None] = lambda step: None
        self.requests = 0
        # When, of which request, whose, with which address and word; the next one first.
        self._answers: list[tuple[float, int, tuple[Site, bool], int, int]] = []
        self._rest_ms = 0.0
        for site in mesh.nodes:
            self.places[site].words[node.OFFSETS["status"]] = HALTED
        self.master.words[MASTER_OFFSETS["status"]] = HALTED

    @property
    def master(self) -> Place:
        return self.places[self.mesh.master]

    def set(self, site: Site, **values: int) -> None:
        """Set registers of a node or of the master node."""
        offsets = MASTER_OFFSETS if site == self.mesh.master else node.OFFSETS
        self.places[site].words |= {offsets[name]: value for name, value in values.items()}

    def set_router(self, site: Site, **values: int) -> None:
        """Set registers of a router."""
        self.places[site].words |= {router_address(name): v for name, v in values.items()}

    def set_missing(self, *numbers: int) -> None:
        """Let barrier messages of nodes be missing."""
        for number in numbers:
            address = bitmap_address(MasterRegion.MISSING, number)
            self.master.words[address] = self.master.words.get(address, 0) | 1 << number % 32

    def send(self, packets: U32) -> None:
        assert packets.dtype == np.uint32
        for target, address, value in packets.tolist():
            site = target & 0xFF, target >> 8 & 0xFF, target >> 16 & 0xFF
            place = self.places[site]
            if target >> 24 == Kind.CONFIG:
                self.written.append((site, address, value))
                if address not in place.ignores:
                    place.words[address] = value
                    self._act(site, address, value)
            else:
                assert target >> 24 == Kind.MONITOR
                self.requests += 1
                if not place.is_dead:
                    self._answer(site, address)

    def _answer(self, site: Site, address: int) -> None:
        place, of_router = self.places[site], address >> OFFSET_BITS == router.ROUTER_REGION
        before = [answer for answer in self._answers if answer[2] == (site, of_router)]
        assert len(before) < ANSWERS, "too many requests under way"
        late_ms = place.late_ms + (0.0 if of_router else place.unit_late_ms)
        at = max([self.now_ms + late_ms, *(answer[0] + place.gap_ms for answer in before)])
        told = address ^ place.lies, place.words.get(address, 0)
        insort(self._answers, (at, self.requests, (site, of_router), *told))

    def _act(self, site: Site, address: int, value: int) -> None:
        """Do what a write of `control` does."""
        if site in self.mesh.nodes and address == node.OFFSETS["control"]:
            errors = self.places[site].words.get(node.OFFSETS["errors"], 0)
            runs = value & RUN and not errors
            self.set(site, status=READY if runs else HALTED)
        elif site == self.mesh.master and address == MASTER_OFFSETS["control"]:
            self.set(site, status=0 if value & RUN else HALTED)

    def receive(self, count: int, timeout_ms: float) -> U32:
        end = self.now_ms + timeout_ms
        found = []
        while len(found) < count and self._answers and self._answers[0][0] <= end:
            at, _, _, address, value = self._answers.pop(0)
            self.now_ms = max(self.now_ms, at)
            found.append((Kind.MONITOR << 24, address, value))
        if len(found) < count:
            self.now_ms = end
        return np.array(found, dtype=np.uint32).reshape(-1, 3)

    def rest(self, ms: float) -> None:
        self.now_ms += ms
        self._rest_ms += ms
        words = self.master.words
        step, stop, status = (MASTER_OFFSETS[name] for name in ("step", "stop_step", "status"))
        while self._rest_ms >= self.step_ms and not words[status] & HALTED:
            self._rest_ms -= self.step_ms
            words[step] = words.get(step, 0) + 1
            self.on_step(words[step])
            if words[step] == words.get(stop):
                words[status] |= HALTED

    def memory(self, site: Site, address: int, size: int) -> bytes:
        return bytes(self.places[site].memory[address : address + size])


class PreloadingModel(ModelTransport):
    """One that can write past the mesh."""

    def __init__(self, mesh: Mesh) -> None:
        super().__init__(mesh)
        self.preloaded: list[tuple[Site, int]] = []
        self.peeked: list[Site] = []

    def preload(self, site: Site, words: Words) -> None:
        self.preloaded.append((site, len(words.offset)))
        addresses, values = words.address.tolist(), words.value.tolist()
        self.places[site].words |= dict(zip(addresses, values, strict=True))
        if words.region == Region.REGISTERS:
            for address, value in zip(addresses, values, strict=True):
                self.written.append((site, address, value))
                self._act(site, address, value)

    def peek(self, site: Site, addresses: U32) -> U32:
        self.peeked.append(site)
        words = self.places[site].words
        return np.array([words.get(address, 0) for address in addresses.tolist()], np.uint32)
