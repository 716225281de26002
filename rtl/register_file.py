"""Registers that a host reads and sets: settings, sticky errors, counters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from csnn.hardware.registers import Bit, Register
from rtl.memory_access import MemoryAccess

RUN, CLEAR = 0, 1
_OWN = ("status", "errors", "control")


class RegisterFile(wiring.Component):
    """What the host reads and sets, word by word.

    Parameters
    ----------
    registers : sequence of Register
        In the order of their addresses, `status`, `errors`, `control` and `step` among them.
    counters : sequence of str
        Those that count.
    status, errors : sequence of Bit
    fixed : mapping of str to int
        Registers that are constants. Others that the host cannot write are inputs.

    Ports
    -----
    access : MemoryAccess
        Readable at any time. Settings other than `control` are writable while halted.
    run : 1 bit, out
        The unit works; any error ends it.
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
    <name> : 32 bits, in
        Value of a register that is none of these.
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

    def __init__(
        self,
        registers: Sequence[Register],
        *,
        counters: Sequence[str],
        status: Sequence[Bit],
        errors: Sequence[Bit],
        fixed: Mapping[str, int],
    ) -> None:
        self._registers, self._counters, self._fixed = registers, counters, fixed
        self._settings = [r.name for r in registers if r.is_writable and r.name not in _OWN]
        known = {*_OWN, *counters, *fixed, *self._settings}
        self._inputs = [r.name for r in registers if r.name not in known]
        super().__init__(
            {
                "access": In(MemoryAccess((len(registers) - 1).bit_length())),
                "run": Out(1),
                "clear": Out(1),
                **{f"setting_{name}": Out(32) for name in self._settings},
                "next_step": In(1),
                "halted": In(1),
                "status": In(len(status)),
                "errors": In(len(errors)),
                **{name: In(32) for name in self._inputs},
                "failed": Out(1),
                **{f"count_{name}": In(1) for name in counters},
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Make one register per name and one multiplexer for reading."""
        m = Module()
        access = self.access
        offsets = {register.name: place for place, register in enumerate(self._registers)}
        errors = Signal(len(self.errors))
        values = {
            **{name: Const(value, 32) for name, value in self._fixed.items()},
            "status": self.status,
            "errors": errors,
            **{name: getattr(self, name) for name in self._inputs},
            "control": self.run,
        }

        def written(name: str) -> Signal:
            return access.write & (access.address == offsets[name])

        for name in self._settings:
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
        for name in self._counters:
            counter = Signal(32, name=f"counter_{name}")
            values[name] = counter
            m.d.sync += counter.eq(Mux(clear, 0, counter + getattr(self, f"count_{name}")))
        m.d.sync += access.read_data.eq(0)
        with m.Switch(access.address):
            for name, offset in offsets.items():
                with m.Case(offset):
                    m.d.sync += access.read_data.eq(values[name])
        return m


def joined(bits: Mapping[str, Signal], order: Sequence[Bit]) -> Cat:
    """Return named bits in the order of their declaration; all must be there."""
    if set(bits) != {bit.name for bit in order}:
        raise ValueError(f"bits {sorted(bits)} are not those declared")
    return Cat(*(bits[bit.name] for bit in sorted(order, key=lambda bit: bit.position)))
