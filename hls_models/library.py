"""Sizes and latencies of operators: ours, and those of the vendor's floating-point cores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from csnn.neurons.operators import Operators


@dataclass(frozen=True)
class Cost:
    """Resources of a device: look-up tables, registers, multipliers and blocks of 36 kbit."""

    luts: float = 0.0
    registers: float = 0.0
    dsps: int = 0
    blocks: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.luts + other.luts,
            self.registers + other.registers,
            self.dsps + other.dsps,
            self.blocks + other.blocks,
        )

    def __mul__(self, number: int) -> Cost:
        return Cost(
            self.luts * number,
            self.registers * number,
            self.dsps * number,
            self.blocks * number,
        )


@dataclass(frozen=True, kw_only=True)
class Library:
    """Operators of one make.

    Attributes
    ----------
    name : str
    source : str
        Where the sizes are from.
    operators : Operators
        The latencies that belong to them.
    sizes : mapping of str to Cost
        By class of `hls_models.operations.CLASSES`.
    """

    name: str
    source: str
    operators: Operators
    sizes: Mapping[str, Cost]


OURS = Library(
    name="ours",
    source="Yosys 0.70, synth_xilinx -family xc7, by `python -m rtl.operator_sizes`",
    operators=Operators(),
    sizes={
        "fadd": Cost(401, 287),
        "fmul": Cost(138, 146, 2),
        "fexp": Cost(454, 360, 3, 0.5),
        "fge": Cost(69, 1),
        "flt": Cost(69, 1),
        "itof": Cost(174, 102),
    },
)
VENDOR = Library(
    name="vendor",
    source=(
        "estimates of Vivado HLS for the cores that it instantiates, at 100 MHz. XC7Z020: adder "
        "(2016.2; github.com/ChenxiQ/ECE5775_Final_Project, "
        "dut_calc_angle_float_float_s_csynth.rpt, fadd and faddfsub of 5 stages, full DSP), "
        "multiplier (there, 4 stages, maximal DSP), int to float (2019.2.1; "
        "github.com/SteveZhugl/ECE6775FinalProjectTB, softmax_128_s_csynth.rpt, sitofp; "
        "its 6 stages are the usual ones of that clock). "
        "Exponential: of a Zynq UltraScale+ (2022.2; github.com/jichengzh/fpt_LLM, "
        "activation_accelerator_csynth.rpt, 8 stages, full DSP); none was found for a 7-series "
        "device. Comparison: no published size was found (the reports give none, or zeros), so "
        "that it is ours"
    ),
    operators=Operators(fadd=4, fmul=3, fexp=7, itof=5),
    sizes={
        "fadd": Cost(390, 205, 2),
        "fmul": Cost(321, 143, 3),
        "fexp": Cost(905, 324, 7),
        "fge": Cost(69, 1),
        "flt": Cost(69, 1),
        "itof": Cost(554, 340),
    },
)
LIBRARIES = {library.name: library for library in (OURS, VENDOR)}
