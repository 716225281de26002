"""The CRC of frames is that of `csnn.hardware.frames`, which is the CRC-32C of everybody else."""

from __future__ import annotations

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.crc.catalog import CRC32_ISCSI
from amaranth.lib.wiring import In, Out

from csnn.hardware.frames import CRC_BITS, FRAME_FIELDS, crc
from rtl.mesh.frame_crc import FrameCrc
from rtl.mesh.frame_layout import BODY_BITS, body_layout
from rtl.verilate import Verilated, to_words

# A sum of exclusive-ors is told by what it makes of nothing and of each single bit.
BASIS = [0, *(1 << place for place in range(BODY_BITS))]


class Registered(wiring.Component):
    """With a register, for simulations have a clock."""

    def __init__(self) -> None:
        super().__init__({"body": In(BODY_BITS), "crc": Out(CRC_BITS)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.inner = inner = FrameCrc()
        m.d.comb += inner.body.eq(self.body)
        m.d.sync += self.crc.eq(inner.crc)
        return m


def found(bench: Verilated, bodies: list[int]) -> list[int]:
    cycles = len(bodies) + 1
    inputs = {"body": to_words([*bodies, 0], BODY_BITS), "rst": np.zeros(cycles, np.uint64)}
    return [int(value) for value in bench.run(inputs)["crc"][1:]]


@pytest.fixture(scope="module")
def bodies() -> list[int]:
    rng = np.random.default_rng(5)
    return [*BASIS, *(int.from_bytes(rng.bytes(BODY_BITS // 8), "little") for _ in range(200))]


def test_is_the_crc_of_frames(bodies: list[int]) -> None:
    assert found(Verilated(Registered()), bodies) == [crc(body) for body in bodies]


def test_a_planted_fault_is_found(bodies: list[int]) -> None:
    bench = Verilated(Registered(), change=lambda text: text.replace("body[100]", "body[101]", 1))
    assert found(bench, bodies) != [crc(body) for body in bodies]


def test_is_crc_32c(bodies: list[int]) -> None:
    standard = CRC32_ISCSI(8)
    for body in bodies:
        assert crc(body) == standard.compute(body.to_bytes(BODY_BITS // 8, "little"))


def test_layout_is_that_of_frames() -> None:
    layout = body_layout()
    assert layout.size == BODY_BITS
    for field in FRAME_FIELDS[:-1]:
        assert (layout[field.name].offset, layout[field.name].width) == (field.low, field.width)
