"""Pipelines whose equal binary32 units are elaborated once: the same hardware, sooner."""

from __future__ import annotations

import re

from amaranth.hdl import ClockSignal, Instance, Module, ResetSignal
from amaranth.lib import wiring
from amaranth.lib.wiring import Component, In

from csnn.neurons.graph import Op
from csnn.neurons.operators import Operators
from rtl.neuron_pipeline import operator_unit
from rtl.verilog import merge_units, to_verilog

_HEAD = re.compile(r"\A/\*.*?\*/\s*", re.DOTALL)


class _Box(wiring.Component):
    """Stands for a unit that is a module of its own."""

    def __init__(self, name: str, unit: Component, controls: tuple[str, ...]) -> None:
        self._name, self._controls = name, controls
        super().__init__(unit.signature)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        signals = {"clk": ClockSignal(), "rst": ResetSignal()}
        ports = {f"i_{name}": signals[name] for name in self._controls}
        for name, member in self.signature.members.items():
            ports[f"{'i' if member.flow is In else 'o'}_{name}"] = getattr(self, name)
        m.submodules.unit = Instance(self._name, **ports)
        return m


class SharedUnits:
    """Makes the units of a pipeline, each kind of them once."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[object, ...], tuple[str, Component, tuple[str, ...]]] = {}
        self._texts: list[str] = []

    def __call__(self, op: Op, latency: int, operators: Operators) -> Component | None:
        """Return what stands for the unit of an operation, None if it has none."""
        kind = op, latency, operators.narrow_multipliers
        if kind not in self._kinds:
            unit = operator_unit(op, latency, operators)
            if unit is None:
                return None
            name = f"unit.{op}.{latency}.{len(self._kinds)}"
            text = _HEAD.sub("", to_verilog(unit, name))
            controls = tuple(c for c in ("clk", "rst") if re.search(rf"^  input {c};", text, re.M))
            self._kinds[kind] = name, unit, controls
            self._texts.append(text)
        return _Box(*self._kinds[kind])

    def verilog(self, pipeline: Component) -> str:
        """Return a pipeline that is made of them as Verilog that compiles fast."""
        return merge_units("\n".join([to_verilog(pipeline), *self._texts]))
