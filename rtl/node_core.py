"""Core of a compute node: all units between the packet decoder and the packet encoder."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from csnn.hardware.config import NodeConfig
from csnn.hardware.memory_map import NEURON_BITS, Region
from csnn.hardware.registers import ERROR_BITS, STATUS_BITS
from csnn.packets import Kind
from rtl.circular_buffer import SUM_BITS, CircularBuffer
from rtl.config_space import ANSWER, ConfigSpace
from rtl.control import Control
from rtl.external import UNITS_BITS, External
from rtl.group_buffer import GroupBuffer
from rtl.memory_access import MemoryAccess, connect_parts
from rtl.ode_unit import OdeUnit
from rtl.packet_decoder import ACCESS, EVENT
from rtl.packet_layout import payload_layout
from rtl.register_file import joined
from rtl.registers import Registers
from rtl.spike_output import SpikeOutput
from rtl.spike_recorder import BEAT, BURST, SpikeRecorder
from rtl.spike_router import SpikeRouter

_ROUTER_REGIONS = {
    "blocks": Region.BLOCKS,
    "presence": Region.PRESENCE,
    "rank": Region.RANK,
    "seed": Region.SEED,
    "length": Region.LENGTH,
    "weights": Region.WEIGHT_TABLES,
    "delays": Region.DELAY_TABLES,
    "synapses": Region.SYNAPSES,
}


class NodeCore(wiring.Component):
    """Units of a compute node.

    Ports
    -----
    event : stream of `EVENT`, in
        Spikes and sync messages.
    request, answered, answer
        Configuration space, as `ConfigSpace`.
    spike : stream of the payload of an AER packet, out
    barrier : stream of the payload of a barrier packet, out
    master, host : 24 bits, out
        Mesh coordinates, as set.
    clear : 1 bit, out
        One cycle: sticky errors begin anew.
    error_packet, error_address : 1 bit, in
        Errors of the units outside.
    burst, beat, response
        External memory, as `SpikeRecorder`.

    Latency
        From a sync message to its barrier message `step_cycles(config, n)` cycles without spikes.
    Throughput
        Of its units.
    Backpressure
        Events wait in front; `spike` and `barrier` may wait, as may what goes to
        the memory.
    Reference
        `csnn.simulator.plain.Node`; Heittmann et al. (2022), Figure 3A.
    """

    def __init__(self, config: NodeConfig) -> None:
        self.config = config
        super().__init__(
            {
                "event": In(stream.Signature(EVENT)),
                "request": In(stream.Signature(ACCESS)),
                "answered": Out(1),
                "answer": Out(ANSWER),
                "spike": Out(stream.Signature(payload_layout(Kind.AER))),
                "barrier": Out(stream.Signature(payload_layout(Kind.BARRIER))),
                "master": Out(24),
                "host": Out(24),
                "clear": Out(1),
                "error_packet": In(1),
                "error_address": In(1),
                "burst": Out(stream.Signature(BURST)),
                "beat": Out(stream.Signature(BEAT)),
                "response": In(stream.Signature(2)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Connect the units."""
        m = Module()
        config = self.config
        m.submodules.control = control = Control(config)
        m.submodules.registers = registers = Registers(config)
        m.submodules.router = router = SpikeRouter(config)
        m.submodules.circular_buffer = buffer = CircularBuffer(config)
        m.submodules.external = external = External(config)
        m.submodules.ss_ex = ss_ex = GroupBuffer(config, SUM_BITS)
        m.submodules.ss_in = ss_in = GroupBuffer(config, SUM_BITS)
        m.submodules.es = es = GroupBuffer(config, UNITS_BITS)
        m.submodules.ode = ode = OdeUnit(config)
        m.submodules.output = output = SpikeOutput(config)
        m.submodules.recorder = recorder = SpikeRecorder()

        # Synaptic input: events, router, circular buffer.
        wiring.connect(m, wiring.flipped(self.event), control.event)
        wiring.connect(m, control.source, router.source)
        n_neurons = registers.setting_n_neurons[:9]
        last_group = Signal(config.group_bits)
        m.d.sync += last_group.eq((n_neurons - 1)[:NEURON_BITS] >> config.lane_bits)
        m.d.comb += [
            router.n_neurons.eq(n_neurons),
            router.first_neuron.eq(registers.setting_first_neuron),
            router.node_key.eq(registers.setting_node_key),
            *(
                getattr(buffer, name).eq(getattr(router, name))
                for name in ("valid", "neuron", "delay", "code")
            ),
            buffer.slot.eq(registers.setting_step),
            buffer.take.eq(control.start),
            buffer.last_group.eq(last_group),
            buffer.clear.eq(registers.clear),
            control.router_busy.eq(router.busy | buffer.busy),
        ]

        # External input; the ODE unit follows it, group by group.
        m.d.comb += [
            external.start.eq(control.start),
            external.enabled.eq(control.ext_enabled),
            external.table.eq(control.ext_table),
            external.last_group.eq(last_group),
            external.weight.eq(registers.setting_ext_weight),
            control.loading.eq(buffer.taking | external.drawing),
        ]
        for unit, valid, group, words in (
            (ss_ex, buffer.taken, buffer.group, buffer.input_ex),
            (ss_in, buffer.taken, buffer.group, buffer.input_in),
            (es, external.valid, external.group, external.units),
        ):
            m.d.comb += [
                unit.write.eq(valid),
                unit.write_group.eq(group),
                unit.write_words.eq(words),
                unit.group.eq(ode.group),
            ]
        m.d.comb += [
            # The circular buffer is ahead of EXT: what EXT gives first completes group 0.
            ode.start.eq(external.valid & (external.group == 0)),
            ode.last_group.eq(last_group),
            ode.n_neurons.eq(n_neurons),
            ode.dc.eq(control.dc),
            ode.input_ex.eq(ss_ex.words),
            ode.input_in.eq(ss_in.words),
            ode.external.eq(es.words),
            control.computing.eq(ode.computing),
            output.valid.eq(ode.valid),
            output.group.eq(ode.spiking_group),
            output.spikes.eq(ode.spikes),
        ]

        # Spikes and barrier messages. A spike leaves when it is recorded as well.
        m.d.comb += [
            self.spike.valid.eq(output.source.valid & recorder.record.ready),
            self.spike.payload.source.eq(output.source.payload),
            self.spike.payload.step.eq(registers.setting_step),
            output.source.ready.eq(self.spike.ready & recorder.record.ready),
            recorder.record.valid.eq(output.source.valid & self.spike.ready),
            recorder.record.payload.source.eq(output.source.payload),
            recorder.record.payload.step.eq(registers.setting_step),
            recorder.page.eq(registers.setting_recorder_page),
            recorder.size.eq(registers.setting_recorder_size),
            recorder.flush.eq(control.waiting | control.halted),
            recorder.clear.eq(registers.clear),
            control.sending.eq(output.busy),
            control.sent.eq(self.spike.valid & self.spike.ready),
            control.sent_source.eq(output.source.payload),
            control.node.eq(registers.setting_node),
            control.step.eq(registers.setting_step),
        ]
        wiring.connect(m, control.barrier, wiring.flipped(self.barrier))
        wiring.connect(m, recorder.burst, wiring.flipped(self.burst))
        wiring.connect(m, recorder.beat, wiring.flipped(self.beat))
        wiring.connect(m, wiring.flipped(self.response), recorder.response)

        # Registers.
        halted = Signal()
        # Nothing uses a memory or a setting any more, and every record is written or given up.
        m.d.comb += halted.eq(control.halted & ~control.router_busy & ~recorder.busy)
        status = {
            "halted": halted,
            "waiting": control.waiting,
            "router_idle": ~control.router_busy,
            "saturated": buffer.saturated,
        }
        errors = {
            **{
                name: getattr(control, f"error_{name}")
                for name in ("count", "sum", "sync_step", "spike_step")
            },
            **{name: getattr(self, f"error_{name}") for name in ("packet", "address")},
            "recorder": recorder.error,
        }
        m.d.comb += [
            control.run.eq(registers.run),
            control.failed.eq(registers.failed),
            control.clear.eq(registers.clear),
            registers.next_step.eq(control.next_step),
            registers.halted.eq(halted),
            registers.status.eq(joined(status, STATUS_BITS)),
            registers.errors.eq(joined(errors, ERROR_BITS)),
            registers.recorded.eq(recorder.recorded),
            registers.count_steps.eq(control.next_step),
            registers.count_spikes_sent.eq(control.sent),
            registers.count_spikes_handled.eq(control.source.valid & control.source.ready),
            registers.count_synapses.eq(router.valid),
            registers.count_cycles.eq(~control.halted),
            registers.count_cycles_load.eq(control.loading),
            registers.count_cycles_ode.eq(ode.computing),
            registers.count_cycles_rtr.eq(control.router_busy),
            registers.count_cycles_wait.eq(control.waiting),
            self.master.eq(registers.setting_master),
            self.host.eq(registers.setting_host),
            self.clear.eq(registers.clear),
        ]

        # Configuration space.
        accesses = {
            Region.REGISTERS: registers.access,
            Region.EXT_TABLES: external.tables,
            Region.EXT_STATES: external.states,
            Region.SCHEDULE: control.schedule,
            Region.CONSTANTS: ode.constants,
            Region.STATE: ode.states,
            Region.SOURCE_IDS: output.source_ids,
            Region.DELAY_BUFFER: buffer.access,
            Region.EXTERNAL_INPUT: es.access,
            **{_ROUTER_REGIONS[name]: getattr(router, name) for name in router.tables},
        }
        synaptic = MemoryAccess(NEURON_BITS + 1).flip().create()
        connect_parts(m, synaptic, [ss_ex.access, ss_in.access], NEURON_BITS)
        accesses[Region.SYNAPTIC_INPUT] = synaptic
        widths = {region: len(access.address) for region, access in accesses.items()}
        m.submodules.config_space = space = ConfigSpace(widths)
        wiring.connect(m, wiring.flipped(self.request), space.request)
        m.d.comb += [
            space.halted.eq(halted),
            self.answered.eq(space.answered),
            self.answer.eq(space.answer),
        ]
        for region, access in accesses.items():
            wiring.connect(m, getattr(space, region.name.lower()), access)
        return m
