"""Verilog text: modules that are equal are there once, others stay apart."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import numpy as np
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.fp.adder import Adder, AdderConfig
from rtl.verilate import Verilated
from rtl.verilog import merge_units, to_verilog


class Lanes(wiring.Component):
    """The same operands in adders side by side."""

    def __init__(self, *configs: AdderConfig) -> None:
        self.configs = configs
        results = {f"result_{place}": Out(32) for place in range(len(configs))}
        super().__init__({"a": In(32), "b": In(32), **results})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for place, config in enumerate(self.configs):
            m.submodules[f"adder_{place}"] = adder = Adder(config)
            m.d.comb += [
                adder.a.eq(self.a),
                adder.b.eq(self.b),
                getattr(self, f"result_{place}").eq(adder.result),
            ]
        return m


def modules(text: str) -> list[str]:
    return re.findall(r"^module (\\\S+|\w+)", text, re.MULTILINE)


PLUS, MINUS = AdderConfig(latency=2), AdderConfig(latency=2, subtract=True)


def test_equal_modules_are_shared() -> None:
    once = modules(to_verilog(Lanes(PLUS, MINUS)))
    assert modules(to_verilog(Lanes(PLUS, MINUS, PLUS, PLUS))) == once
    assert len(set(once)) == len(once) > 2


def test_shared_modules_compute_the_same() -> None:
    bench = Verilated(Lanes(PLUS, MINUS, PLUS))
    cycles = 9
    a, b = (np.full(cycles, np.float32(x).view(np.uint32), np.uint64) for x in (1.5, 0.25))
    found = bench.run({"a": a, "b": b, "rst": np.zeros(cycles, np.uint64)}, {})
    last = [found[f"result_{place}"][-1] for place in range(3)]
    assert last == [np.float32(x).view(np.uint32) for x in (1.75, 1.25, 1.75)]


def test_text_is_the_same_in_every_process() -> None:
    """Of a component with two clocks, too, whatever the hashes of strings are."""
    program = (
        "from rtl.mesh.crossing import Crossing\n"
        "from rtl.verilog import merge_units, to_verilog\n"
        "print(to_verilog(Crossing('comm', 'sync')))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={
                **os.environ,
                "PYTHONHASHSEED": str(seed),
                "PYTHONPATH": os.pathsep.join(sys.path),
            },
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in range(1, 5)
    }
    assert len(texts) == 1
    assert "comm_clk" in texts.pop()


class Exchanged(wiring.Component):
    """Adders of which some take the operands the other way round."""

    def __init__(self) -> None:
        super().__init__({"a": In(32), "b": In(32), "c": In(32), "result": Out(32)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.first = first = Adder(PLUS)
        m.submodules.second = second = Adder(PLUS)
        m.submodules.third = third = Adder(MINUS)
        m.d.comb += [
            *(second.b.eq(first.result), second.a.eq(self.c), third.b.eq(self.a)),
            *(first.a.eq(self.a), first.b.eq(self.b), third.a.eq(second.result)),
            self.result.eq(third.result),
        ]
        return m


def test_each_unit_is_compiled_once_and_by_itself() -> None:
    text = to_verilog(Exchanged())
    merged = merge_units(text)
    assert len(modules(merged)) == 3
    assert merged.count("no_inline_module") == 2
    # In whatever order the text lists the ports of a unit.
    name = modules(merged)[1]
    header = re.search(rf"^module {re.escape(name)} \((.*)\);", text, re.MULTILINE)
    assert header is not None
    ports = ", ".join(reversed(header.group(1).split(", ")))
    assert merge_units(text.replace(header.group(0), f"module {name} ({ports});")) == merged
    cycles = 12
    words = [np.full(cycles, np.float32(x).view(np.uint32), np.uint64) for x in (1.5, 0.25, 8.0)]
    bench = Verilated(Exchanged(), change=merge_units)
    found = bench.run(dict(zip("abc", words, strict=True)))
    assert found["result"][-1] == np.float32(8.25).view(np.uint32)


def test_units_that_differ_stay_apart() -> None:
    text = to_verilog(Lanes(PLUS, MINUS))
    assert len(modules(merge_units(text))) == len(modules(text)) == 3
