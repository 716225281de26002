"""Writes docs/rtl.md, its pictures and docs/master.md from the design and its declarations.

`python -m rtl.documentation` writes them; a test compares the files with `documents()`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from csnn.files import atomic_file
from csnn.hardware import latency
from csnn.hardware.config import MICROCIRCUIT, SMALL, NodeConfig
from csnn.hardware.devices import node_memories
from csnn.hardware.memory_map import OFFSET_BITS, WINDOW_ADDRESS_BITS
from csnn.hardware.recorder import BURST_RECORDS, PAGE_BITS, RECORD_BYTES
from rtl import interface_tables
from rtl.block_diagram import block_diagram
from rtl.emit import latencies
from rtl.interface_tables import table
from rtl.mesh import master_documentation
from rtl.timing_diagram import EXAMPLE, NEURONS, timing_diagram, trace

FOLDER = Path("docs")
PAGE, MASTER_PAGE = "rtl.md", "master.md"
BLOCKS, TIMING = "images/rtl_blocks.svg", "images/rtl_timing.svg"


def documents() -> dict[str, str]:
    """Return the text of every file by its path within the folder."""
    return {
        PAGE: page(),
        MASTER_PAGE: master_documentation.page(),
        BLOCKS: block_diagram(MICROCIRCUIT),
        TIMING: timing_diagram(trace()),
    }


def page() -> str:
    """Return the text of docs/rtl.md."""
    parts = (
        *(_node(), _step(), _packets(), _configuration()),
        *(_recorder(), _memories(), _latencies()),
    )
    return "\n".join(parts)


def _node() -> str:
    return f"""# The compute node

Generated from the design by `python -m rtl.documentation`; do not edit.

![Block diagram of a node]({BLOCKS})

Read from the elaborated design of the node of the full-scale microcircuit. A line leaves its unit
sideways and enters another from above or below; the number is the width in bits of the inputs of
the second that depend on the first, without the answers of handshakes. Above the diagonal the data
go on, below it they go back. `config space` loads and reads all memories while the node is
halted; `registers` holds its settings and counters.
"""


def _step() -> str:
    n = NEURONS
    return f"""## A step

![Timing of two steps]({TIMING})

Simulated: {n} neurons in {EXAMPLE.pipelines} pipeline, one cycle per unit, each bar with its
length. The sync message begins the step. The slot of the circular buffer moves to the SS buffers
and is cleared, EXT draws into the ES buffer, and the ODE unit follows it group by group. All
neurons spike in this example; their spikes leave, then the barrier message. The master node sends
the spikes back; the router (RTR) unrolls their rows, and the next sync message waits until it has
finished.

A step without spikes, in which no epoch of the input begins, takes `step_cycles(config, n)` from
sync to barrier message, in all

    {latency.SYNC_TO_START} + {latency.EXTERNAL} + L + {latency.COMPUTED_TO_BARRIER},\
 with L = IL + N_p * II of the ODE unit,

II = 1, and N_p the number of groups, one neuron per pipeline in each. FIFO, decoder and encoder add
{latency.FIFO + latency.PACKET_DECODER + latency.PACKET_ENCODER}.
`tests/unit/rtl/test_step_cycles.py` measures both in two smaller nodes; of the nodes below they
are computed.

{
        table(
            ("node", "neurons", "pipelines", "IL", "N_p", "L", "cycles of a step"),
            [
                (
                    name,
                    config.neurons,
                    config.pipelines,
                    latency.ode_latency(config),
                    latency.neuron_groups(config, config.neurons),
                    latency.ode_cycles(config, config.neurons),
                    latency.step_cycles(config, config.neurons),
                )
                for name, config in _nodes()
            ],
        )
    }
"""


def _nodes() -> tuple[tuple[str, NodeConfig], ...]:
    return (("`MICROCIRCUIT`", MICROCIRCUIT), ("`SMALL`", SMALL))


def _packets() -> str:
    return f"## Packets\n\n{interface_tables.packets(level=3)}"


def _configuration() -> str:
    return f"""## Configuration space

The address of a 32-bit word is region * 2^{OFFSET_BITS} + offset. In the AXI4-Lite window
(`s_axil`, {WINDOW_ADDRESS_BITS} bits of address), which counts bytes, it is four times as much.
Only whole words can be written. An address outside a region's address bits, a memory while the node
runs, and a write of a memory that can only be read are answered with SLVERR, by packet with the
error `address`. What else has no effect is answered like any other request: writing a register that
is read-only or not there, or a setting (all but `control`) while the node runs; words beyond the
depth of a memory, within its address bits, are lost.

{interface_tables.regions()}

What an entry of a table or a block holds is in [image-format.md](image-format.md).

### Registers

{interface_tables.registers()}
{interface_tables.USE}"""


def _recorder() -> str:
    return f"""## Spike recorder

The node writes its own spikes to the memory behind its AXI4 master `m_axi`, which has 64 bits of
data and only writes. A record has {RECORD_BYTES} bytes: the step, then the source, two
little-endian words. The first one is at `recorder_page` * {1 << PAGE_BITS}, the next ones follow,
`recorder_size` at most. A block of {BURST_RECORDS * RECORD_BYTES} bytes, at a multiple of its
length, is written in one burst when it is full; what there is of one at the barrier is written
then, and the rest of it later. So a burst has {BURST_RECORDS} beats or fewer, and none crosses a
boundary of 4 KiB; one is under way at a time.

A spike leaves the node when the recorder has taken it: while the memory is slow, the node waits.
If there is no room for a record, the spikes of the step still leave, without being recorded, and
the node stops with the error `recorder` once the records before are written; if the memory answers
with an error, it stops and nothing more is written. `recorded` counts the records that the memory
has acknowledged. With `recorder_size` = 0 nothing is recorded.
"""


def _memories() -> str:
    rows = [
        (memory.name, memory.count, f"{memory.depth:,}", memory.width, f"{memory.bits:,}")
        for memory in node_memories(MICROCIRCUIT)
    ]
    return f"""## Memories

Of the node of the full-scale microcircuit. What the words mean is in
[image-format.md](image-format.md).

{table(("memory", "number", "words", "bits per word", "bits in all"), rows)}
"""


def _latencies() -> str:
    nodes = _nodes()
    figures = [latencies(config) for _, config in nodes]
    rows = [(name, *(f[name] for f in figures)) for name in figures[0]]
    return f"""## Latencies

In clock cycles, from `csnn/hardware/latency.py` and the units.

{table(("unit", *(name for name, _ in nodes)), rows)}
"""


def main(arguments: Sequence[str]) -> None:
    """Write the files into the given folder, docs if none is given."""
    folder = Path(arguments[0]) if arguments else FOLDER
    for name, text in documents().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(str(folder / name)) as path:
            Path(path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
