"""Circular buffer: synaptic input that is due in the next steps."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from csnn.hardware import latency
from csnn.hardware.config import NodeConfig
from csnn.hardware.memory_map import NEURON_BITS
from csnn.rows import INHIBITORY, MAGNITUDE_MASK
from csnn.spec.machine import SUM_LIMIT_UNITS
from rtl.memory_access import MemoryAccess
from rtl.unroller import CODE_BITS, DELAY_BITS

SUM_BITS = (SUM_LIMIT_UNITS - 1).bit_length()
MAGNITUDE_BITS = MAGNITUDE_MASK.bit_length()


class CircularBuffer(wiring.Component):
    """Adds synapses to the slots of later steps; gives and clears the slot of this step.

    A bank per pipeline and kind (exc, inh), so that a slot leaves as fast as the ODE unit takes
    it. A sum that reaches the limit stays below it and sets a sticky flag.

    Ports
    -----
    slot : in
        Slot of the present step.
    valid, neuron, delay, code : in
        A synapse of a spike of the present step.
    take : 1 bit, in
        Transfer: gives and clears the slot. No synapse may arrive, or be under way, until `taking`
        is over.
    last_group : in
        Number of the last group of neurons.
    taking : 1 bit, out
        A transfer is under way.
    taken, group, input_ex, input_in : out
        A group of the slot: arrays of `pipelines` sums.
    busy : 1 bit, out
        A synapse is under way.
    saturated, clear : out and in
        The flag, and what resets it.
    access : MemoryAccess

    Latency
        A synapse is stored after 6 cycles; the first group leaves 3 cycles after `take`.
    Throughput
        One synapse per cycle, also if all go to one word; one group per cycle.
    Backpressure
        None.
    Reference
        `csnn.simulator.blocks.CircularBuffer`; Heittmann et al. (2022), Figure 3B.
    """

    TAKE_LATENCY = latency.TAKE

    def __init__(self, config: NodeConfig) -> None:
        self.config = config
        sums = data.ArrayLayout(SUM_BITS, config.pipelines)
        super().__init__(
            {
                "slot": In(config.slot_bits),
                "valid": In(1),
                "neuron": In(NEURON_BITS),
                "delay": In(DELAY_BITS),
                "code": In(CODE_BITS),
                "take": In(1),
                "last_group": In(config.group_bits),
                "taking": Out(1),
                "taken": Out(1),
                "group": Out(config.group_bits),
                "input_ex": Out(sums),
                "input_in": Out(sums),
                "busy": Out(1),
                "saturated": Out(1),
                "clear": In(1),
                "access": In(MemoryAccess(config.slot_bits + 1 + NEURON_BITS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Read, select the bank, add, write; what was added lately is forwarded."""
        m = Module()
        config = self.config
        word = data.StructLayout(
            {
                "lane": config.lane_bits,
                "kind": 1,
                "group": config.group_bits,
                "slot": config.slot_bits,
            }
        )

        # Level 1: addresses.
        target, magnitude = Signal(word), Signal(MAGNITUDE_BITS, reset_less=True)
        valids = [Signal(name=f"valid_{i}") for i in range(1, 8)]
        m.d.sync += [
            target.lane.eq(self.neuron[: config.lane_bits]),
            target.group.eq(self.neuron[config.lane_bits :]),
            target.kind.eq(self.code[INHIBITORY.bit_length() - 1]),
            target.slot.eq(self.slot + 1 + self.delay),
            magnitude.eq(self.code[:MAGNITUDE_BITS]),
            valids[0].eq(self.valid),
            Cat(*valids[1:]).eq(Cat(*valids[:-1])),
        ]
        targets, magnitudes = _delayed(m, target, 7), _delayed(m, magnitude, 4)

        # Levels 1 to 3: memory and output register of every bank.
        taking, taken_group = self._transfer(m)
        access = self.access
        low = config.lane_bits
        accessed = Signal(word)
        m.d.comb += [
            accessed.lane.eq(access.address[:low]),
            accessed.group.eq(access.address[low:NEURON_BITS]),
            accessed.kind.eq(access.address[NEURON_BITS]),
            accessed.slot.eq(access.address[NEURON_BITS + 1 :]),
        ]
        place = Signal(word)
        m.d.comb += place.eq(Mux(access.select, accessed, target))
        with m.If(taking[0]):
            m.d.comb += [place.slot.eq(self.slot), place.group.eq(taken_group[0])]
        result, written = Signal(SUM_BITS, reset_less=True), targets[4]
        store = Signal(word)
        stored, stores = Signal(SUM_BITS), Signal()
        m.d.comb += [store.eq(written), stored.eq(result), stores.eq(valids[4])]
        with m.If(access.select):
            m.d.comb += [
                store.eq(accessed),
                stored.eq(access.write_data[:SUM_BITS]),
                stores.eq(access.write),
            ]
        with m.If(taking[2]):
            m.d.comb += [store.slot.eq(self.slot), store.group.eq(taken_group[2]), stored.eq(0)]
        banks = []
        for kind in range(2):
            for lane in range(config.pipelines):
                mine = Cat(store.lane, store.kind) == (kind << low | lane)
                enable = stores & mine | taking[2]
                banks.append(self._bank(m, f"{kind}_{lane}", place, store, stored, enable))
        m.d.comb += [
            self.taken.eq(taking[2]),
            self.group.eq(taken_group[2]),
            self.input_ex.eq(Cat(*banks[: config.pipelines])),
            self.input_in.eq(Cat(*banks[config.pipelines :])),
            self.taking.eq(taking[0] | taking[1] | taking[2]),
            self.busy.eq(Cat(*valids[:5]).any()),
        ]

        # Level 3: choice of the bank. What the four synapses before wrote, or are about to write,
        # to the same word was not there to read.
        chosen = Array(banks)[Cat(targets[2].lane, targets[2].kind)]
        m.d.comb += access.read_data.eq(Array(banks)[Cat(accessed.lane, accessed.kind)])
        old = Signal(SUM_BITS, reset_less=True)
        m.d.sync += old.eq(chosen)
        same = Signal(4, reset_less=True)
        m.d.sync += same.eq(
            Cat(*(valids[2 + i] & (targets[2 + i] == targets[2]) for i in range(1, 5)))
        )

        # Level 4: sum.
        recent = _delayed(m, result, 4)
        before = Mux(same[3], recent[3], old)
        for i in (2, 1, 0):
            before = Mux(same[i], recent[i], before)
        total = Signal(SUM_BITS + 1)
        m.d.comb += total.eq(before + magnitudes[3])
        over = Signal()
        m.d.comb += over.eq(total >= config.sum_limit)
        m.d.sync += result.eq(Mux(over, Const(config.sum_limit - 1, SUM_BITS), total[:SUM_BITS]))
        with m.If(self.clear):
            m.d.sync += self.saturated.eq(0)
        with m.Elif(over & valids[3]):
            m.d.sync += self.saturated.eq(1)
        return m

    def _transfer(self, m: Module) -> tuple[list[Signal], list[Signal]]:
        """Return whether a group is being taken, and which, at levels 1 to 3."""
        taking = [Signal(name=f"taking_{i}") for i in range(1, 4)]
        group = Signal(self.config.group_bits, reset_less=True)
        with m.If(self.take):
            m.d.sync += [taking[0].eq(1), group.eq(0)]
        with m.Elif(taking[0]):
            m.d.sync += [taking[0].eq(group != self.last_group), group.eq(group + 1)]
        m.d.sync += [taking[1].eq(taking[0]), taking[2].eq(taking[1])]
        return taking, _delayed(m, group, 3)

    def _bank(
        self, m: Module, name: str, place: Signal, store: Signal, stored: Value, enable: Value
    ) -> Signal:
        """Return what a bank holds at `place`, two cycles later."""
        config = self.config
        depth = 1 << config.group_bits + config.slot_bits
        m.submodules[f"bank_{name}"] = bank = Memory(shape=SUM_BITS, depth=depth, init=[])
        read, write = bank.read_port(), bank.write_port()
        m.d.comb += [
            read.addr.eq(Cat(place.group, place.slot)),
            write.addr.eq(Cat(store.group, store.slot)),
            write.data.eq(stored),
            write.en.eq(enable),
        ]
        held = Signal(SUM_BITS, name=f"held_{name}", reset_less=True)
        m.d.sync += held.eq(read.data)
        return held


def _delayed(m: Module, value: Signal, count: int) -> list[Signal]:
    """Return a signal after 0, 1, ... count - 1 cycles."""
    copies = [value]
    for _ in range(count - 1):
        copy = Signal.like(copies[-1], name_suffix="_q", reset_less=True)
        m.d.sync += copy.eq(copies[-1])
        copies.append(copy)
    return copies
