"""All binary32 units side by side, so that one build serves every test of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from csnn import binary32, exponential
from rtl.fp.adder import Adder, AdderConfig
from rtl.fp.comparator import Comparator, ComparatorConfig
from rtl.fp.exponential import Exponential, ExponentialConfig
from rtl.fp.from_int import FromInt, FromIntConfig
from rtl.fp.multiplier import Multiplier, MultiplierConfig
from rtl.verilate import Verilated

U32 = npt.NDArray[np.uint32]
Model = Callable[[U32, U32], U32]


def _of_two(operation: Callable[[Any, Any], Any]) -> Model:
    def model(a: U32, b: U32) -> U32:
        result = operation(binary32.from_bits(a), binary32.from_bits(b))
        is_word = result.dtype == np.float32
        return binary32.bits_of(result) if is_word else result.astype(np.uint32)

    return model


def _from_int(a: U32, b: U32) -> U32:
    return binary32.bits_of(binary32.from_int32(a.view(np.int32)))


def _exponential(a: U32, b: U32) -> U32:
    return binary32.bits_of(exponential.exp(binary32.from_bits(a)))


@dataclass(frozen=True)
class Unit:
    """A unit under test: how to make it, its latency, and the model that it must equal."""

    make: Callable[[], wiring.Component]
    latency: int
    model: Model


def _units() -> dict[str, Unit]:
    units = {}
    for latency in (1, 2, 5, 7, 10, 16):
        units[f"add_{latency}"] = Unit(
            lambda n=latency: Adder(AdderConfig(latency=n)), latency, _of_two(binary32.add)
        )
        units[f"sub_{latency}"] = Unit(
            lambda n=latency: Adder(AdderConfig(latency=n, subtract=True)),
            latency,
            _of_two(binary32.sub),
        )
        units[f"mul_quarters_{latency}"] = Unit(
            lambda n=latency: Multiplier(MultiplierConfig(latency=n, quarters=True)),
            latency,
            _of_two(binary32.mul),
        )
        units[f"mul_{latency}"] = Unit(
            lambda n=latency: Multiplier(MultiplierConfig(latency=n)),
            latency,
            _of_two(binary32.mul),
        )
    for latency in (1, 2, 3):
        units[f"ge_{latency}"] = Unit(
            lambda n=latency: Comparator(ComparatorConfig(latency=n)),
            latency,
            _of_two(binary32.greater_equal),
        )
        units[f"lt_{latency}"] = Unit(
            lambda n=latency: Comparator(ComparatorConfig(latency=n, less=True)),
            latency,
            _of_two(binary32.less),
        )
    for latency in (1, 3, 5):
        units[f"itof_{latency}"] = Unit(
            lambda n=latency: FromInt(FromIntConfig(latency=n)), latency, _from_int
        )
    for latency in (1, 5, 13, 16):
        units[f"exp_{latency}"] = Unit(
            lambda n=latency: Exponential(ExponentialConfig(latency=n)), latency, _exponential
        )
    for latency in (1, 14):
        units[f"exp_halves_{latency}"] = Unit(
            lambda n=latency: Exponential(ExponentialConfig(latency=n, halves=True)),
            latency,
            _exponential,
        )
    return units


UNITS = _units()


class Bench(wiring.Component):
    """Every unit, fed with the same two words."""

    def __init__(self) -> None:
        super().__init__({"a": In(32), "b": In(32), **{name: Out(32) for name in UNITS}})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for name, unit in UNITS.items():
            m.submodules[name] = part = unit.make()
            m.d.comb += [part.a.eq(self.a), getattr(self, name).eq(part.result)]
            if "b" in part.signature.members:
                m.d.comb += part.b.eq(self.b)
        return m


def mismatches(bench: Verilated, a: U32, b: U32, names: Any = UNITS) -> dict[str, list[int]]:
    """Run the units on a stream of operands; return where each differs from its model."""
    idle = np.zeros(max(unit.latency for unit in UNITS.values()), dtype=np.uint32)
    found = bench.run({"a": np.concatenate([a, idle]), "b": np.concatenate([b, idle])})
    wrong = {}
    expected: dict[Model, U32] = {}
    for name in names:
        unit = UNITS[name]
        if unit.model not in expected:
            expected[unit.model] = unit.model(a, b)
        got = found[name][unit.latency : unit.latency + len(a)]
        places = np.flatnonzero(got != expected[unit.model])
        if len(places):
            wrong[name] = places.tolist()
    return wrong
