"""Look-up of rows: from a spike's source to generators that are ready for the first draw."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, EnableInserter, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from csnn.hardware.config import NodeConfig
from csnn.image import layout
from csnn.prng import ROW_SEED_MULTIPLIER, ROW_SHIFTS, ROW_WARMUP_DRAWS
from csnn.rows import ROW_POSITION_MULTIPLIER, Sampler
from rtl.memory_access import MemoryAccess, TableMemory, address_bits
from rtl.pipeline import Pipeline, Staged, Validity
from rtl.stub_permutation import DEGREE_BITS
from rtl.xorshift import next_word

SOURCE_BITS = 32
_BLOCK_WORDS = (
    "source_first",
    "source_count",
    "row_first",
    "row_count",
    "presence_first",
    "in_degree",
    "stub_key",
    "kind",
)
_STUB_WORDS = ("in_degree", "stub_key")


def row_layout(config: NodeConfig) -> data.StructLayout:
    """Return what the look-up tells of a row.

    x and y are the state of its generator, `seed` the stored word (a stub or a position for some
    samplers); `own` is the target to step over, or the number of neurons; `available` is the number
    of candidates. In-degree and key are there if stubs are dealt out.
    """
    stubs = {"in_degree": DEGREE_BITS, "stub_key": 32}
    return data.StructLayout(
        {
            **(stubs if Sampler.STUBS in config.samplers else {}),
            "x": 32,
            "y": 32,
            "seed": 32,
            "length": config.length_bits,
            "selector": address_bits(config.selectors),
            "sampler": 2,
            "own": 9,
            "available": 9,
        }
    )


class RowLookup(wiring.Component):
    """Finds the rows of arriving spikes and starts their generators.

    All blocks compare the source at once; each block that holds it gives one row. Rows that are
    absent or empty are dropped on the way.

    Ports
    -----
    source : stream of 32 bits, in
        Global source IDs.
    row : stream of `row_layout`, out
    busy : 1 bit, out
        A spike or a row is under way.
    n_neurons, first_neuron, node_key : in
        Settings of the node.
    blocks, presence, rank, seed, length : MemoryAccess
        `presence` and `rank` only where rows can be sparse.

    Latency
        `latency(config)` cycles from a source to its first row.
    Throughput
        One row per cycle; a spike without a row costs one cycle.
    Backpressure
        Everything stops while `row` waits.
    Reference
        `csnn.image.node.NodeImage.find_rows`, `csnn.prng.row_start`; Heittmann et al. (2022),
        Figure 3B.
    """

    def __init__(self, config: NodeConfig) -> None:
        self.config = config
        self.is_sparse = config.presence_words > 0
        self.has_stubs = Sampler.STUBS in config.samplers
        self.block_words = [
            name for name in _BLOCK_WORDS if self.has_stubs or name not in _STUB_WORDS
        ]
        ports = {
            "source": In(stream.Signature(SOURCE_BITS)),
            "row": Out(stream.Signature(row_layout(config))),
            "busy": Out(1),
            "n_neurons": In(9),
            "first_neuron": In(32),
            "node_key": In(32),
            "blocks": In(MemoryAccess(address_bits(config.blocks) + 3)),
            "seed": In(MemoryAccess(address_bits(config.rows))),
            "length": In(MemoryAccess(address_bits(config.rows))),
        }
        if self.is_sparse:
            bits = address_bits(config.presence_words)
            ports |= {name: In(MemoryAccess(bits)) for name in ("presence", "rank")}
        super().__init__(ports)

    @staticmethod
    def latency(config: NodeConfig) -> int:
        """Return the cycles from a source to its first row."""
        sparse = 4 if config.presence_words else 0
        return 12 + sparse + (3 if Sampler.STUBS in config.samplers else 0)

    def elaborate(self, platform: object) -> Module:
        """Stop everything while a row waits."""
        m = Module()
        go = Signal()
        m.d.comb += go.eq(~self.row.valid | self.row.ready)
        memories = {**self._block_memories(m), **self._row_memories(m)}
        for name, memory in memories.items():
            m.submodules[name] = memory
            m.d.comb += memory.enable.eq(go)
        pipeline = self._pipeline(go, self._hits(m), memories)
        m.submodules.pipeline = EnableInserter(go)(pipeline)
        return m

    def _pipeline(self, go: Signal, arriving: Value, memories: dict[str, TableMemory]) -> Module:
        m = Module()
        config = self.config
        hits, source = Signal(config.blocks), Signal(SOURCE_BITS, reset_less=True)
        rest = Signal(config.blocks)
        m.d.comb += [
            rest.eq(hits & (hits - 1)[: config.blocks]),
            self.source.ready.eq(go & (rest == 0)),
        ]
        m.d.sync += hits.eq(rest)
        with m.If(self.source.valid & (rest == 0)):
            m.d.sync += [hits.eq(arriving), source.eq(self.source.payload)]
        steps = self.latency(config) - 1
        p = Pipeline(m, steps=steps, latency=steps)
        valid = Validity(m, hits.any())
        block = _lowest(m, hits, rest)
        of_block = {}
        for name in self.block_words:
            memory = memories[f"block_{name}"]
            m.d.comb += memory.address.eq(block)
            of_block[name] = memory.data
        staged_source = p.put(source, "source")
        for _ in range(2):
            valid.step(p)
        kind = p.put(of_block["kind"], "kind")
        names = _STUB_WORDS if self.has_stubs else ()
        stub_words = {name: p.put(of_block[name], name) for name in names}
        row_first = p.put(of_block["row_first"], "row_first")
        presence_first = p.put(of_block["presence_first"], "presence_first")
        offset = p.put((p.get(staged_source) - of_block["source_first"])[:32], "offset")
        valid.step(p)
        position = offset
        if self.is_sparse:
            position = self._sparse(p, valid, memories, kind, offset, presence_first)
        bits = address_bits(config.rows)
        row = p.put((p.get(row_first)[:bits] + p.get(position)[:bits])[:bits], "row")
        valid.step(p)
        m.d.comb += [memories[name].address.eq(p.get(row)) for name in ("seed", "length")]
        for _ in range(2):
            valid.step(p)
        seed = p.put(memories["seed"].data, "seed")
        length = p.put(memories["length"].data, "length")
        valid.require(p.get(length) != 0)
        start = self._stub_start(p, valid, seed, kind) if self.has_stubs else seed
        x, y = self._start(p, valid, start, staged_source)
        sampler, selector, own, available = self._targets(p, staged_source, kind)
        fields = {
            "x": p.get(x),
            "y": p.get(y),
            "seed": p.get(seed),
            "length": p.get(length),
            "selector": selector,
            "sampler": sampler,
            "own": own,
            "available": available,
            **{name: p.get(staged) for name, staged in stub_words.items()},
        }
        m.d.comb += self.row.valid.eq(valid.value)
        m.d.comb += [getattr(self.row.payload, name).eq(fields[name]) for name in fields]
        m.d.comb += self.busy.eq(valid.any() | hits.any())
        return m

    def _hits(self, m: Module) -> Value:
        """Return which blocks hold the arriving source."""
        bounds = []
        access = self.blocks
        for block in range(self.config.blocks):
            first, count = (Signal(32, name=f"{name}_{block}") for name in ("first", "count"))
            for word, register in enumerate((first, count)):
                with m.If(access.write & (access.address == block << 3 | word)):
                    m.d.sync += register.eq(access.write_data)
            distance = Signal(32, name=f"distance_{block}")
            m.d.comb += distance.eq(self.source.payload - first)
            # A source below the first wraps round to a distance that no count reaches.
            bounds.append(distance < count)
        return Cat(*bounds)

    def _block_memories(self, m: Module) -> dict[str, TableMemory]:
        """Return memories of what all rows of a block share."""
        access = self.blocks
        low = access.address[:3]
        memories: dict[str, TableMemory] = {}
        read = Const(0, 32)
        for name in self.block_words:
            word = _BLOCK_WORDS.index(name)
            memory = TableMemory(depth=self.config.blocks, width=32)
            m.d.comb += [
                memory.access.select.eq(access.select),
                memory.access.address.eq(access.address[3:]),
                memory.access.write.eq(access.write & (low == word)),
                memory.access.write_data.eq(access.write_data),
            ]
            read = read | Mux(low == word, memory.access.read_data, 0)
            memories[f"block_{name}"] = memory
        m.d.comb += access.read_data.eq(read)
        return memories

    def _row_memories(self, m: Module) -> dict[str, TableMemory]:
        """Return memories of rows, and of the presence of rows."""
        config = self.config
        shapes = {"seed": (config.rows, 32), "length": (config.rows, config.length_bits)}
        if self.is_sparse:
            shapes |= dict.fromkeys(("presence", "rank"), (config.presence_words, 32))
        memories = {}
        for name, (depth, width) in shapes.items():
            memories[name] = TableMemory(depth=depth, width=width)
            wiring.connect(m, wiring.flipped(getattr(self, name)), memories[name].access)
        return memories

    def _sparse(
        self,
        p: Pipeline,
        valid: Validity,
        memories: dict[str, TableMemory],
        kind: Staged,
        offset: Staged,
        presence_first: Staged,
    ) -> Staged:
        """Return the row's number within its block; rows that are absent lose validity."""
        bits = address_bits(self.config.presence_words)
        word = p.put((p.get(presence_first)[:bits] + p.get(offset)[5 : 5 + bits])[:bits], "word")
        valid.step(p)
        presence, rank = memories["presence"], memories["rank"]
        p.module.d.comb += [memory.address.eq(p.get(word)) for memory in (presence, rank)]
        for _ in range(2):
            valid.step(p)
        bit = p.get(offset)[:5]
        is_sparse = p.now(_flag(p.get(kind), layout.SPARSE_FLAG), "is_sparse")
        # No bit is above the highest one.
        below = p.now(presence.data[:31] & ((Const(1, 32) << bit) - 1)[:31], "below")
        count = sum((below[i] for i in range(1, 31)), below[0])
        row_bits = address_bits(self.config.rows)
        found = p.put((rank.data + count)[:row_bits], "found")
        sparse = p.put(is_sparse, "sparse")
        valid.require(~is_sparse | presence.data.bit_select(bit, 1))
        valid.step(p)
        return p.put(Mux(p.get(sparse), p.get(found), p.get(offset)[:row_bits]), "position")

    def _stub_start(self, p: Pipeline, valid: Validity, seed: Staged, kind: Staged) -> Staged:
        """Return the generator's seed, for stubs `csnn.rows.row_seed` of the stored word."""
        following = p.put((p.get(seed) + 1)[:32], "following")
        valid.step(p)
        hashed = p.put(_product(p, valid, following, ROW_POSITION_MULTIPLIER), "hashed")
        valid.step(p)
        is_stub = p.get(kind)[16:18] == Sampler.STUBS
        never_zero = Mux(p.get(hashed) == 0, 1, p.get(hashed))
        return p.put(Mux(is_stub, never_zero, p.get(seed)), "start")

    def _start(
        self, p: Pipeline, valid: Validity, seed: Staged, source: Staged
    ) -> tuple[Staged, Staged]:
        """Return the generator's state after its warm-up, `csnn.prng.row_start`."""
        mixed = p.put(p.get(seed) ^ p.get(source) ^ self.node_key, "mixed")
        valid.step(p)
        y = p.put(_product(p, valid, mixed, ROW_SEED_MULTIPLIER), "y")
        x = seed
        valid.step(p)
        for i in range(ROW_WARMUP_DRAWS):
            a = p.now(next_word(p.module, p.get(x), p.get(y), ROW_SHIFTS), f"warm_{i}a")
            b = next_word(p.module, p.get(y), a, ROW_SHIFTS)
            x, y = p.put(a, f"x_{i}"), p.put(b, f"y_{i}")
            valid.step(p)
        return x, y

    def _targets(self, p: Pipeline, source: Staged, kind: Staged) -> tuple[Value, ...]:
        """Return sampler, selector, the target to step over and the number of candidates."""
        local = p.now((p.get(source) - self.first_neuron)[:32], "local")
        skips = _flag(p.get(kind), layout.SKIP_SELF_FLAG)
        inside = p.now(skips & (local < self.n_neurons), "inside")
        own = Mux(inside, local[:9], self.n_neurons)
        selector = p.get(kind)[: address_bits(self.config.selectors)]
        return p.get(kind)[16:18], selector, own, self.n_neurons - inside


