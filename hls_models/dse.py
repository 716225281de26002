"""Design-space exploration: initiation interval II and number B of blocks side by side.

A block of IL and II advances N_p neurons in IL + N_p II cycles. B blocks share the N neurons of a
node, N_p = ceil(N / B), and B is limited by whichever resource runs out first: B = min over R of
floor(M_R / M_II,R). What is minimised is T_N = IL + ceil(N / B) II.

References
----------
Heittmann et al. (2022), section "CsNNs Microarchitecture and Logic Design", equation 5, and
"Performance for Alternative Neuron Models and Ordinary Differential Equation Solvers", whose limits
are `PAPER_LIMITS`: 17 % of the look-up tables and 58.22 % of the multipliers of an XC7Z045.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from csnn.errors import InvalidInputError
from csnn.neurons.graph import Graph
from hls_models.cost import cost
from hls_models.library import OURS, Cost, Library
from hls_models.schedule import Schedule, schedule

SIZES = (32, 256)
INTERVALS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 48, 64)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the blocks of a node may take together.

    Attributes
    ----------
    luts, dsps : int
        M_LUT and M_DSP.
    """

    luts: int
    dsps: int

    def blocks(self, block: Cost) -> int:
        """Return B: how many blocks fit in."""
        fitting = [
            int(have // need)
            for have, need in ((self.luts, block.luts), (self.dsps, block.dsps))
            if need > 0
        ]
        return min(fitting, default=0)


PAPER_LIMITS = Limits(luts=37_073, dsps=524)


@dataclass(frozen=True, kw_only=True)
class Design:
    """Blocks of one schedule side by side.

    Attributes
    ----------
    ii, latency : int
        II and IL of a block, in cycles.
    blocks : int
        B.
    block : Cost
        Resources of one block.
    instances : tuple of (str, int)
        Operators of one block, by class.
    """

    ii: int
    latency: int
    blocks: int
    block: Cost
    instances: tuple[tuple[str, int], ...]

    @property
    def total(self) -> Cost:
        """Resources of all blocks."""
        return self.block * self.blocks

    def cycles(self, neurons: int) -> int:
        """Return T_N: the cycles in which the blocks advance `neurons` neurons by a step."""
        return self.latency + -(-neurons // self.blocks) * self.ii


@dataclass(frozen=True, kw_only=True)
class Exploration:
    """The designs of a model that fit.

    Attributes
    ----------
    largest : tuple of Design
        For each II the design with the most blocks, II ascending.
    refused : tuple of (int, str)
        II that do not fit, and why.
    limits : Limits
    """

    largest: tuple[Design, ...]
    refused: tuple[tuple[int, str], ...]
    limits: Limits

    def best(self, neurons: int) -> Design:
        """Return the design with the least T_N, of these the one with the fewest look-up tables.

        Raises
        ------
        InvalidInputError
            If none fits.
        """
        if not self.largest:
            _, reason = self.refused[-1]
            raise InvalidInputError(f"no design fits: {reason}")
        designs = self.all_designs(neurons)
        return min(designs, key=lambda design: (design.cycles(neurons), _order(design)))

    def all_designs(self, neurons: int) -> list[Design]:
        """Return all designs in which no block could be left out without loss of time."""
        return [
            _with_blocks(design, blocks)
            for design in self.largest
            for blocks in _useful_blocks(design.blocks, neurons)
        ]

    def pareto(self, neurons: int) -> tuple[Design, ...]:
        """Return the designs that none excels in T_N, look-up tables and multipliers at once.

        Fastest first.
        """
        return pareto(self.all_designs(neurons), neurons)


def explore(
    graph: Graph,
    *,
    library: Library = OURS,
    limits: Limits = PAPER_LIMITS,
    intervals: Iterable[int] = INTERVALS,
) -> Exploration:
    """Explore the designs of a model.

    Parameters
    ----------
    graph : Graph
        One step of the model.
    library : Library
        Operators: their latencies and sizes.
    limits : Limits
    intervals : iterable of int
        II that are tried.

    Returns
    -------
    Exploration
    """
    largest, refused = [], []
    for ii in sorted(set(intervals)):
        planned = schedule(graph, library.operators, ii=ii)
        design = design_of(planned, library, limits)
        if design.blocks:
            largest.append(design)
        else:
            need = design.block
            refused.append(
                (
                    ii,
                    f"II = {ii}: a block takes {need.luts:.0f} look-up tables of {limits.luts} and "
                    f"{need.dsps} multipliers of {limits.dsps}",
                )
            )
    return Exploration(largest=tuple(largest), refused=tuple(refused), limits=limits)


def design_of(planned: Schedule, library: Library, limits: Limits) -> Design:
    """Return the design with as many blocks of a schedule as fit; none if not one does."""
    block = cost(planned, library).total
    return Design(
        ii=planned.ii,
        latency=planned.latency,
        blocks=limits.blocks(block),
        block=block,
        instances=planned.instances,
    )


def pareto(designs: Sequence[Design], neurons: int) -> tuple[Design, ...]:
    """Return the designs that none excels in T_N, look-up tables and multipliers, fastest first."""
    found: list[Design] = []
    for design in sorted(designs, key=lambda d: (d.cycles(neurons), _order(d))):
        time, total = design.cycles(neurons), design.total
        if not any(
            other.cycles(neurons) <= time
            and other.total.luts <= total.luts
            and other.total.dsps <= total.dsps
            for other in found
        ):
            found.append(design)
    return tuple(found)


def _order(design: Design) -> tuple[float, int, int]:
    return design.total.luts, design.total.dsps, design.ii


def _with_blocks(design: Design, blocks: int) -> Design:
    return Design(
        ii=design.ii,
        latency=design.latency,
        blocks=blocks,
        block=design.block,
        instances=design.instances,
    )


def _useful_blocks(most: int, neurons: int) -> list[int]:
    """Return the numbers of blocks up to `most` that are the least for their neurons per block."""
    return sorted({-(-neurons // -(-neurons // blocks)) for blocks in range(1, most + 1)})
