"""All neuron models explored: the best blocks of each, and what they do to a machine's speed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np

from csnn.neurons.lif import LIF
from csnn.neurons.registry import MODELS, Combination, combinations, parse
from hls_models.dse import INTERVALS, PAPER_LIMITS, SIZES, Design, Exploration, Limits, explore
from hls_models.library import LIBRARIES, OURS

# Cycles of a step, of which the ODE unit is a part, and clock: Heittmann et al. (2022), Figure 6D.
PAPER_STEP_CYCLES, PAPER_CLOCK_MHZ, PAPER_DT_MS = 3695.0, 150.0, 0.1
# How the time of a step is accounted for.
ACCOUNTS = ("paper", "model")
# What the paper says that no model costs more than.
CLAIMED_LOSS = 0.07
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


@dataclass(frozen=True, kw_only=True)
class Speeds:
    """What all models do to the speed of a machine, by one account of its step.

    Attributes
    ----------
    account : {"paper", "model"}
        The paper's mean step, or the performance model.
    rests_on : str
    of : mapping
        Projections by names of model and library.
    """

    account: str
    rests_on: str
    of: Mapping[tuple[str, str], Projection]

    def by(self, library: str) -> dict[str, Projection]:
        """Return the projections with operators of one make, by name of the model."""
        return {model: found for (model, own), found in self.of.items() if own == library}


def paper_step_us(extra_cycles: float) -> float:
    """Return the paper's mean step if the ODE unit takes so many cycles more than with LIF.

    The unit is in the critical path, as the paper assumes for its own projection.
    """
    return (PAPER_STEP_CYCLES + extra_cycles) / PAPER_CLOCK_MHZ


def extra_cycles(entries: Iterable[Entry], neurons: int = 256) -> dict[tuple[str, str], int]:
    """Return the cycles by which T_N exceeds that of `REFERENCE` by operators of the same make.

    By names of model and library, of the models of which a design fits.

    Raises
    ------
    ValueError
        If the reference is missing.
    """
    fitting = [entry for entry in entries if entry.best]
    base = {e.library: e.cycles(neurons) for e in fitting if e.combination == REFERENCE}
    for entry in fitting:
        if entry.library not in base:
            raise ValueError(f"{REFERENCE.name} by {entry.library} is missing")
    return {(e.combination.name, e.library): e.cycles(neurons) - base[e.library] for e in fitting}


def modelled_lengths(extras: Iterable[int], most: int = 5) -> list[int]:
    """Return the lengths of the ODE unit that are modelled for those that models need.

    All of them, if they are few; else the least, the largest, none, and as many between such that
    equally many lengths lie from one to the next.

    Parameters
    ----------
    extras : iterable of int
        Cycles by which the unit is longer than with the reference.
    most : int
        How many are modelled, at least 3.
    """
    needed = sorted({0, *extras})
    if len(needed) <= most:
        return needed
    apart = most if 0 in (needed[0], needed[-1]) else most - 1
    places = np.linspace(0, len(needed) - 1, apart).round().astype(int)
    return sorted({0, *(needed[place] for place in places)})


def interpolated(lengths: Sequence[int], steps_us: Sequence[float]) -> Callable[[float], float]:
    """Return the time of a step by length of the ODE unit, linear from each to the next.

    Parameters
    ----------
    lengths : sequence of int
        Ascending.
    steps_us : sequence of float
        Time of a step with each.

    Raises
    ------
    ValueError
        By the function that is returned, for a length outside.
    """

    def step_us(extra: float) -> float:
        if not lengths[0] <= extra <= lengths[-1]:
            raise ValueError(f"{extra:g} cycles lie outside of {lengths[0]} to {lengths[-1]}")
        return float(np.interp(extra, lengths, steps_us))

    return step_us


def projected(
    entries: Iterable[Entry],
    step_us: Callable[[float], float] = paper_step_us,
    *,
    neurons: int = 256,
    dt_ms: float = PAPER_DT_MS,
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
    unchanged = step_us(0.0)
    found = {}
    for model, extra in extra_cycles(entries, neurons).items():
        taken = step_us(float(extra))
        found[model] = Projection(
            step_us=taken, speed_up=1e3 * dt_ms / taken, loss=1.0 - unchanged / taken
        )
    return found
