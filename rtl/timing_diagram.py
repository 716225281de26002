"""Timing diagram of a node's step, from a simulation of its design."""

from __future__ import annotations

import numpy as np
from amaranth.hdl import Fragment
from amaranth.sim import Simulator, SimulatorContext

from csnn.hardware.config import NodeConfig
from csnn.hardware.memory_map import EPOCH_WORD_BITS, OFFSET_BITS, Region
from csnn.hardware.registers import OFFSETS
from csnn.packets import Kind, encode, spike_sum
from rtl.block_diagram import node_units
from rtl.node import Node

# Small, so that single cycles can be seen.
EXAMPLE = NodeConfig(
    pipelines=1, neurons=4, delay_slots=2, rows=4, event_fifo=16, blocks=1, selectors=1
)
NEURONS = 4
_ONE, _NEVER = 0x3F800000, 0xFFFFFFFF
_CELL, _ROW, _LEFT = 11, 26, 170


def trace(config: NodeConfig = EXAMPLE) -> dict[str, list[bool]]:
    """Return when each phase of a node is active, one value per cycle.

    A first step in which every neuron spikes, the spikes as the master node sends them back, and
    the sync message of the next step.
    """
    node = Node(config)
    fragment = Fragment.get(node, None)
    units = node_units(fragment)
    control, buffer, external = units["control"], units["circular_buffer"], units["external"]
    signals = {
        "packet in": node.input.valid,
        "step begins": control.next_step,
        "start": control.start,
        "slot taken, cleared": buffer.taking,
        "EXT drawn": external.drawing,
        "ODE groups": units["ode"].computing,
        "spikes sent": control.sending,
        "packet out": node.output.valid,
        "RTR busy": control.router_busy,
        "waits for sync": control.waiting,
    }
    traces: dict[str, list[bool]] = {name: [] for name in signals}
    sources = np.arange(NEURONS, dtype=np.uint32)
    packets = [encode(Kind.SYNC, count=0, step=0, sum=0)]
    echo = [
        *(encode(Kind.SPIKE, source=int(source), step=1) for source in sources),
        encode(Kind.SYNC, count=NEURONS, step=1, sum=spike_sum(sources, 1)),
    ]

    async def bench(ctx: SimulatorContext) -> None:
        ctx.set(node.output.ready, 1)
        for packet in _settings(config):
            ctx.set(node.input.payload, packet)
            ctx.set(node.input.valid, 1)
            await ctx.tick().until(node.input.ready)
        ctx.set(node.input.valid, 0)
        await ctx.tick().until(control.waiting)
        queue, barriers = list(packets), 0
        while barriers < 2 and len(traces["start"]) < 400:
            ctx.set(node.input.valid, bool(queue))
            if queue:
                ctx.set(node.input.payload, queue[0])
            for name, signal in signals.items():
                traces[name].append(bool(ctx.get(signal)))
            if queue and ctx.get(node.input.ready):
                queue.pop(0)
            if ctx.get(node.output.valid):
                kind = ctx.get(node.output.payload) >> 24 & 0xFF
                if kind == Kind.BARRIER:
                    barriers += 1
                    queue += echo if barriers == 1 else []
            await ctx.tick()

    simulator = Simulator(fragment)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    return traces


def _settings(config: NodeConfig) -> list[int]:
    """Return the packets that load neurons which spike in every step and let them run."""

    def word(region: Region, offset: int, value: int) -> int:
        return encode(Kind.CONFIG, address=region << OFFSET_BITS | offset, data=value)

    model = config.neuron_model
    names = (*model.float_constants, *model.int_constants)
    # At a threshold of zero a neuron at rest spikes; it is not refractory.
    values = [0 if name == "theta" or name in model.int_constants else _ONE for name in names]
    return [
        word(Region.REGISTERS, OFFSETS["n_neurons"], NEURONS),
        *(word(Region.SOURCE_IDS, i, i) for i in range(NEURONS)),
        # One dense block of the sources 0 to 3, a row of two synapses each.
        *(word(Region.BLOCKS, i, value) for i, value in enumerate((0, NEURONS, 0, NEURONS))),
        *(word(Region.LENGTH, i, 2) for i in range(NEURONS)),
        *(word(Region.CONSTANTS, i, value) for i, value in enumerate(values)),
        *(word(Region.SCHEDULE, e << EPOCH_WORD_BITS, _NEVER) for e in range(config.epochs)),
        word(Region.REGISTERS, OFFSETS["control"], 1),
    ]


def timing_diagram(traces: dict[str, list[bool]]) -> str:
    """Return the picture as SVG: a bar wherever a phase is active, with its cycles."""
    cycles = len(next(iter(traces.values())))
    width, height = _LEFT + cycles * _CELL + 20, 50 + _ROW * len(traces)
    bottom = height - 12
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="DejaVu Sans, sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for cycle in range(0, cycles, 10):
        x = _LEFT + cycle * _CELL
        lines += [
            f'<line x1="{x}" y1="26" x2="{x}" y2="{bottom}" stroke="#ddd"/>',
            f'<text x="{x}" y="20" text-anchor="middle" fill="#555">{cycle}</text>',
        ]
    for row, (name, values) in enumerate(traces.items()):
        y = 32 + _ROW * row
        lines.append(f'<text x="{_LEFT - 10}" y="{y + 14}" text-anchor="end">{name}</text>')
        for start, length in _runs(values):
            x = _LEFT + start * _CELL
            lines.append(
                f'<rect x="{x}" y="{y}" width="{length * _CELL}" height="18" fill="#7fa8d0" '
                'stroke="#345"/>'
            )
            if length > 1:
                lines.append(
                    f'<text x="{x + length * _CELL // 2}" y="{y + 13}" text-anchor="middle" '
                    f'font-size="10">{length}</text>'
                )
    return "\n".join([*lines, "</svg>"]) + "\n"


def _runs(values: list[bool]) -> list[tuple[int, int]]:
    """Return first cycle and length of every stretch of true values."""
    edges = np.flatnonzero(np.diff([0, *map(int, values), 0]))
    return [(int(a), int(b - a)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
