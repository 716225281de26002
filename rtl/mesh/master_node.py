"""Master node: makes one machine of all nodes."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from csnn.hardware.master_config import MasterConfig
from csnn.hardware.master_map import MasterRegion
from csnn.hardware.master_registers import MASTER_ERROR_BITS, MASTER_STATUS_BITS
from csnn.packets import PACKET_BITS, Kind
from rtl.config_space import ConfigSpace
from rtl.fifo import PacketFifo, PacketFifoConfig
from rtl.mesh.answer_queue import AnswerQueue
from rtl.mesh.broadcast_encoder import BroadcastEncoder
from rtl.mesh.master_control import ERRORS, MasterControl
from rtl.mesh.master_registers import MasterRegisters
from rtl.mesh.step_timer import StepTimer
from rtl.packet_decoder import PacketDecoder
from rtl.packet_layout import AXES, TARGET
from rtl.register_file import joined


class MasterNode(wiring.Component):
    """Broadcasts the spikes of all nodes, awaits their barriers, begins the steps.

    Ports
    -----
    input : stream of packets, in
        Spikes and barrier messages of the nodes (AER, BARRIER), requests of the host (CONFIG,
        MONITOR).
    output : stream of packets, out
        Answers to the host (MONITOR).
    broadcast : stream of packets, out
        Spikes and sync messages to all nodes (SPIKE, SYNC).
    here_x, here_y, here_z : 8 bits, in
        Own coordinates, constant.

    Latency
        `csnn.hardware.mesh_latency`: MASTER_REBROADCAST from a spike to its broadcast, MASTER_SYNC
        from the last barrier to the sync message; requests under way may add to either.
    Throughput
        One packet per cycle in and out.
    Backpressure
        The input FIFO takes packets while it has room. A spike waits for `broadcast`. A request
        to read waits for `output` if `config.answers` answers do, and with it all behind it: a
        host must not have more requests under way.
    Reference
        Heittmann et al. (2022), "Node synchronization", Figure 5.
    """

    def __init__(self, config: MasterConfig) -> None:
        self.config = config
        packets = stream.Signature(PACKET_BITS)
        super().__init__(
            {
                "input": In(packets),
                "output": Out(packets),
                "broadcast": Out(packets),
                **{f"here_{axis}": In(TARGET[axis].shape) for axis in AXES},
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Input FIFO, decoder, control, encoder; timer, registers and answers beside them."""
        m = Module()
        config = self.config
        m.submodules.fifo = fifo = PacketFifo(PacketFifoConfig(depth=config.fifo))
        m.submodules.decoder = decoder = PacketDecoder(Kind.AER, Kind.BARRIER)
        m.submodules.control = control = MasterControl(config)
        m.submodules.encoder = encoder = BroadcastEncoder()
        m.submodules.timer = timer = StepTimer()
        m.submodules.registers = registers = MasterRegisters(config)
        m.submodules.answers = answers = AnswerQueue(config.answers)
        wiring.connect(m, wiring.flipped(self.input), fifo.input)
        wiring.connect(m, fifo.output, decoder.input)
        wiring.connect(m, decoder.event, control.event)
        wiring.connect(m, decoder.config, answers.access)
        wiring.connect(m, control.spike, encoder.spike)
        wiring.connect(m, control.sync, encoder.sync)
        wiring.connect(m, encoder.output, wiring.flipped(self.broadcast))
        wiring.connect(m, answers.output, wiring.flipped(self.output))
        m.d.comb += [
            *(getattr(encoder, f"here_{axis}").eq(getattr(self, f"here_{axis}")) for axis in AXES),
            decoder.clear.eq(registers.clear),
            timer.begins.eq(control.next_step),
            timer.ends.eq(control.ends),
            timer.clear.eq(registers.clear),
            timer.limit.eq(registers.setting_timeout),
            control.expired.eq(timer.expired),
            control.run.eq(registers.run),
            control.failed.eq(registers.failed),
            control.clear.eq(registers.clear),
            control.step.eq(registers.setting_step),
            control.stop_step.eq(registers.setting_stop_step),
            answers.host.eq(registers.setting_host),
        ]
        status = {
            "halted": control.halted,
            "failed": registers.failed,
            "collecting": control.collecting,
        }
        errors = {
            **{name: getattr(control, f"error_{name}") for name in ERRORS},
            "packet": decoder.error,
            "address": answers.refused,
        }
        m.d.comb += [
            registers.next_step.eq(control.next_step),
            registers.halted.eq(control.halted),
            registers.status.eq(joined(status, MASTER_STATUS_BITS)),
            registers.errors.eq(joined(errors, MASTER_ERROR_BITS)),
            *(
                getattr(registers, name).eq(getattr(control, name))
                for name in ("missing", "count", "sum", "barrier_count", "barrier_sum")
            ),
            *(
                getattr(registers, f"{name}_step_cycles").eq(getattr(timer, name))
                for name in ("last", "longest", "shortest")
            ),
            registers.count_steps.eq(control.next_step),
            registers.count_spikes.eq(control.sent),
            registers.count_dropped.eq(control.dropped),
            registers.count_cycles.eq(~control.halted),
            registers.count_cycles_wait.eq(control.waiting),
            registers.count_cycles_stalled.eq(self.broadcast.valid & ~self.broadcast.ready),
        ]
        self._configuration(m, control, registers, answers)
        return m

    def _configuration(
        self, m: Module, control: MasterControl, registers: MasterRegisters, answers: AnswerQueue
    ) -> None:
        """Connect what the host can reach."""
        accesses = {
            MasterRegion.REGISTERS: registers.access,
            MasterRegion.ACTIVE: control.active,
            MasterRegion.MISSING: control.missing_words,
        }
        m.submodules.config_space = space = ConfigSpace(
            {region: len(access.address) for region, access in accesses.items()},
            read_only=(MasterRegion.MISSING,),
            any_time=(MasterRegion.REGISTERS, MasterRegion.MISSING),
        )
        wiring.connect(m, answers.request, space.request)
        m.d.comb += [
            space.halted.eq(control.halted),
            answers.answered.eq(space.answered),
            answers.answer.eq(space.answer),
        ]
        for region, access in accesses.items():
            wiring.connect(m, getattr(space, region.name.lower()), access)
