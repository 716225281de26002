"""What devices have, figure by figure."""

from __future__ import annotations

from csnn.explore.chips import CHIPS, ULTRA_BITS, ULTRA_WORDS, USABLE_LOGIC, USABLE_MEMORY

LOGIC = {
    # Look-up tables, registers, block RAMs, multipliers, UltraRAMs.
    "xc7z045": (218_600, 437_200, 545, 900, 0),
    "lfe5u-85f": (83_640, 83_640, 208, 156, 0),
    "xcvu37p": (1_303_680, 2_607_360, 2_016, 9_024, 960),
    "xcvh1582": (1_753_984, 3_507_968, 2_541, 7_392, 1_301),
}
AROUND = {
    # Clocks of nodes and routers; links, their rate; memory, bytes, bytes/s, ns; its controller.
    "xc7z045": (150, 100, 16, 4.0, "DDR3", 1 << 30, 4e9, 250, 0),
    "lfe5u-85f": (76, 76, 6, 3.2, "DDR3", 1 << 28, 1e9, 250, 3000),
    "xcvu37p": (250, 250, 32, 25.0, "HBM", 8 << 30, 460e9, 250, 0),
    "xcvh1582": (300, 300, 32, 25.0, "HBM", 32 << 30, 819e9, 250, 0),
}


def test_logic_and_memory_of_devices() -> None:
    assert {
        name: (
            chip.device.luts,
            chip.device.registers,
            chip.device.blocks,
            chip.device.dsps,
            chip.ultra,
        )
        for name, chip in CHIPS.items()
    } == LOGIC


def test_clocks_links_and_memory_outside() -> None:
    assert {
        name: (
            chip.app_mhz,
            chip.comm_mhz,
            chip.links,
            chip.link_gbps,
            chip.outside,
            chip.outside_bytes,
            chip.outside_bytes_per_s,
            chip.outside_ns,
            chip.controller_luts,
        )
        for name, chip in CHIPS.items()
    } == AROUND


def test_shares_that_may_be_used() -> None:
    assert (USABLE_LOGIC, USABLE_MEMORY) == (0.7, 0.9)
    assert (ULTRA_WORDS, ULTRA_BITS) == (4096, 72)
