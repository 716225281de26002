"""All neuron models explored: the best blocks of each, and what they do to a machine's speed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from csnn.neurons.lif import LIF
from csnn.neurons.registry import MODELS, Combination, combinations, parse
from hls_models.dse import INTERVALS, PAPER_LIMITS, SIZES, Design, Exploration, Limits, explore
from hls_models.library import LIBRARIES, OURS

# Cycles of a step, of which the ODE unit is a part, and clock: Heittmann et al. (2022), Figure 6D.
PAPER_STEP_CYCLES, PAPER_CLOCK_MHZ = 3695.0, 150.0
# What the speed of all is compared with; the paper's machine has it.
REFERENCE = Combination(neuron="lif", kernel="exp", coupling="cuba", solver="exact")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A model by operators of one make.

    Attributes
    ----------
    combination : Combination
    library : str
    best : tuple of (int, Design)
        For each number of neurons of a node, the fastest design.
    fronts : tuple of (int, tuple of Design)
        For each the designs that none excels in time, look-up tables and multipliers.
    refusal : str
        Why no design fits; empty if one does.
    """

    combination: Combination
    library: str
    best: tuple[tuple[int, Design], ...]
    fronts: tuple[tuple[int, tuple[Design, ...]], ...]
    refusal: str

    def cycles(self, neurons: int) -> int:
        """Return T_N of the fastest design."""
        return dict(self.best)[neurons].cycles(neurons)


def legal_models(names: Sequence[str] = ()) -> list[Combination]:
    """Return the combinations that there are, or those of the names after the reference.

    Names are those of legal models, or `lif`.
    """
    if not names:
        return [c for c in combinations() if c.refusal() is None]
    parsed = (parse(name) for name in names if name != LIF.name)
    return list(dict.fromkeys([REFERENCE, *(c for c in parsed if c is not None)]))


def survey(
    models: Sequence[Combination],
    *,
    libraries: Sequence[str] = (OURS.name,),
    limits: Limits = PAPER_LIMITS,
    intervals: Sequence[int] = INTERVALS,
    sizes: Sequence[int] = SIZES,
    processes: int = 1,
) -> Iterator[Entry]:
    """Explore models one by one, in order.

    Parameters
    ----------
    models : sequence of Combination
        Legal ones.
    libraries : sequence of str
        Keys of `hls_models.library.LIBRARIES`.
    limits : Limits
    intervals : sequence of int
        II that are tried.
    sizes : sequence of int
        Numbers of neurons of a node.
    processes : int
        The result does not depend on it.
    """
    jobs = [
        (model, library, limits, tuple(intervals), tuple(sizes))
        for model in models
        for library in libraries
    ]
    if processes == 1:
        yield from map(_explored, jobs)
        return
    with ProcessPoolExecutor(processes) as pool:
        yield from pool.map(_explored, jobs)


def _explored(job: tuple[Combination, str, Limits, tuple[int, ...], tuple[int, ...]]) -> Entry:
    model, library, limits, intervals, sizes = job
    graph = MODELS[model.name].graph
    found = explore(graph, library=LIBRARIES[library], limits=limits, intervals=intervals)
    best = tuple((size, found.best(size)) for size in sizes) if found.largest else ()
    fronts = tuple((size, found.pareto(size)) for size in sizes)
    return Entry(
        combination=model, library=library, best=best, fronts=fronts, refusal=_refusal(found)
    )


def _refusal(found: Exploration) -> str:
    return "" if found.largest else found.refused[-1][1]


@dataclass(frozen=True, kw_only=True)
class Projection:
    """What a model does to the speed of a machine.

    Attributes
    ----------
    step_us : float
        Mean time of a step.
    speed_up : float
        Model time over wall time.
    loss : float
        Part of the speed with the reference model that is lost; negative where it is faster.
    """

    step_us: float
    speed_up: float
    loss: float


def paper_step_us(extra_cycles: float) -> float:
    """Return the paper's mean step if the ODE unit takes so many cycles more than with LIF.

    The unit is in the critical path, as the paper assumes for its own projection.
    """
    return (PAPER_STEP_CYCLES + extra_cycles) / PAPER_CLOCK_MHZ


def projected(
    entries: Iterable[Entry],
    step_us: Callable[[float], float] = paper_step_us,
    *,
    neurons: int = 256,
    dt_ms: float = 0.1,
) -> dict[tuple[str, str], Projection]:
    """Return what each model does to the speed, by names of model and library.

    Parameters
    ----------
    entries : iterable of Entry
        Among them those of `REFERENCE`.
    step_us : callable
        Mean time of a step in us, by the cycles that the ODE unit takes more than with `REFERENCE`
        by operators of the same make.
    neurons : int
        Neurons of a node.
    dt_ms : float
        Model time of a step.

    Raises
    ------
    ValueError
        If the reference is missing.
    """
    entries = [entry for entry in entries if entry.best]
    base = {e.library: e.cycles(neurons) for e in entries if e.combination == REFERENCE}
    found = {}
    for entry in entries:
        if entry.library not in base:
            raise ValueError(f"{REFERENCE.name} by {entry.library} is missing")
        unchanged = step_us(0.0)
        taken = step_us(float(entry.cycles(neurons) - base[entry.library]))
        found[entry.combination.name, entry.library] = Projection(
            step_us=taken, speed_up=1e3 * dt_ms / taken, loss=1.0 - unchanged / taken
        )
    return found
