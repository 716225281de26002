"""ODE unit: advances all neurons of the node by one step."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, EnableInserter, Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from csnn.hardware.config import NodeConfig
from csnn.hardware.latency import ode_latency
from csnn.hardware.memory_map import NEURON_BITS
from rtl.circular_buffer import SUM_BITS
from rtl.external import UNITS_BITS
from rtl.memory_access import MemoryAccess, StateMemory, address_bits, connect_parts, readdressed
from rtl.neuron_pipeline import NeuronPipeline, NeuronPipelineConfig

DIRECT_CURRENT = "C_dc"

# Name of the signal that lets the pipelines go on, in the Verilog as well.
PIPELINE_ENABLE = "pipeline_enable"


class OdeUnit(wiring.Component):
    """Pipelines of the neuron model side by side, with the memories of state.

    Ports
    -----
    start : 1 bit, in
        Begins a step: the buffers hold the groups that will be asked for.
    last_group, n_neurons : in
        Size of the node.
    dc : 32 bits, in
        The model's direct-current constant in force.
    group : out
        Group asked from the SS and ES buffers; their words are due one cycle later.
    input_ex, input_in, external : in
        Arrays of `pipelines` words.
    computing : 1 bit, out
        A group is under way; its states are written in the last such cycle.
    valid, spiking_group, spikes : out
        Which neurons of a group spike.
    constants : MemoryAccess
        Constants of the model in its order.
    states : MemoryAccess
        Word 256 k + n: state word k of neuron n.

    Latency
        `latency(config)` cycles (IL) plus one per further group: L = IL + N_p, with N_p the number
        of groups, from `start` to the end of `computing`.
    Throughput
        One group per cycle (II = 1).
    Backpressure
        None.
    Reference
        `csnn.simulator.blocks.OdeUnit`; Heittmann et al. (2022), Figures 3A, 3C and 7.
    """

    def __init__(self, config: NodeConfig) -> None:
        self.config = config
        model = config.neuron_model
        self.constant_names = (*model.float_constants, *model.int_constants)
        sums = data.ArrayLayout(SUM_BITS, config.pipelines)
        words = address_bits(len(config.state_words))
        super().__init__(
            {
                "start": In(1),
                "last_group": In(config.group_bits),
                "n_neurons": In(9),
                "dc": In(32),
                "group": Out(config.group_bits),
                "input_ex": In(sums),
                "input_in": In(sums),
                "external": In(data.ArrayLayout(UNITS_BITS, config.pipelines)),
                "computing": Out(1),
                "valid": Out(1),
                "spiking_group": Out(config.group_bits),
                "spikes": Out(config.pipelines),
                "constants": In(MemoryAccess(address_bits(len(self.constant_names)))),
                "states": In(MemoryAccess(words + NEURON_BITS)),
            }
        )

    @staticmethod
    def latency(config: NodeConfig) -> int:
        """Return IL in cycles."""
        return ode_latency(config)

    @staticmethod
    def _pipeline_config(config: NodeConfig) -> NeuronPipelineConfig:
        return NeuronPipelineConfig(graph=config.neuron_model.graph, operators=config.operators)

    def elaborate(self, platform: object) -> Module:
        """Address the groups in turn; what leaves a pipeline goes back where it came from."""
        m = Module()
        config = self.config
        moves = Signal(name=PIPELINE_ENABLE)
        active, group = Signal(), Signal(config.group_bits, reset_less=True)
        with m.If(self.start):
            m.d.sync += [active.eq(1), group.eq(0)]
        with m.Elif(active):
            m.d.sync += [active.eq(group != self.last_group), group.eq(group + 1)]
        depth = self.latency(config)
        valids, groups = [active], [group]
        for i in range(1, depth):
            valid = Signal(name=f"valid_{i}")
            number = Signal(config.group_bits, name=f"group_{i}", reset_less=True)
            m.d.sync += [valid.eq(valids[-1]), number.eq(groups[-1])]
            valids.append(valid)
            groups.append(number)
        m.d.comb += [
            self.group.eq(group),
            self.computing.eq(moves),
            self.valid.eq(valids[-1]),
            self.spiking_group.eq(groups[-1]),
        ]
        # `computing` as a register: whatever is valid comes from `start` or from what was valid.
        m.d.sync += moves.eq(self.start | Cat(*valids[:-1]).any())
        constants = self._constants(m)
        memories = []
        for lane in range(config.pipelines):
            pipeline = self._pipeline(m, lane, constants)
            # They hold most of the node's registers, which may rest while there is nothing to do.
            rests = EnableInserter(moves) if config.operators.clock_enable else lambda unit: unit
            m.submodules[f"pipeline_{lane}"] = rests(pipeline)
            for name in config.state_words:
                memory = StateMemory(depth=1 << config.group_bits, width=32)
                m.submodules[f"{name}_{lane}"] = memory
                m.d.comb += [
                    memory.address.eq(group),
                    memory.write.eq(valids[-1]),
                    memory.write_address.eq(groups[-1]),
                    memory.write_data.eq(getattr(pipeline, f"next_{name}")),
                    getattr(pipeline, f"state_{name}").eq(memory.data),
                ]
                memories.append((name, memory))
            exists = Cat(Const(lane, config.lane_bits), groups[-1]) < self.n_neurons
            m.d.comb += self.spikes[lane].eq(pipeline.out_spike & exists)
        self._connect_states(m, memories)
        return m

    def _pipeline(self, m: Module, lane: int, constants: dict[str, Value]) -> NeuronPipeline:
        """Return a pipeline with its constants and inputs."""
        pipeline = NeuronPipeline(self._pipeline_config(self.config))
        excited = Signal(32, name=f"excited_{lane}", reset_less=True)
        inhibited = Signal(32, name=f"inhibited_{lane}", reset_less=True)
        m.d.sync += [
            excited.eq(self.input_ex[lane] + self.external[lane]),
            inhibited.eq(self.input_in[lane]),
        ]
        m.d.comb += [
            pipeline.in_ss_ex.eq(excited),
            pipeline.in_ss_in.eq(inhibited),
            *(getattr(pipeline, f"constant_{name}").eq(constants[name]) for name in constants),
        ]
        return pipeline

    def _constants(self, m: Module) -> dict[str, Value]:
        """Return the constants; the direct current is that of the epoch, not that of the image."""
        access, constants = self.constants, {}
        with m.Switch(access.address):
            for offset, name in enumerate(self.constant_names):
                register = Signal(32, name=f"constant_{name}")
                constants[name] = self.dc if name == DIRECT_CURRENT else register
                with m.Case(offset):
                    m.d.comb += access.read_data.eq(register)
                    with m.If(access.write):
                        m.d.sync += register.eq(access.write_data)
        return constants

    def _connect_states(self, m: Module, memories: list[tuple[str, StateMemory]]) -> None:
        """Order the memories by word and lane, as their addresses are."""
        config = self.config
        parts = [
            memory.access for name in config.state_words for n, memory in memories if n == name
        ]
        address, lane_bits, low = self.states.address, config.lane_bits, config.group_bits
        lane, group, word = address[:lane_bits], address[lane_bits:][:low], address[NEURON_BITS:]
        connect_parts(m, readdressed(m, self.states, group, lane, word), parts, low)
