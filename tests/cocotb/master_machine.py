"""A machine of several nodes around a master node: what it should say, and what it said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from bench import Arrays, Coverage, Dut, assert_held
from packet_streams import moved, packet_words

from csnn.hardware.master_config import MasterConfig
from csnn.hardware.master_map import (
    NODES_PER_WORD,
    MasterRegion,
    bitmap_address,
    master_register_address,
)
from csnn.hardware.master_registers import (
    MASTER_CONTROL_BITS,
    MASTER_ERROR_BITS,
    MASTER_STATUS_BITS,
)
from csnn.hardware.memory_map import OFFSET_BITS
from csnn.packets import Kind, decode, encode, spike_sum

CONFIG = MasterConfig(nodes=64, fifo=16, answers=4)
RUN, CLEAR = (1 << bit.position for bit in MASTER_CONTROL_BITS)
HALTED, FAILED, COLLECTING = (1 << bit.position for bit in MASTER_STATUS_BITS)
ERRORS = {bit.name: 1 << bit.position for bit in MASTER_ERROR_BITS}
# Cycles after which nothing is on its way any more; until the first sync message of a run.
DRAINED = 30
STARTED = CONFIG.nodes + DRAINED
NOWHERE = len(MasterRegion) << OFFSET_BITS
MASK = (1 << 32) - 1
Spike = tuple[int, int]


class Machine:
    """Nodes that spike and arrive; the host; the network.

    Attributes
    ----------
    broadcast, answers : list
        Cycle and fields of every packet that left and has not been looked at yet.
    spikes : list of int
        Sources broadcast in the step, in order.
    taken : list of int
        Cycles in which the packets of the last run were accepted.
    """

    def __init__(self, dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
        self.dut, self.rng, self.cover = dut, rng, cover
        self.now = 0
        self.here = tuple(rng.integers(0, 256, 3).tolist())
        self.host = (0, 0, 0)
        self.active: list[int] = []
        self.step = 0
        self.spikes: list[int] = []
        self.broadcast: list[tuple[int, dict[str, int]]] = []
        self.answers: list[tuple[int, dict[str, int]]] = []
        self.taken: list[int] = []
        self.told: list[tuple[int, int]] = []
        self._forget()

    def _forget(self) -> None:
        self.steps = self.sent = self.dropped = self.stalled = 0
        self.spikes, self.told = [], []

    async def play(
        self, packets: Sequence[int] = (), *, cycles: int = 0,
        offers: float = 1.0, broadcast: float = 1.0, output: float = 1.0, reset: bool = False,
    ) -> Arrays:  # fmt: skip
        """Offer packets for so many cycles, or until they should have been taken.

        Parameters
        ----------
        offers, broadcast, output : float
            Rates of the streams.
        reset : bool
            In the last cycle.
        """
        slowest = min(offers, broadcast or 1, output or 1)
        cycles = cycles or int((len(packets) + 4) / slowest**2) + DRAINED
        resetting = np.zeros(cycles, bool)
        resetting[-1] = reset
        found = await self.dut.run(
            {
                "input__valid": (self.rng.random(cycles) < offers) & bool(packets),
                "broadcast__ready": self.rng.random(cycles) < broadcast,
                "output__ready": self.rng.random(cycles) < output,
                **{f"here_{axis}": place for axis, place in zip("xyz", self.here, strict=True)},
                "rst": resetting,
            },
            {"input": packet_words(packets)} if packets else None,
        )
        for stream in ("broadcast", "output"):
            assert_held(found, stream)
        self.stalled += int(
            np.sum((found["broadcast__valid"] == 1) & (found["broadcast__ready"] == 0))
        )
        self.taken = [self.now + at for at, _ in moved(found, "input")] if packets else []
        for stream, seen, place in (
            ("broadcast", self.broadcast, self.here),
            ("output", self.answers, self.host),
        ):
            for at, packet in moved(found, stream):
                fields = decode(packet)
                assert (fields["x"], fields["y"], fields["z"]) == place, stream
                seen.append((self.now + at, fields))
        self.now += cycles
        return found

    # The host.

    def anywhere(self) -> tuple[int, int, int]:
        """Return a target: the master takes what reaches it."""
        x, y, z = self.rng.integers(0, 256, 3).tolist()
        return x, y, z

    def request(self, address: int, word: int | None = None) -> int:
        """Return a packet that reads, or writes."""
        kind = Kind.MONITOR if word is None else Kind.CONFIG
        data = int(self.rng.integers(2**32)) if word is None else word
        return encode(kind, self.anywhere(), address=address, data=data)

    async def write(self, address: int, word: int) -> None:
        """Write a word."""
        await self.play([self.request(address, word)])

    async def set(self, **values: int) -> None:
        """Write registers, one after the other."""
        for name, value in values.items():
            await self.write(master_register_address(name), value)

    async def read(self, addresses: Sequence[int]) -> list[int]:
        """Read words, as many at a time as may be."""
        words = []
        for first in range(0, len(addresses), CONFIG.answers):
            asked = addresses[first : first + CONFIG.answers]
            await self.play([self.request(address) for address in asked], cycles=90)
            words += self.answered(asked)
        return words

    def answered(self, asked: Sequence[int]) -> list[int]:
        """Return the words of the answers that came; they must be to these requests."""
        answers = [answer for _, answer in self.answers]
        self.answers.clear()
        assert [answer["kind"] for answer in answers] == [Kind.MONITOR] * len(asked)
        assert [answer["address"] for answer in answers] == list(asked)
        return [answer["data"] for answer in answers]

    async def get(self, *names: str) -> list[int]:
        """Read registers."""
        return await self.read([master_register_address(name) for name in names])

    async def bitmap(self, region: MasterRegion) -> list[int]:
        """Return the nodes of a bitmap."""
        words = await self.read(
            [bitmap_address(region, n) for n in range(0, CONFIG.nodes, NODES_PER_WORD)]
        )
        return [
            n for n in range(CONFIG.nodes) if words[n // NODES_PER_WORD] >> n % NODES_PER_WORD & 1
        ]

    async def load(self, active: Iterable[int], *, step: int, timeout: int = 0) -> None:
        """Set everything; the machine is halted."""
        self.active = sorted(active)
        for first in range(0, CONFIG.nodes, NODES_PER_WORD):
            word = sum(1 << n - first for n in self.active if 0 <= n - first < NODES_PER_WORD)
            await self.write(bitmap_address(MasterRegion.ACTIVE, first), word)
        self.host = self.anywhere()
        host = self.host[0] | self.host[1] << 8 | self.host[2] << 16
        await self.set(step=step, stop_step=step, timeout=timeout, host=host, control=CLEAR)
        self._forget()
        self.step = step
        assert await self.bitmap(MasterRegion.ACTIVE) == self.active
        assert await self.bitmap(MasterRegion.MISSING) == self.active
        assert await self.get("status", "errors", "host") == [HALTED, 0, host]

    async def begin(self, steps: int = 1 << 20) -> None:
        """Run for so many steps; the first sync message comes."""
        await self.set(stop_step=(self.step + steps) & MASK, control=RUN)
        await self.play(cycles=STARTED)
        self.synced()

    # What is broadcast.

    def synced(self) -> int:
        """Demand that a sync message of the last step is all that came; return when."""
        ((at, packet),) = self.broadcast
        self.broadcast.clear()
        expected = {
            "kind": Kind.SYNC,
            "count": len(self.spikes),
            "step": self.step & 63,
            "sum": spike_sum(np.array(self.spikes, np.uint32), self.step),
        }
        assert {name: packet[name] for name in expected} == expected
        self.step = (self.step + 1) & MASK
        self.steps += 1
        self.spikes, self.told = [], []
        return at

    def echoed(self, sources: Sequence[int]) -> list[int]:
        """Demand that these spikes were broadcast first; return when."""
        came, self.broadcast = self.broadcast[: len(sources)], self.broadcast[len(sources) :]
        assert [packet["kind"] for _, packet in came] == [Kind.SPIKE] * len(sources)
        assert [packet["source"] for _, packet in came] == list(sources)
        assert all(packet["step"] == self.step for _, packet in came)
        self.spikes += sources
        self.sent += len(sources)
        return [at for at, _ in came]

    # The nodes.

    def spike(self, source: int, step: int | None = None) -> int:
        """Return a spike's packet."""
        step = self.step if step is None else step
        return encode(Kind.AER, self.anywhere(), source=source, step=step)

    def barrier(self, node: int, sources: Sequence[int] = (), **wrong: int) -> int:
        """Return the packet of a node that has sent these spikes; what is wrong is flipped."""
        fields = {
            "count": len(sources),
            "node": node,
            "step": self.step & 63,
            "sum": spike_sum(np.array(sources, np.uint32), self.step),
        }
        told = {name: value ^ wrong.get(name, 0) for name, value in fields.items()}
        self.told.append((told["count"], told["sum"]))
        return encode(Kind.BARRIER, self.anywhere(), **told)

    def merged(self, nodes: Sequence[int], most: int) -> tuple[list[int], list[int]]:
        """Return the packets of nodes in some order, each node's barrier last; and the sources."""
        sources = {n: self.rng.integers(0, 2**32, self.rng.integers(most + 1)) for n in nodes}
        left = {n: [*sources[n].tolist(), None] for n in nodes}
        packets, order = [], []
        while left:
            node = int(self.rng.choice(list(left)))
            source = left[node].pop(0)
            if source is None:
                packets.append(self.barrier(node, sources[node].tolist()))
                del left[node]
            else:
                packets.append(self.spike(source))
                order.append(source)
        return packets, order

    async def advance(
        self, *, most: int = 3, offers: float = 1.0, broadcast: float = 1.0, looks: bool = False
    ) -> None:
        """Play a step up to its last barrier; look at who is missing in the middle of it."""
        nodes = self.rng.permutation(self.active).tolist()
        cut = int(self.rng.integers(len(nodes))) if looks else 0
        for part in (nodes[:cut], nodes[cut:]):
            if not part:
                continue
            packets, sources = self.merged(part, most)
            if looks:
                # Requests come with the spikes; the register does not change.
                places = sorted(self.rng.integers(0, len(packets), 2).tolist(), reverse=True)
                address = master_register_address("step")
                for place in places:
                    packets.insert(place, self.request(address))
            await self.play(packets, offers=offers, broadcast=broadcast)
            assert len(self.taken) == len(packets)
            if looks:
                assert self.answered([address] * 2) == [self.step] * 2
            self.echoed(sources)
            if part is not nodes and len(part) == cut:
                assert await self.bitmap(MasterRegion.MISSING) == sorted(nodes[cut:])
                self.cover.hit("missing ones are seen")
                assert await self.get("status", "missing") == [COLLECTING, len(nodes) - cut]

    async def compare(self, *errors: str) -> None:
        """Compare the registers of a master that is halted."""
        status = HALTED | (FAILED if errors else 0)
        expected = {
            "status": status,
            "errors": sum(ERRORS[name] for name in errors),
            "step": self.step,
            "count": len(self.spikes),
            "sum": spike_sum(np.array(self.spikes, np.uint32), self.step),
            "barrier_count": sum(count for count, _ in self.told),
            "barrier_sum": sum(total for _, total in self.told) & MASK,
            "steps": self.steps,
            "spikes": self.sent,
            "dropped": self.dropped,
            "cycles_stalled": self.stalled,
        }
        assert await self.get(*expected) == [*expected.values()]
        assert not self.broadcast