def _product(p: Pipeline, valid: Validity, value: Staged, constant: int) -> Value:
    """Return the product with a constant mod 2^32, one step on: three products of 16 by 16 bits."""
    low, high = p.get(value)[:16], p.get(value)[16:]
    c_low, c_high = Const(constant & 0xFFFF, 16), Const(constant >> 16, 16)
    product = p.put(low * c_low, "product")
    crossed = [p.put((a * b)[:16], "crossed") for a, b in ((low, c_high), (high, c_low))]
    valid.step(p)
    upper = p.get(product)[16:] + p.get(crossed[0]) + p.get(crossed[1])
    return Cat(p.get(product)[:16], upper[:16])


def _flag(kind: Value, flag: int) -> Value:
    # Flags are the highest byte of a block's last word.
    return kind[24 + flag.bit_length() - 1]


def _lowest(m: Module, hits: Signal, rest: Signal) -> Value:
    """Return the position of the lowest bit of `hits`; `rest` is `hits` without it."""
    only = Signal(len(hits))
    m.d.comb += only.eq(hits & ~rest)
    bits = address_bits(len(hits))
    lowest = Signal(bits)
    # Bit k: whether it is one of the positions whose bit k is set.
    for k in range(bits):
        places = [only[i] for i in range(len(hits)) if i >> k & 1]
        m.d.comb += lowest[k].eq(Cat(*places).any())
    return lowest
