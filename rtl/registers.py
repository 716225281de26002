"""Registers of a node: identity, status, settings, sticky errors and counters."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from csnn.hardware.config import NodeConfig
from csnn.hardware.registers import (
    COUNTERS,
    ERROR_BITS,
    INTERFACE_VERSION,
    NODE_ID,
    OFFSETS,
    REGISTERS,
    SETTINGS,
    STATUS_BITS,
)
from rtl.memory_access import MemoryAccess

RUN, CLEAR = 0, 1


class Registers(wiring.Component):
    """What the host reads and sets, word by word.

    Ports
    -----
    access : MemoryAccess
        Readable at any time. Settings other than `control` are writable while halted.
    run : 1 bit, out
        The node computes; any error ends it.
    clear : 1 bit, out
        One cycle: errors and counters begin anew.
    setting_<name> : 32 bits, out
    next_step : 1 bit, in
        A step begins: the register `step` counts it.
    halted : 1 bit, in
    status : in
        Bits of `status`.
    errors : in
        Bits of `errors`, each asserted for a cycle or longer; they stick.
    recorded : 32 bits, in
        Value of the register.
    failed : 1 bit, out
        Some error sticks.
    count_<name> : 1 bit, in
        The counter goes on by one in this cycle.

    Latency
        Settings change in the cycle after the write.
    Throughput
        One word per cycle.
    Backpressure
        None.
    Reference
        `csnn.hardware.registers`.
    """

    def __init__(self, config: NodeConfig) -> None:
        self.config = config
        bits = (len(REGISTERS) - 1).bit_length()
        super().__init__(
            {
                "access": In(MemoryAccess(bits)),
                "run": Out(1),
                "clear": Out(1),
                **{f"setting_{name}": Out(32) for name in SETTINGS if name != "control"},
                "next_step": In(1),
                "halted": In(1),
                "status": In(len(STATUS_BITS)),
                "errors": In(len(ERROR_BITS)),
                "recorded": In(32),
                "failed": Out(1),
                **{f"count_{name}": In(1) for name in COUNTERS},
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Make one register per name and one multiplexer for reading."""
        m = Module()
        config, access = self.config, self.access
        errors = Signal(len(ERROR_BITS))
        values = {
            "id": Const(NODE_ID, 32),
            "version": Const(INTERFACE_VERSION, 32),
            "pipelines": Const(config.pipelines, 32),
            "capacity": Const(config.neurons, 32),
            "slots": Const(config.delay_slots, 32),
            "rows": Const(config.rows, 32),
            "status": self.status,
            "errors": errors,
            "recorded": self.recorded,
            "control": self.run,
        }

        def written(name: str) -> Signal:
            return access.write & (access.address == OFFSETS[name])

        for name in SETTINGS:
            if name == "control":
                continue
            register = getattr(self, f"setting_{name}")
            values[name] = register
            with m.If(written(name) & self.halted):
                m.d.sync += register.eq(access.write_data)
        with m.If(self.next_step):
            m.d.sync += self.setting_step.eq(self.setting_step + 1)
        clear = Signal()
        m.d.comb += [
            clear.eq(written("control") & access.write_data[CLEAR] & self.halted),
            self.clear.eq(clear),
            self.failed.eq(errors.any()),
        ]
        # Units outside keep their errors until they see `clear`.
        m.d.sync += errors.eq(Mux(clear, 0, errors | self.errors))
        with m.If(self.errors.any() & ~clear):
            m.d.sync += self.run.eq(0)
        with m.Elif(written("control")):
            m.d.sync += self.run.eq(access.write_data[RUN] & (clear | ~errors.any()))
        for name in COUNTERS:
            counter = Signal(32, name=f"counter_{name}")
            values[name] = counter
            m.d.sync += counter.eq(Mux(clear, 0, counter + getattr(self, f"count_{name}")))
        m.d.sync += access.read_data.eq(0)
        with m.Switch(access.address):
            for register in REGISTERS:
                with m.Case(OFFSETS[register.name]):
                    m.d.sync += access.read_data.eq(values[register.name])
        return m


def joined(bits: dict[str, Signal], order: tuple) -> Cat:
    """Return named bits in the order of their declaration; all must be there."""
    if set(bits) != {bit.name for bit in order}:
        raise ValueError(f"bits {sorted(bits)} are not those declared")
    return Cat(*(bits[bit.name] for bit in sorted(order, key=lambda bit: bit.position)))
