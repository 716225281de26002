"""Tables of packets, configuration space and registers, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable

from csnn.hardware.memory_map import OFFSET_BITS, Region
from csnn.hardware.registers import CONTROL_BITS, ERROR_BITS, REGISTERS, STATUS_BITS
from csnn.markdown import table as table
from csnn.packets import PACKET_BITS, PAYLOAD_BITS, PAYLOAD_FIELDS, TARGET_BITS, TARGET_FIELDS
from csnn.packets import Field as PacketField

# What a host must know beside the tables.
USE = """### Rules for a host

- Any bit of `errors` stops the node. What is under way ends, no barrier message follows, spikes and
  sync messages are dropped from then on, and `control.run` is ignored until `control.clear`.
- A request that is refused gets an answer like any other, whose data mean nothing. Refused by
  packet, it also sets `errors.address`, which stops a node that runs. So while the node runs,
  packets must ask for registers only; AXI4-Lite answers SLVERR and sets no bit.
- `control.run` = 0 halts the node when it waits at the barrier, within a broadcast if one is going
  on. A spike or sync message that arrives at a halted node waits in the input FIFO, and with it the
  requests by packet behind it, `control.run` = 1 among them. So halt a node by packet only while
  none can arrive; AXI4-Lite does not go through the FIFO.
- Counters have 32 bits and begin anew at 2^32: `cycles` after 28.6 s at 150 MHz.
- `n_neurons` must be from 1 to `capacity`; the node does not check it.
"""


def packets(level: int) -> str:
    """Return the fields of the target specifier and of each kind of packet, under headings."""

    def rows(fields: Iterable[PacketField]) -> list[tuple[str, str, str]]:
        return [(f"{f.low + f.width - 1}:{f.low}", f"`{f.name}`", f.meaning) for f in fields]

    header, mark = ("bits", "field", "meaning"), "#" * level
    sections = [
        f"{mark} {kind.name} ({kind.value})\n\n{table(header, rows(fields))}\n"
        for kind, fields in PAYLOAD_FIELDS.items()
    ]
    parts = f"a target specifier of {TARGET_BITS} bits and a payload of {PAYLOAD_BITS}"
    return f"""{PACKET_BITS} bits: {parts}.

{mark} Target specifier

{table(header, rows(TARGET_FIELDS))}

{chr(10).join(sections)}"""


def regions(present: Iterable[Region] = tuple(Region)) -> str:
    """Return numbers and first addresses of regions."""
    return table(
        ("region", "name", "first address", "offset of a word"),
        [(r.value, f"`{r.name.lower()}`", f"0x{r << OFFSET_BITS:07x}", r.offsets) for r in present],
    )


def registers() -> str:
    """Return the registers, and the bits of those that have some."""
    groups = {"control": CONTROL_BITS, "status": STATUS_BITS, "errors": ERROR_BITS}
    whole = table(
        ("offset", "register", "access", "meaning"),
        [
            (offset, f"`{r.name}`", "rw" if r.is_writable else "r", r.meaning)
            for offset, r in enumerate(REGISTERS)
        ],
    )
    bits = table(
        ("register", "bit", "name", "meaning"),
        [
            (f"`{name}`", bit.position, f"`{bit.name}`", bit.meaning)
            for name, group in groups.items()
            for bit in group
        ],
    )
    return f"{whole}\n\n{bits}\n"
