"""All components with a bench side by side, so that one build serves all benches."""

from __future__ import annotations

from collections.abc import Mapping

from amaranth.hdl import Module, ResetInserter, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import Component, In, Out
from bench import Bench, ports


def port_name(bench: str, port: str) -> str:
    """Return the name of a component's port at the top."""
    return f"{bench}__{port}"


class Top(wiring.Component):
    """Every component with ports, and a reset, of its own."""

    def __init__(self, benches: Mapping[str, Bench]) -> None:
        self.parts: dict[str, Component] = {name: bench.make() for name, bench in benches.items()}
        members = {}
        for name, part in self.parts.items():
            inputs, outputs = ports(part)
            members[port_name(name, "rst")] = In(1)
            members |= {port_name(name, port): In(width) for port, width in inputs.items()}
            members |= {port_name(name, port): Out(width) for port, width in outputs.items()}
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for name, part in self.parts.items():
            m.submodules[name] = ResetInserter(getattr(self, port_name(name, "rst")))(part)
            for path, member, value in part.signature.flatten(part):
                port = getattr(self, port_name(name, "__".join(str(step) for step in path)))
                inner = Value.cast(value)
                m.d.comb += inner.eq(port) if member.flow is In else port.eq(inner)
        return m
