"""Spikes of populations over consecutive steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from csnn.errors import reject
from csnn.spikes.times import F64, U32, step_times_ms
from csnn.validation.statistics import Window


@dataclass(frozen=True, kw_only=True)
class SpikePopulation:
    """A population's name and its neurons: `first` and the `size - 1` after it, network-wide."""

    name: str
    first: int
    size: int


def numbered(populations: Sequence[tuple[str, int]]) -> tuple[SpikePopulation, ...]:
    """Return all populations of a network, given as (name, size) in its order."""
    found, first = [], 0
    for name, size in populations:
        found.append(SpikePopulation(name=name, first=first, size=size))
        first += size
    return tuple(found)


@dataclass(frozen=True, kw_only=True, eq=False)
class Spikes:
    """All spikes of some populations in a window of steps.

    Attributes
    ----------
    step, source : ndarray of uint32, shape (spikes,)
        Step (from 1, warm-up counted) and neuron (from 0, network-wide), ascending in both, the
        step first.
    populations : tuple of SpikePopulation
        Whose spikes these are, silent ones included, ascending in `first`.
    window : Window
        The steps that were recorded.

    Raises
    ------
    InvalidInputError
        If the arrays do not match, spikes are out of order, out of the window or of no population,
        or populations overlap.
    """

    step: U32
    source: U32
    populations: tuple[SpikePopulation, ...]
    window: Window

    def __post_init__(self) -> None:
        for field in ("step", "source"):
            values = getattr(self, field)
            if values.dtype != np.uint32 or values.shape != (len(self.step),):
                found = f"{values.dtype} {values.shape}"
                raise reject(f"spikes.{field}", found, f"must be uint32 ({len(self.step)},)")
        end = 0
        for population in self.populations:
            if population.first < end or population.size < 1:
                rule = "must hold neurons after those of the populations before it"
                raise reject(f"population {population.name}", population.first, rule)
            end = population.first + population.size
        if len({p.name for p in self.populations}) < len(self.populations):
            names = [p.name for p in self.populations]
            raise reject("spikes.populations", names, "must have different names")
        self._check_spikes()

    def _check_spikes(self) -> None:
        first, last = self.window.first_step, self.last_step
        outside = (self.step < first) | (self.step > last)
        if outside.any():
            rule = f"must be from {first} to {last}, the recorded steps"
            raise reject("spikes.step", int(self.step[outside][0]), rule)
        order = self.step.astype(np.uint64) << np.uint64(32) | self.source
        wrong = order[1:] <= order[:-1]
        if wrong.any():
            at = int(np.argmax(wrong)) + 1
            rule = "must ascend in step and source, no spike twice"
            raise reject(f"spikes.step: spike {at + 1}", int(self.step[at]), rule)
        homeless = np.ones(len(self.source), bool)
        for population in self.populations:
            homeless &= ~self._belongs(population)
        if homeless.any():
            rule = "must be a neuron of one of the populations"
            raise reject("spikes.source", int(self.source[homeless][0]), rule)

    def __len__(self) -> int:
        return len(self.step)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Spikes):
            return NotImplemented
        return (
            self.populations == other.populations
            and self.window == other.window
            and np.array_equal(self.step, other.step)
            and np.array_equal(self.source, other.source)
        )

    @property
    def last_step(self) -> int:
        """Last recorded step."""
        return self.window.first_step + self.window.n_steps - 1

    @property
    def time_ms(self) -> F64:
        """Times of the spikes in ms, shape (spikes,)."""
        return step_times_ms(self.step, self.window.dt_ms)

    @property
    def t_start_ms(self) -> float:
        """Start of the first recorded step, the end of the warm-up."""
        return float(step_times_ms(self.window.first_step - 1, self.window.dt_ms))

    @property
    def t_stop_ms(self) -> float:
        """End of the last recorded step, which is a time that spikes can have."""
        return float(step_times_ms(self.last_step, self.window.dt_ms))

    def of_populations(self) -> Iterator[tuple[SpikePopulation, U32, U32]]:
        """Yield each population with the steps and the neurons (from 0 within it) of its spikes."""
        for population in self.populations:
            mine = self._belongs(population)
            neuron = self.source[mine] - np.uint32(population.first)
            yield population, self.step[mine], neuron

    def select(self, names: Sequence[str]) -> Spikes:
        """Return the spikes of the named populations only; neurons keep their numbers.

        Raises
        ------
        InvalidInputError
            If a name is none of the populations, or none is given.
        """
        known = [p.name for p in self.populations]
        for name in names:
            if name not in known:
                raise reject("populations", name, f"must be among {', '.join(known)}")
        if not names:
            raise reject("populations", [], f"must be some of {', '.join(known)}")
        chosen = tuple(p for p in self.populations if p.name in names)
        kept = np.zeros(len(self.source), bool)
        for population in chosen:
            kept |= self._belongs(population)
        return replace(self, step=self.step[kept], source=self.source[kept], populations=chosen)

    def _belongs(self, population: SpikePopulation) -> npt.NDArray[np.bool_]:
        # Python integers beyond uint32 would not compare with an array of it.
        source = self.source.astype(np.int64)
        first = population.first
        return np.asarray((source >= first) & (source < first + population.size))


def in_order(
    step: U32, source: U32, populations: Sequence[SpikePopulation], window: Window
) -> Spikes:
    """Return `Spikes` of arrays in any order."""
    order = np.lexsort((source, step))
    return Spikes(
        step=step[order], source=source[order], populations=tuple(populations), window=window
    )
