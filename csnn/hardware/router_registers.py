"""Registers of a router: declared once for RTL, host and documentation.

They are read by packets addressed to the router's place, whatever else stands there.
"""

from __future__ import annotations

from csnn.hardware.mesh import Direction, RouterConfig
from csnn.hardware.registers import Register

ROUTER_ID = int.from_bytes(b"CSNR", "big")
INTERFACE_VERSION = 1
# Above the regions of nodes and of the master node.
ROUTER_REGION = 128

_WORDS = (
    Register("id", False, 'the bytes "CSNR", most significant first'),
    Register("version", False, "version of this interface, 1"),
    Register("place", False, "mesh coordinates X, Y, Z, 8 bits each from bit 0"),
    Register("links", False, "one bit per direction: there is a link"),
    Register("failed", False, "one bit per direction: no answer came to what was sent; sticky"),
    Register("silent", False, "one bit per direction: no sound frame came any more; sticky"),
    Register("overflow", False, "one bit per direction: a packet came without room; sticky"),
    Register("errors", False, "see the bits of the router's `errors`; sticky"),
)
ERRORS = {
    "unicast": "a unicast packet had no way to go, and was dropped",
    "broadcast": "a broadcast packet came on a link that is not its own, and was dropped",
    "no_unit": "a packet was addressed to a place where only a router is, and was dropped",
}
COUNTERS = {
    "sent": "packets put into a frame for the first time",
    "resent": "frames with a packet sent again",
    "bad": "frames that came with a wrong CRC",
}
_FIRST_COUNTER = 16
OFFSETS = {register.name: offset for offset, register in enumerate(_WORDS)}


def router_registers(config: RouterConfig) -> dict[int, Register]:
    """Return the registers of a router by their offset in the region."""
    found = dict(enumerate(_WORDS))
    for direction in config.directions:
        for name, meaning in COUNTERS.items():
            register = Register(f"{direction.name}_{name}", False, meaning)
            found[counter_offset(config, direction, name)] = register
    return found


def counter_offset(config: RouterConfig, direction: Direction, counter: str) -> int:
    """Return the offset of a link's counter."""
    return _FIRST_COUNTER + 4 * config.directions.index(direction) + tuple(COUNTERS).index(counter)
