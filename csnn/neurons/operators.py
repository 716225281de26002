"""Configuration of the arithmetic operators: the one source of their latencies."""

from __future__ import annotations

from dataclasses import dataclass, fields

from csnn.neurons.graph import Op
from csnn.spec import checks


@dataclass(frozen=True, kw_only=True)
class Operators:
    """Latencies in clock cycles; every operator accepts new operands in each cycle.

    Attributes
    ----------
    fadd, fmul : int
        Binary32 adder (also subtraction) and multiplier.
    fexp : int
        Binary32 exponential.
    compare : int
        Binary32 comparison: integer order of the words with the sign and zero cases, registered.
    itof : int
        int32 to binary32: magnitude, normalisation, rounding; one cycle each.
    select, integer : int
        Selection; i32 addition, decrement and test for zero. Their results are registered, so that
        no chain of them grows into a long combinational path, however deep a model nests them.
    logic : int
        Bool and/not. They add an input to the LUT of the selection they control, no level: no
        register.
    narrow_multipliers : bool
        Whether the device multiplies 18 by 18 bits (ECP5) rather than 25 by 18 (Xilinx).
    clock_enable : bool
        Whether the registers of the pipelines rest while no neuron is under way. It takes a net to
        every one of them, which is what limits the clock of an ECP5.
    """

    fadd: int = 7
    fmul: int = 5
    fexp: int = 13
    compare: int = 1
    itof: int = 3
    select: int = 1
    integer: int = 1
    logic: int = 0
    narrow_multipliers: bool = False
    clock_enable: bool = True

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in ("narrow_multipliers", "clock_enable"):
                checks.boolean("operators", field.name, value)
            else:
                checks.integer("operators", field.name, value, 0, 64)

    def latencies(self) -> dict[Op, int]:
        """Return the latency in cycles of each operation of a graph."""
        return {
            Op.FADD: self.fadd,
            Op.FSUB: self.fadd,
            Op.FMUL: self.fmul,
            Op.FEXP: self.fexp,
            Op.FGE: self.compare,
            Op.FLT: self.compare,
            Op.ITOF: self.itof,
            Op.IADD: self.integer,
            Op.IZERO: self.integer,
            Op.IDEC: self.integer,
            Op.AND: self.logic,
            Op.NOT: self.logic,
            Op.SELECT: self.select,
        }


# With these a pipeline closes at 150 MHz on an ECP5 of speed grade 8, by the better placements.
ECP5_OPERATORS = Operators(
    fadd=10, fmul=8, fexp=14, itof=5, narrow_multipliers=True, clock_enable=False
)
