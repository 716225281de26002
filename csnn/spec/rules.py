"""Connection rules: which pairs of neurons a projection connects, and how often."""

from __future__ import annotations

from dataclasses import dataclass

from csnn.spec import checks


@dataclass(frozen=True, kw_only=True)
class FixedTotalNumber:
    """Exactly `count` synapses, each between a random source and a random target."""

    count: int

    def __post_init__(self) -> None:
        checks.integer("fixed_total_number", "count", self.count, 0, 2**48)


@dataclass(frozen=True, kw_only=True)
class FixedIndegree:
    """Exactly `indegree` synapses onto each target, from random sources."""

    indegree: int

    def __post_init__(self) -> None:
        checks.integer("fixed_indegree", "indegree", self.indegree, 0, 2**24)


@dataclass(frozen=True, kw_only=True)
class FixedOutdegree:
    """Exactly `outdegree` synapses from each source, onto random targets."""

    outdegree: int

    def __post_init__(self) -> None:
        checks.integer("fixed_outdegree", "outdegree", self.outdegree, 0, 2**24)


@dataclass(frozen=True, kw_only=True)
class PairwiseBernoulli:
    """Each (source, target) pair connected at most once, with probability `p`."""

    p: float

    def __post_init__(self) -> None:
        checks.real(
            "pairwise_bernoulli", "p", self.p, "must be in [0, 1]", lambda p: 0.0 <= p <= 1.0
        )


@dataclass(frozen=True, kw_only=True)
class AllToAll:
    """Each source connected to each target once."""


@dataclass(frozen=True, kw_only=True)
class OneToOne:
    """The i-th source connected to the i-th target; both populations have one size."""


Rule = FixedTotalNumber | FixedIndegree | FixedOutdegree | PairwiseBernoulli | AllToAll | OneToOne
RULES: dict[str, type] = {
    "fixed_total_number": FixedTotalNumber,
    "fixed_indegree": FixedIndegree,
    "fixed_outdegree": FixedOutdegree,
    "pairwise_bernoulli": PairwiseBernoulli,
    "all_to_all": AllToAll,
    "one_to_one": OneToOne,
}
