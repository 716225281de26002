"""Ports of any width and nesting pass through Verilator unchanged."""

from __future__ import annotations

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from rtl.verilate import Verilated, from_words, to_words

WIDTHS = (1, 31, 32, 33, 63, 64, 65, 96, 97, 128, 130)


class Registers(wiring.Component):
    """A register per width, in nested ports; invert is an ordinary one."""

    def __init__(self) -> None:
        ports = {
            "input": In(wiring.Signature({f"w{w}": Out(stream.Signature(w)) for w in WIDTHS})),
            "output": Out(wiring.Signature({f"w{w}": Out(w) for w in WIDTHS})),
            "lanes": In(wiring.Signature({"value": Out(8)})).array(2),
            "invert": In(1),
            "sum": Out(9),
        }
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.sum.eq(self.lanes[0].value + self.lanes[1].value)
        for w in WIDTHS:
            source, target = getattr(self.input, f"w{w}"), getattr(self.output, f"w{w}")
            m.d.comb += source.ready.eq(~target[0])
            with m.If(source.valid):
                m.d.sync += target.eq(source.payload ^ self.invert.replicate(w))
        return m


@pytest.fixture(scope="module")
def registers() -> Verilated:
    return Verilated(Registers())


def integers(rng: np.random.Generator, width: int, n: int) -> list[int]:
    return [int.from_bytes(rng.bytes(17), "little") & (1 << width) - 1 for _ in range(n)]


def column(values: list[int], width: int) -> np.ndarray:
    return to_words(values, width) if width > 64 else np.array(values, np.uint64)


def test_every_bit_arrives(registers: Verilated) -> None:
    rng = np.random.default_rng(1)
    n = 300
    valid, invert, reset = (rng.random(n) < share for share in (0.5, 0.5, 0.05))
    reset[0] = True
    words = {w: integers(rng, w, n) for w in WIDTHS}
    first, second = rng.integers(0, 256, (2, n))
    inputs = {"lanes__0__value": first, "lanes__1__value": second, "invert": invert, "rst": reset}
    for w in WIDTHS:
        inputs |= {f"input__w{w}__payload": column(words[w], w), f"input__w{w}__valid": valid}
    found = registers.run(inputs)
    assert np.array_equal(found["sum"], first + second)
    for w in WIDTHS:
        mask = (1 << w) - 1
        held, expected = 0, []
        for t in range(n):
            expected.append(held)
            if valid[t]:
                held = words[w][t] ^ (mask if invert[t] else 0)
            if reset[t]:
                held = 0
        assert np.array_equal(found[f"output__w{w}"][1:], column(expected, w)[1:]), w
        ready = np.array([~value & 1 for value in expected])
        assert np.array_equal(found[f"input__w{w}__ready"][1:], ready[1:])


def test_without_reset_nothing_is_lost(registers: Verilated) -> None:
    one = {name: np.zeros(registers._shape(name, 2), np.uint64) for name in registers.inputs}
    one.pop("rst")
    one["input__w96__payload"] = to_words([5 << 90, 0], 96)
    one["input__w96__valid"] = np.array([1, 0])
    assert from_words(registers.run(one)["output__w96"])[1] == 5 << 90


def test_a_column_of_the_wrong_shape_is_refused(registers: Verilated) -> None:
    wrong = {name: np.zeros(registers._shape(name, 2), np.uint64) for name in registers.inputs}
    wrong["input__w96__payload"] = np.zeros(2, np.uint64)
    with pytest.raises(ValueError, match=r"^input__w96__payload has shape \(2,\)"):
        registers.run(wrong)


@pytest.mark.parametrize("width", [65, 96, 128])
def test_words_and_integers(width: int) -> None:
    values = [0, 1, 1 << 64, (1 << width) - 1]
    words = to_words(values, width)
    assert words.shape == (4, 2)
    assert from_words(words) == values
    assert words[2].tolist() == [0, 1]
