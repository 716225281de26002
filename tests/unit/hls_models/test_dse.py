"""Exploration: equation 5 of the paper, limits, and the front of what none excels."""

from __future__ import annotations

import pytest

from csnn.errors import InvalidInputError
from csnn.neurons.composition import Step
from csnn.neurons.graph import Op
from csnn.neurons.lif import LIF
from csnn.neurons.models.adex import Adex
from csnn.neurons.models.lif import Lif
from csnn.neurons.operators import Operators
from csnn.neurons.synapses import Synapses
from hls_models.cost import cost
from hls_models.dse import PAPER_LIMITS, Design, Exploration, Limits, explore, pareto
from hls_models.library import OURS, VENDOR, Cost
from hls_models.schedule import schedule

ADEX = Step(Adex(), Synapses(kernel="exp", coupling="coba"), "rk4").graph
EXPLORED = explore(ADEX, intervals=(1, 2, 4, 8, 16))


def test_limits_of_the_paper_are_shares_of_its_device() -> None:
    assert round(0.1696 * 218_600, -2) == round(PAPER_LIMITS.luts, -2)
    assert PAPER_LIMITS.dsps == round(0.5822 * 900)


def test_blocks_are_limited_by_what_runs_out_first() -> None:
    limits = Limits(luts=1000, dsps=10)
    assert limits.blocks(Cost(luts=300, dsps=2)) == 3
    assert limits.blocks(Cost(luts=100, dsps=4)) == 2
    assert limits.blocks(Cost(luts=100)) == 10
    assert limits.blocks(Cost(luts=1001, dsps=1)) == 0


def test_cycles_are_those_of_the_paper() -> None:
    design = Design(ii=3, latency=50, blocks=5, block=Cost(10, 10, 1), instances=())
    # ceil(256 / 5) = 52 neurons per block.
    assert design.cycles(256) == 50 + 52 * 3
    assert design.cycles(1) == 53
    assert design.total == Cost(50, 50, 5)


@pytest.mark.parametrize("neurons", [32, 256])
def test_the_best_is_the_least_of_all_designs(neurons: int) -> None:
    """By trying every II with every number of blocks that fits."""
    times = {}
    for ii in (1, 2, 4, 8, 16):
        planned = schedule(ADEX, Operators(), ii=ii)
        block = cost(planned).total
        blocks = 1
        while blocks * block.luts <= 37_073 and blocks * block.dsps <= 524:
            times[ii, blocks] = planned.latency + -(-neurons // blocks) * ii
            blocks += 1
    best = EXPLORED.best(neurons)
    assert best.cycles(neurons) == times[best.ii, best.blocks] == min(times.values())
    assert best.total.luts <= PAPER_LIMITS.luts
    assert best.total.dsps <= PAPER_LIMITS.dsps


def test_what_does_not_fit_is_refused_with_its_size() -> None:
    (ii, reason), *others = EXPLORED.refused
    assert ii == 1
    assert others == []
    block = cost(schedule(ADEX)).total
    operators = ADEX.operator_counts()
    dsps = 2 * operators[Op.FMUL] + 3 * operators[Op.FEXP]
    assert reason == (
        f"II = 1: a block takes {block.luts} look-up tables of 37073 and {dsps} multipliers of 524"
    )
    narrow = explore(ADEX, limits=Limits(luts=100, dsps=524), intervals=(8,))
    with pytest.raises(InvalidInputError, match="no design fits: II = 8: a block takes"):
        narrow.best(32)


def test_a_large_model_fits_only_with_shared_operators() -> None:
    graph = Step(Lif(), Synapses(kernel="beta", coupling="coba"), "ps6").graph
    found = explore(graph, library=VENDOR, intervals=(1, 3))
    assert [ii for ii, _ in found.refused] == [1]
    assert [design.ii for design in found.largest] == [3]


def test_lif_is_fastest_without_sharing() -> None:
    """As the paper has it for all its models."""
    found = explore(LIF.graph, intervals=range(1, 9))
    for neurons in (32, 256):
        assert found.best(neurons).ii == 1


@pytest.mark.parametrize("neurons", [32, 256])
def test_front_holds_what_none_excels(neurons: int) -> None:
    designs = EXPLORED.all_designs(neurons)

    def figures(design: Design) -> tuple[float, ...]:
        return design.cycles(neurons), design.total.luts, design.total.dsps

    def is_excelled(design: Design) -> bool:
        mine = figures(design)
        return any(
            all(a <= b for a, b in zip(figures(other), mine, strict=True))
            and figures(other) != mine
            for other in designs
        )

    front = EXPLORED.pareto(neurons)
    assert {figures(design) for design in front} == {
        figures(design) for design in designs if not is_excelled(design)
    }
    assert len(front) > 3
    assert front[0].cycles(neurons) == EXPLORED.best(neurons).cycles(neurons)
    assert [d.cycles(neurons) for d in front] == sorted(d.cycles(neurons) for d in front)


def test_a_block_too_many_is_not_on_the_front() -> None:
    block = Cost(100, 100, 1)
    designs = [
        Design(ii=1, latency=10, blocks=blocks, block=block, instances=()) for blocks in (4, 5, 8)
    ]
    # With 8 neurons five blocks are as fast as four.
    assert [design.blocks for design in pareto(designs, 8)] == [8, 4]
    found = Exploration(largest=(designs[-1],), refused=(), limits=Limits(luts=800, dsps=8))
    assert [design.blocks for design in found.all_designs(8)] == [1, 2, 3, 4, 8]


def test_figures_do_not_depend_on_the_order_of_intervals() -> None:
    assert explore(LIF.graph, library=OURS, intervals=(4, 2, 2)) == explore(
        LIF.graph, intervals=(2, 4)
    )
