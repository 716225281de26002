"""Resources that a schedule takes in an XC7: an estimate in place of hours of synthesis.

What is counted is what `rtl.scheduled_pipeline` builds: operators, operations that share nothing,
registers in which values wait, multiplexers, control. Three or more registers in a row, loaded
together and read only at the end, become a shift register of look-up tables (SRL), 32 of them in
one table; fewer stay registers. A multiplexer takes one LUT of six inputs for every three inputs
beyond the first. Tests hold the estimate to what Yosys finds.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from csnn.neurons.graph import LEAVES, Op
from hls_models.library import OURS, Cost, Library
from hls_models.operations import BITS, CLASSES
from hls_models.schedule import Multiplexer, Schedule

_SHORTEST_SHIFT = 3
_SHIFT_BITS = 32
# Look-up tables of an operation that shares nothing; of a selection, per bit.
_OWN_LUTS = {Op.IADD: 32, Op.IZERO: 7, Op.IDEC: 40, Op.AND: 1, Op.NOT: 0, Op.SELECT: 1}


@dataclass(frozen=True)
class CostParts:
    """What each part of a pipeline takes.

    Attributes
    ----------
    operators : Cost
        The shared ones.
    own : Cost
        Operations that have an operator of their own.
    waiting : Cost
        Registers and shift registers for values that wait.
    multiplexers : Cost
    control : Cost
        The cycle modulo II and what is derived of it.
    """

    operators: Cost
    own: Cost
    waiting: Cost
    multiplexers: Cost
    control: Cost

    @property
    def total(self) -> Cost:
        """The sum of all parts, in whole look-up tables and registers."""
        total = Cost()
        for field in fields(self):
            total += getattr(self, field.name)
        return Cost(round(total.luts), round(total.registers), total.dsps, total.blocks)


def cost(schedule: Schedule, library: Library = OURS) -> CostParts:
    """Return the resources of a schedule's pipeline.

    Parameters
    ----------
    schedule : Schedule
        Made for the latencies of the library.
    library : Library
    """
    operators = Cost()
    for name, number in schedule.instances:
        operators += library.sizes[name] * number
    muxes = [m for m in schedule.multiplexers if len(m.sources) > 1]
    return CostParts(
        operators=operators,
        own=_own(schedule),
        waiting=_waiting(schedule),
        multiplexers=Cost(luts=sum(multiplexer_luts(len(m.sources), m.width) for m in muxes)),
        control=_control(schedule, muxes),
    )


def multiplexer_luts(inputs: int, width: int) -> int:
    """Return the look-up tables of a multiplexer."""
    return -(-(inputs - 1) // 3) * width


def _own(schedule: Schedule) -> Cost:
    found = Cost()
    latencies = schedule.operators.latencies()
    for node in schedule.graph.nodes:
        if node.op in LEAVES or node.op in CLASSES:
            continue
        width = BITS[node.kind]
        luts = _OWN_LUTS[node.op] * (width if node.op is Op.SELECT else 1)
        found += Cost(luts, latencies[node.op] * width)
    return found


def _waiting(schedule: Schedule) -> Cost:
    found = Cost()
    latencies = schedule.operators.latencies()
    for position, node in enumerate(schedule.graph.nodes):
        if node.op is Op.CONSTANT:
            continue
        width = BITS[node.kind]
        taps = {schedule.copy(position, cycle) for cycle in schedule.uses[position]}
        # The last register of an operation that shares nothing is loaded with them and so the first
        # of the row. Those of the operators have a set or reset, which no shift register has.
        is_own = node.op not in LEAVES and node.op not in CLASSES and latencies[node.op] > 0
        before = 0
        if taps and 0 not in taps and is_own:
            before = -1
            found += Cost(registers=-width)
        for tap in sorted(taps - {0}):
            length = tap - before
            if length < _SHORTEST_SHIFT:
                found += Cost(registers=length * width)
            else:
                found += Cost(luts=-(-length // _SHIFT_BITS) * width)
            before = tap
    return found


def _control(schedule: Schedule, muxes: list[Multiplexer]) -> Cost:
    """Return registers that tell the cycle, each with a look-up table before it."""
    if schedule.ii == 1:
        return Cost()
    nodes = schedule.graph.nodes
    counter = (schedule.ii - 1).bit_length()
    choices = sum((len(multiplexer.sources) - 1).bit_length() for multiplexer in muxes)
    negations = sum(
        len({nodes[position].op for position in positions}) > 1
        for positions in schedule.work.values()
    )
    loads = {
        schedule.load_phase(position)
        for position, node in enumerate(nodes)
        if schedule.waiting[position] or (node.op not in LEAVES and schedule.is_held(position))
    } | {0}
    number = counter + choices + negations + len(loads)
    return Cost(luts=number + negations, registers=number)
