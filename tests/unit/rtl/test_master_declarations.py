"""What is declared of the master node: sizes, registers, addresses."""

from __future__ import annotations

import pytest

from csnn.errors import InvalidInputError
from csnn.hardware.master_config import MasterConfig
from csnn.hardware.master_map import (
    MasterRegion,
    bitmap_address,
    bitmap_words,
    master_register_address,
)
from csnn.hardware.master_registers import (
    MASTER_CONTROL_BITS,
    MASTER_ERROR_BITS,
    MASTER_REGISTERS,
    MASTER_STATUS_BITS,
)
from rtl.mesh.master_node import MasterNode
from rtl.verilog import to_verilog


@pytest.mark.parametrize("name", ["nodes", "fifo", "answers"])
@pytest.mark.parametrize("value", [0, 1, 3, 500, 1 << 17, -2, 2.0, True])
def test_sizes_that_are_refused(name: str, value: object) -> None:
    with pytest.raises(InvalidInputError, match=f"master.{name}"):
        MasterConfig(**{name: value})


@pytest.mark.parametrize(("nodes", "words"), [(2, 1), (32, 1), (64, 2), (512, 16), (65536, 2048)])
def test_every_size_can_be_made(nodes: int, words: int) -> None:
    config = MasterConfig(nodes=nodes)
    assert bitmap_words(config) == words
    assert "module top" in to_verilog(MasterNode(config))


def test_names_and_places_are_unique() -> None:
    names = [register.name for register in MASTER_REGISTERS]
    assert len(set(names)) == len(names)
    for bits in (MASTER_CONTROL_BITS, MASTER_STATUS_BITS, MASTER_ERROR_BITS):
        assert [bit.position for bit in bits] == [*range(len(bits))]
        assert len({bit.name for bit in bits}) == len(bits)


def test_addresses() -> None:
    assert master_register_address("id") == 0
    assert bitmap_address(MasterRegion.ACTIVE, 0) == 1 << 20
    assert bitmap_address(MasterRegion.MISSING, 511) == 2 << 20 | 15
    assert all(region.offsets for region in MasterRegion)
