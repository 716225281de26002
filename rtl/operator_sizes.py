"""Measures by Yosys what `hls_models.library.OURS` holds: `python -m rtl.operator_sizes`."""

from __future__ import annotations

from collections.abc import Callable

from amaranth.lib.wiring import Component

from csnn.neurons.operators import Operators
from rtl.fp.adder import Adder, AdderConfig
from rtl.fp.comparator import Comparator, ComparatorConfig
from rtl.fp.exponential import Exponential, ExponentialConfig
from rtl.fp.from_int import FromInt, FromIntConfig
from rtl.fp.multiplier import Multiplier, MultiplierConfig
from rtl.synthesis import synthesise


def units(operators: Operators) -> dict[str, Callable[[], Component]]:
    """Return the operator of each class of `hls_models.operations.CLASSES`."""
    quarters = operators.narrow_multipliers
    return {
        "fadd": lambda: Adder(AdderConfig(latency=operators.fadd)),
        "fmul": lambda: Multiplier(MultiplierConfig(latency=operators.fmul, quarters=quarters)),
        "fexp": lambda: Exponential(ExponentialConfig(latency=operators.fexp)),
        "fge": lambda: Comparator(ComparatorConfig(latency=operators.compare)),
        "flt": lambda: Comparator(ComparatorConfig(latency=operators.compare, less=True)),
        "itof": lambda: FromInt(FromIntConfig(latency=operators.itof)),
    }


def main() -> None:
    """Print the sizes as they stand in the library."""
    for name, make in units(Operators()).items():
        found = synthesise(make(), "xc7")
        figures = [found.luts, found.registers, found.dsps, found.blocks]
        while figures[-1] == 0:
            figures.pop()
        print(f'"{name}": Cost({", ".join(f"{figure:g}" for figure in figures)}),', flush=True)


if __name__ == "__main__":
    main()
