"""What devices have, for designs that put several nodes into one.

Figures are those of the manufacturers' tables; what a design may use of them is `USABLE`.
"""

from __future__ import annotations

from dataclasses import dataclass

from csnn.spec import checks

# Share of look-up tables and registers that a design can use before it no longer routes, of memory
# and multipliers.
USABLE_LOGIC, USABLE_MEMORY = 0.7, 0.9


@dataclass(frozen=True, kw_only=True)
class Chip:
    """A device.

    Attributes
    ----------
    name : str
    luts, registers, multipliers : int
    block_bits : int
        Of block RAM.
    ultra_bits : int
        Of UltraRAM: memories of 4,096 words of 72 bits.
    hbm_bytes : int
        Of memory in the package.
    hbm_bytes_per_s : float
        Its rate.
    app_mhz : float
        Clock that nodes are assumed to reach.
    basis : str
        What the clock rests on.
    """

    name: str
    luts: int
    registers: int
    multipliers: int
    block_bits: int
    ultra_bits: int = 0
    hbm_bytes: int = 0
    hbm_bytes_per_s: float = 0.0
    app_mhz: float
    basis: str

    def __post_init__(self) -> None:
        for name in ("luts", "registers", "multipliers", "block_bits"):
            checks.integer("chip", name, getattr(self, name), 1, 10**10)
        checks.positive("chip", "app_mhz", self.app_mhz)


_BLOCK_36K, _ULTRA_288K, _BLOCK_18K = 36 * 1024, 288 * 1024, 18 * 1024
CHIPS = {
    chip.name: chip
    for chip in (
        Chip(
            name="xc7z045",
            luts=218_600,
            registers=437_200,
            multipliers=900,
            block_bits=545 * _BLOCK_36K,
            app_mhz=150.0,
            basis="the paper's clock; not measured for this RTL",
        ),
        Chip(
            name="xcvu37p",
            luts=1_303_680,
            registers=2_607_360,
            multipliers=9_024,
            block_bits=2_016 * _BLOCK_36K,
            ultra_bits=960 * _ULTRA_288K,
            hbm_bytes=8 << 30,
            hbm_bytes_per_s=460e9,
            app_mhz=250.0,
            basis="assumed",
        ),
        Chip(
            name="lfe5u-85f",
            luts=83_640,
            registers=83_640,
            multipliers=156,
            block_bits=208 * _BLOCK_18K,
            app_mhz=76.1,
            basis="placed and routed, docs/synthesis.md",
        ),
    )
}
