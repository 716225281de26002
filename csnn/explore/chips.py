"""What devices have, for designs that put several nodes into one.

Figures of logic and memory are those of the manufacturers' tables; what a design may use of them is
`USABLE_LOGIC` and `USABLE_MEMORY`. Clocks, links and memory outside are assumptions with a basis.
"""

from __future__ import annotations

from dataclasses import dataclass

from csnn.hardware.devices import DEVICES, Device
from csnn.spec import checks

# Shares that a design can use before it no longer routes.
USABLE_LOGIC, USABLE_MEMORY = 0.7, 0.9
# Memory of 4,096 words of 72 bits.
ULTRA_WORDS, ULTRA_BITS = 4096, 72


@dataclass(frozen=True, kw_only=True)
class Chip:
    """A device, and what lies beside it.

    Attributes
    ----------
    device : Device
        Logic, multipliers and block RAM.
    ultra : int
        UltraRAMs.
    links : int
        Links to other devices.
    link_gbps : float
        Their rate.
    link_basis : str
        What number and rate rest on.
    outside : str
        Memory outside the device's fabric.
    outside_bytes : int
    outside_bytes_per_s : float
    outside_ns : float
        Latency of a read.
    controller_luts : int
        Look-up tables of the controller of that memory; 0 if it is hard.
    app_mhz, comm_mhz : float
        Clocks of nodes and of routers.
    basis : str
        What the clocks rest on.
    """

    device: Device
    ultra: int
    links: int
    link_gbps: float
    link_basis: str
    outside: str
    outside_bytes: int
    outside_bytes_per_s: float
    outside_ns: float
    controller_luts: int
    app_mhz: float
    comm_mhz: float
    basis: str

    def __post_init__(self) -> None:
        for name in ("ultra", "outside_bytes", "controller_luts"):
            checks.integer("chip", name, getattr(self, name), 0, 10**12)
        checks.integer("chip", "links", self.links, 1, 1024)
        for name in ("link_gbps", "outside_bytes_per_s", "outside_ns", "app_mhz", "comm_mhz"):
            checks.positive("chip", name, getattr(self, name))

    @property
    def name(self) -> str:
        """Name of the device."""
        return self.device.name


_SHAPES = DEVICES["xc7z045"].shapes
_VIRTEX = Device("xcvu37p", "xcup", "xcvu37p", 1_303_680, 2_607_360, 9_024, 2_016, _SHAPES)
_VERSAL = Device("xcvh1582", "versal", "xcvh1582", 1_753_984, 3_507_968, 7_392, 2_541, _SHAPES)
CHIPS = {
    chip.name: chip
    for chip in (
        Chip(
            device=DEVICES["xc7z045"],
            ultra=0,
            links=16,
            link_gbps=4.0,
            link_basis="transceivers of the device, the rate of this project's links",
            outside="DDR3",
            outside_bytes=1 << 30,
            outside_bytes_per_s=4e9,
            outside_ns=250.0,
            controller_luts=0,
            app_mhz=150.0,
            comm_mhz=100.0,
            basis="the paper's clocks; not measured for this RTL",
        ),
        Chip(
            device=DEVICES["lfe5u-85f"],
            ultra=0,
            links=6,
            link_gbps=3.2,
            link_basis="4 LVDS pairs of 800 Mb/s each way, assumed: the device has no transceivers",
            outside="DDR3",
            outside_bytes=1 << 28,
            outside_bytes_per_s=1e9,
            outside_ns=250.0,
            controller_luts=3000,
            app_mhz=76.0,
            comm_mhz=76.0,
            basis="nodes of this RTL, placed and routed; routers were not",
        ),
        Chip(
            device=_VIRTEX,
            ultra=960,
            links=32,
            link_gbps=25.0,
            link_basis="transceivers of the device, assumed",
            outside="HBM",
            outside_bytes=8 << 30,
            outside_bytes_per_s=460e9,
            outside_ns=250.0,
            controller_luts=0,
            app_mhz=250.0,
            comm_mhz=250.0,
            basis="assumed",
        ),
        Chip(
            device=_VERSAL,
            ultra=1_301,
            links=32,
            link_gbps=25.0,
            link_basis="transceivers of the device, assumed",
            outside="HBM",
            outside_bytes=32 << 30,
            outside_bytes_per_s=819e9,
            outside_ns=250.0,
            controller_luts=0,
            app_mhz=300.0,
            comm_mhz=300.0,
            basis="assumed",
        ),
    )
}
