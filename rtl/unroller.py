"""Unrolling of rows into synapses, one per cycle."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from csnn.hardware.config import NodeConfig
from csnn.rows import (
    DELAY_INDEX_SHIFT,
    FRACTION_BITS,
    STUB_R_BITS,
    TARGET_BITS,
    TARGET_SHIFT,
    WORD_DELAY_SHIFT,
    WORD_WEIGHT_SHIFT,
    Sampler,
)
from rtl.alias_table import AliasTable, AliasTableConfig
from rtl.memory_access import MemoryAccess, TableMemory, address_bits
from rtl.pipeline import Pipeline, Staged, Validity
from rtl.row_lookup import row_layout
from rtl.stub_permutation import StubPermutation
from rtl.xorshift import RowGenerator

INDEX_BITS = 6
DELAY_BITS = 6
CODE_BITS = 16
WORD_BITS = WORD_WEIGHT_SHIFT + CODE_BITS


def weight_table(config: NodeConfig) -> AliasTableConfig:
    """Return the shape of the weight tables."""
    return AliasTableConfig(
        index_bits=INDEX_BITS,
        fraction_bits=FRACTION_BITS,
        value_bits=CODE_BITS,
        field_bits=16,
        selectors=config.selectors,
    )


def delay_table(config: NodeConfig) -> AliasTableConfig:
    """Return the shape of the delay tables."""
    return AliasTableConfig(
        index_bits=INDEX_BITS,
        fraction_bits=FRACTION_BITS,
        value_bits=DELAY_BITS,
        field_bits=8,
        selectors=config.selectors,
    )


def _choice_level(config: NodeConfig) -> int:
    """Return after how many registers all that a synapse may be stands side by side."""
    if Sampler.STUBS in config.samplers:
        return 1 + StubPermutation.LATENCY
    return 5 if Sampler.DISTINCT in config.samplers else 4


class Unroller(wiring.Component):
    """Draws the synapses of a row, or reads them if the row is stored.

    Ports
    -----
    row : stream of `row_layout`, in
    valid : 1 bit, out
        There is a synapse: `neuron`, `delay` (steps - 1) and `code` of its weight.
    busy : 1 bit, out
        A row or a synapse is under way.
    n_neurons : 9 bits, in
        Size of the node; only if stubs are dealt out.
    weights, delays, synapses : MemoryAccess
        `synapses` only with stored rows.

    Latency
        `latency(config)` cycles from a row's arrival to its first synapse.
    Throughput
        One synapse per cycle, without a gap between rows.
    Backpressure
        None behind it; the next row waits until the last draw of this one.
    Reference
        `csnn.rows.unroll`; Heittmann et al. (2022), Figures 3B and 4.
    """

    def __init__(self, config: NodeConfig) -> None:
        self.config = config
        ports = {
            "row": In(stream.Signature(row_layout(config))),
            "valid": Out(1),
            "neuron": Out(8),
            "delay": Out(DELAY_BITS),
            "code": Out(CODE_BITS),
            "busy": Out(1),
            "weights": In(MemoryAccess(weight_table(config).address_bits)),
            "delays": In(MemoryAccess(delay_table(config).address_bits)),
        }
        if Sampler.STUBS in config.samplers:
            ports["n_neurons"] = In(9)
        if config.synapses:
            ports["synapses"] = In(MemoryAccess(address_bits(config.synapses)))
        super().__init__(ports)

    @staticmethod
    def latency(config: NodeConfig) -> int:
        """Return the cycles from a row's arrival to its first synapse."""
        return 2 + _choice_level(config)

    def elaborate(self, platform: object) -> Module:
        """Count the draws of a row; candidates, tables and stored words side by side."""
        m = Module()
        config, row = self.config, self.row.payload
        active, final, first = Signal(), Signal(), Signal()
        remaining = Signal(config.length_bits)
        taken = Signal()
        m.d.comb += [
            self.row.ready.eq(~active | final),
            taken.eq(self.row.valid & self.row.ready),
        ]
        held = Signal(row_layout(config), reset_less=True)
        last = Signal(9, reset_less=True)
        with m.If(taken):
            m.d.sync += [
                active.eq(1),
                first.eq(1),
                remaining.eq(row.length - 1),
                final.eq(row.length == 1),
                held.eq(row),
                last.eq(row.available - row.length),
            ]
        with m.Elif(active):
            m.d.sync += [
                active.eq(~final),
                first.eq(0),
                remaining.eq(remaining - 1),
                final.eq(remaining == 1),
                held.seed.eq(self._next_seed(held)),
                last.eq(last + 1),
            ]
        m.submodules.generator = generator = RowGenerator()
        m.d.comb += [
            generator.load.eq(taken),
            generator.x.eq(row.x),
            generator.y.eq(row.y),
            generator.draw.eq(active),
        ]
        steps = self.latency(config) - 1
        p = Pipeline(m, steps=steps, latency=steps)
        valid = Validity(m, active)
        drawn = {
            "a": p.put(generator.a, "a"),
            "b": p.put(generator.b, "b"),
            "first": p.put(first, "first"),
            "last": p.put(last, "last"),
            **{
                name: p.put(getattr(held, name), name)
                for name in row_layout(config).members
                if name not in ("x", "y", "length")
            },
        }
        valid.step(p)
        self._address_tables(m, p, drawn)
        if Sampler.STUBS in config.samplers:
            m.submodules.permutation = permutation = self._permutation(m, p, drawn)
        product = p.put(p.get(drawn["a"])[TARGET_SHIFT:] * self._count(p, drawn), "product")
        valid.step(p)
        p.get(product)
        valid.step(p)
        candidate = p.put(p.get(product)[TARGET_BITS:], "candidate")
        if config.synapses:
            stored = p.put(m.submodules.synapses.data, "stored")
        if Sampler.DISTINCT in config.samplers:
            candidate = self._distinct(m, p, valid, drawn, candidate)
        else:
            valid.step(p)
        code = p.put(m.submodules.weights.value, "code")
        delay = p.put(m.submodules.delays.value, "delay")
        while p.level < _choice_level(config):
            valid.step(p)
        sampler, target = p.get(drawn["sampler"]), p.get(candidate)
        if Sampler.STUBS in config.samplers:
            target = Mux(sampler == Sampler.STUBS, permutation.target, target)
        target = p.now(target, "target")
        neuron = (target + (target >= p.get(drawn["own"])))[:8]
        values = neuron, p.get(delay), p.get(code)
        if config.synapses:
            words = p.now(p.get(stored), "word")
            is_stored = p.now(sampler == Sampler.STORED, "is_stored")
            parts = (
                words[:WORD_DELAY_SHIFT],
                words[WORD_DELAY_SHIFT:WORD_WEIGHT_SHIFT],
                words[WORD_WEIGHT_SHIFT:],
            )
            values = tuple(Mux(is_stored, *both) for both in zip(parts, values, strict=True))
        ports = (self.neuron, self.delay, self.code)
        m.d.sync += [port.eq(value) for port, value in zip(ports, values, strict=True)]
        valid.step(p)
        m.d.comb += [self.valid.eq(valid.value), self.busy.eq(valid.any() | active)]
        return m

    def _next_seed(self, held: data.View) -> Value:
        """Return the stub or the position that follows."""
        following = held.seed + 1
        if Sampler.STUBS not in self.config.samplers:
            return following
        right, left = held.seed[:STUB_R_BITS], held.seed[STUB_R_BITS:]
        carries = (held.sampler == Sampler.STUBS) & (right == (self.n_neurons - 1)[:STUB_R_BITS])
        return Mux(carries, Cat(Const(0, STUB_R_BITS), left + 1), following)

    def _permutation(self, m: Module, p: Pipeline, drawn: dict[str, Staged]) -> StubPermutation:
        """Return the permutation, at work on the stub of this draw."""
        permutation = StubPermutation()
        stub = p.get(drawn["seed"])
        m.d.comb += [
            permutation.right.eq(stub[:STUB_R_BITS]),
            permutation.left.eq(stub[STUB_R_BITS:]),
            permutation.in_degree.eq(p.get(drawn["in_degree"])),
            permutation.key.eq(p.get(drawn["stub_key"])),
            permutation.n_neurons.eq(self.n_neurons),
        ]
        return permutation

    def _count(self, p: Pipeline, drawn: dict[str, Staged]) -> Value:
        """Return among how many candidates a draw chooses."""
        available = p.get(drawn["available"])
        if Sampler.DISTINCT not in self.config.samplers:
            return available
        is_distinct = p.get(drawn["sampler"]) == Sampler.DISTINCT
        return Mux(is_distinct, (p.get(drawn["last"]) + 1)[:9], available)

    def _address_tables(self, m: Module, p: Pipeline, drawn: dict[str, Staged]) -> None:
        """Let weight and delay be drawn, and the stored word be read."""
        config = self.config
        a, b = p.get(drawn["a"]), p.get(drawn["b"])
        m.submodules.weights = weights = AliasTable(weight_table(config))
        m.submodules.delays = delays = AliasTable(delay_table(config))
        m.d.comb += [
            weights.index.eq(a[:DELAY_INDEX_SHIFT]),
            weights.fraction.eq(b[FRACTION_BITS:]),
            delays.index.eq(a[DELAY_INDEX_SHIFT:TARGET_SHIFT]),
            delays.fraction.eq(b[:FRACTION_BITS]),
        ]
        for table, access in ((weights, self.weights), (delays, self.delays)):
            m.d.comb += table.selector.eq(p.get(drawn["selector"]))
            wiring.connect(m, wiring.flipped(access), table.access)
        if config.synapses:
            m.submodules.synapses = synapses = TableMemory(depth=config.synapses, width=WORD_BITS)
            m.d.comb += [synapses.enable.eq(1), synapses.address.eq(p.get(drawn["seed"]))]
            wiring.connect(m, wiring.flipped(self.synapses), synapses.access)

    def _distinct(
        self,
        m: Module,
        p: Pipeline,
        valid: Validity,
        drawn: dict[str, Staged],
        candidate: Staged,
    ) -> Staged:
        """Return the target by Floyd's sampling: a candidate used before stands for `last`."""
        used = Signal(self.config.neurons, reset_less=True)
        previous = Signal(9, reset_less=True)
        value = p.get(candidate)
        entered = p.put(used.bit_select(value[:8], 1), "entered")
        valid.step(p)
        value, first = p.get(candidate), p.get(drawn["first"])
        # What the draw before enters now is not in the map that this one has read, and if that
        # draw was a row's first, the map was still the old row's.
        after_first = Signal(reset_less=True)
        m.d.sync += after_first.eq(first)
        again = ~first & (p.get(entered) & ~after_first | (value == previous))
        inserted = p.now(Mux(again, p.get(drawn["last"]), value), "inserted")
        # What stands here between two rows is forgotten at the first draw of the next.
        m.d.sync += [
            previous.eq(inserted),
            used.eq(Mux(first, 0, used) | (1 << inserted[:8])[: len(used)]),
        ]
        is_distinct = p.get(drawn["sampler"]) == Sampler.DISTINCT
        return p.put(Mux(is_distinct, inserted, value), "distinct")
