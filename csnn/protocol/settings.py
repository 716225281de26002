"""What a run of the protocol is: seeds, times and the variant of the recipe."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from csnn.errors import reject
from csnn.integer_lists import parse_integers
from csnn.simulator.session import run_steps
from csnn.spec.machine import Run
from csnn.spec.pd14 import DT_MS
from csnn.validation.statistics import Window

TIME_MS, N_SEEDS = 900_000.0, 10
SHORTEST_MS = 1000.0
_MAX_SEEDS = 1000


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A recipe of the literature: what is discarded, and which pairs are correlated."""

    warmup_ms: float
    all_pairs: bool
    reference: str


VARIANTS = {
    "senk2026": Variant(
        warmup_ms=500.0, all_pairs=False, reference="Senk et al. (2026), the community benchmark"
    ),
    "paper": Variant(
        warmup_ms=1000.0,
        all_pairs=True,
        reference="Heittmann et al. (2022) Front. Neurosci. 15:728460",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one protocol; `warmup_ms` None means the variant's.

    Raises
    ------
    InvalidInputError
        If a time is no multiple of the step, the run too short for any verdict, a seed given
        twice, or the variant unknown.
    """

    seeds: tuple[int, ...]
    time_ms: float = TIME_MS
    warmup_ms: float | None = None
    variant: str = "senk2026"
    threads: int = 2

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise reject("protocol.variant", self.variant, f"must be one of {', '.join(VARIANTS)}")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise reject("protocol.seeds", self.seeds, "must be different numbers, one or more")
        if len(self.seeds) > _MAX_SEEDS:
            raise reject("protocol.seeds", len(self.seeds), f"must be {_MAX_SEEDS} at most")
        for seed in self.seeds:
            self.run(seed)
        run_steps(self.time_ms, self.discarded_ms, DT_MS)
        if self.time_ms < SHORTEST_MS:
            rule = f"must be at least {SHORTEST_MS:g}, the shortest time that can be judged"
            raise reject("run.time_ms", self.time_ms, rule)

    @property
    def recipe(self) -> Variant:
        """The variant."""
        return VARIANTS[self.variant]

    @property
    def discarded_ms(self) -> float:
        """Model time that is left out before the recording."""
        return self.recipe.warmup_ms if self.warmup_ms is None else self.warmup_ms

    def run(self, seed: int) -> Run:
        """Return the settings of the simulation of one seed."""
        return Run(
            time_ms=self.time_ms, warmup_ms=self.discarded_ms, seed=seed, threads=self.threads
        )

    def window(self, duration_ms: float | None = None) -> Window:
        """Return the first `duration_ms` after the warm-up, all of the run by default."""
        time_ms = self.time_ms if duration_ms is None else duration_ms
        warmup, end = run_steps(time_ms, self.discarded_ms, DT_MS)
        return Window(first_step=warmup + 1, n_steps=end - warmup, dt_ms=DT_MS)

    def fixed(self) -> dict[str, Any]:
        """Return what must not change in one output directory; seeds may be added to it."""
        return {
            "time_ms": self.time_ms,
            "warmup_ms": self.discarded_ms,
            "all_pairs": self.recipe.all_pairs,
        }


def parse_seeds(text: str | None) -> tuple[int, ...]:
    """Return the seeds that `--seeds` names.

    Parameters
    ----------
    text : str or None
        A number N for the seeds 1 to N, or a list such as 1,2,3 or 4-6; None for the default.

    Raises
    ------
    InvalidInputError
        If it is neither.
    """
    rule = "must be a number of seeds, or a list of seeds such as 1,2,3 or 4-6"
    if text is None:
        return tuple(range(1, N_SEEDS + 1))
    if re.fullmatch(r"[0-9]{1,18}", text):
        if not 1 <= int(text) <= _MAX_SEEDS:
            raise reject("--seeds", text, f"must be from 1 to {_MAX_SEEDS} seeds")
        return tuple(range(1, int(text) + 1))
    return parse_integers("--seeds", text, longest=_MAX_SEEDS, rule=rule)
