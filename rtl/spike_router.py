"""RTR, the spike router: from spikes to synapses."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from csnn.hardware.config import NodeConfig
from rtl.row_lookup import SOURCE_BITS, RowLookup
from rtl.unroller import CODE_BITS, DELAY_BITS, Unroller


class SpikeRouter(wiring.Component):
    """Unrolls the rows of arriving spikes; the next rows are looked up meanwhile.

    Ports
    -----
    source : stream of 32 bits, in
        Global source IDs.
    valid, neuron, delay, code : out
        A synapse: target, delay_steps - 1, weight code.
    busy : 1 bit, out
        A spike, a row or a synapse is under way.
    n_neurons, first_neuron, node_key : in
        Settings of the node.
    blocks, presence, rank, seed, length, weights, delays, synapses : MemoryAccess
        Those that the configuration has.

    Latency
        `latency(config)` cycles from a source to its first synapse.
    Throughput
        Of a stream of spikes: max(1, L) cycles for each row of each spike, no more.
    Backpressure
        `source` waits while rows are unrolled; nothing stalls behind it.
    Reference
        `csnn.simulator.blocks.Router`; Heittmann et al. (2022), Figure 3B.
    """

    def __init__(self, config: NodeConfig) -> None:
        self.config = config
        self.lookup, self.unroller = RowLookup(config), Unroller(config)
        self.tables = {
            name: part
            for part, names in (
                (self.lookup, ("blocks", "presence", "rank", "seed", "length")),
                (self.unroller, ("weights", "delays", "synapses")),
            )
            for name in names
            if name in part.signature.members
        }
        super().__init__(
            {
                "source": In(stream.Signature(SOURCE_BITS)),
                "valid": Out(1),
                "neuron": Out(8),
                "delay": Out(DELAY_BITS),
                "code": Out(CODE_BITS),
                "busy": Out(1),
                "n_neurons": In(9),
                "first_neuron": In(32),
                "node_key": In(32),
                **{name: part.signature.members[name] for name, part in self.tables.items()},
            }
        )

    @staticmethod
    def latency(config: NodeConfig) -> int:
        """Return the cycles from a source to its first synapse."""
        return RowLookup.latency(config) + Unroller.latency(config)

    def elaborate(self, platform: object) -> Module:
        """Connect look-up and unrolling."""
        m = Module()
        m.submodules.lookup, m.submodules.unroller = lookup, unroller = self.lookup, self.unroller
        wiring.connect(m, wiring.flipped(self.source), lookup.source)
        wiring.connect(m, lookup.row, unroller.row)
        for name, part in self.tables.items():
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(part, name))
        m.d.comb += [
            lookup.n_neurons.eq(self.n_neurons),
            *(
                [unroller.n_neurons.eq(self.n_neurons)]
                if "n_neurons" in unroller.signature.members
                else []
            ),
            lookup.first_neuron.eq(self.first_neuron),
            lookup.node_key.eq(self.node_key),
            *(
                getattr(self, name).eq(getattr(unroller, name))
                for name in ("valid", "neuron", "delay", "code")
            ),
            self.busy.eq(lookup.busy | unroller.busy),
        ]
        return m
