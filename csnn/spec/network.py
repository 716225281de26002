"""Description of a network: populations, their input, and the projections between them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from csnn.errors import reject
from csnn.spec import checks
from csnn.spec.distributions import Constant, Distribution, Lognormal, Normal, Uniform
from csnn.spec.neuron import LifNeuron as LifNeuron
from csnn.spec.neuron import Neuron as Neuron
from csnn.spec.rules import RULES as RULES
from csnn.spec.rules import AllToAll as AllToAll
from csnn.spec.rules import FixedIndegree as FixedIndegree
from csnn.spec.rules import FixedOutdegree as FixedOutdegree
from csnn.spec.rules import FixedTotalNumber as FixedTotalNumber
from csnn.spec.rules import OneToOne as OneToOne
from csnn.spec.rules import PairwiseBernoulli as PairwiseBernoulli
from csnn.spec.rules import Rule as Rule

MAX_POPULATION = 2**24
MAX_NETWORK = 2**32
MAX_STEPS = 2**32 - 1
PART_RULE = "must be from -1 to 1, a part of the way to the reversal potential"
_DISTRIBUTION_TYPES = (Constant, Normal, Lognormal, Uniform)


def _check_changes(owner: str, changes: tuple[tuple[float, float], ...]) -> None:
    if not isinstance(changes, tuple):
        raise reject(f"{owner}.changes", changes, "must be pairs of (time_ms, value)")
    last = 0.0
    for pair in changes:
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise reject(f"{owner}.changes", pair, "must be a pair of (time_ms, value)")
        checks.real(owner, "changes", pair[0])
        if pair[0] <= last:
            raise reject(f"{owner}.changes", pair[0], "times must be > 0 and increase")
        last = pair[0]


@dataclass(frozen=True, kw_only=True)
class PoissonInput:
    """Independent Poisson spike trains onto each neuron of a population.

    `rate_hz` is the summed rate per neuron (number of external synapses times their rate). `weight`
    is in the unit that the neurons take (`Neuron.weight_unit`).
    `changes` holds (time_ms, rate_hz) pairs, in force from the first step that begins at that time
    or later.
    """

    rate_hz: float
    weight: float
    changes: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        checks.non_negative("poisson", "rate_hz", self.rate_hz)
        checks.positive("poisson", "weight", self.weight)
        _check_changes("poisson", self.changes)
        for _, rate in self.changes:
            checks.non_negative("poisson", "changes", rate)


@dataclass(frozen=True, kw_only=True)
class DcInput:
    """A constant current into each neuron of a population, with steps (time_ms, current_pA)."""

    current_pA: float = 0.0
    changes: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        checks.real("dc", "current_pA", self.current_pA)
        _check_changes("dc", self.changes)
        for _, current in self.changes:
            checks.real("dc", "changes", current)


@dataclass(frozen=True, kw_only=True)
class Population:
    """Neurons of one kind with common input and initial state."""

    name: str
    size: int
    neuron: Neuron = LifNeuron()
    V_init_mV: Distribution = Constant(value=-65.0)
    I_ex_init_pA: Distribution = Constant(value=0.0)
    I_in_init_pA: Distribution = Constant(value=0.0)
    poisson: PoissonInput | None = None
    dc: DcInput = DcInput()
    expected_rate_hz: float = 1.0

    def __post_init__(self) -> None:
        checks.name("population", "name", self.name)
        owner = f"population {self.name}"
        checks.integer(owner, "size", self.size, 1, MAX_POPULATION)
        checks.instance(owner, "neuron", self.neuron, Neuron)
        for field in ("V_init_mV", "I_ex_init_pA", "I_in_init_pA"):
            checks.instance(owner, field, getattr(self, field), _DISTRIBUTION_TYPES)
        if self.poisson is not None:
            checks.instance(owner, "poisson", self.poisson, PoissonInput)
        checks.instance(owner, "dc", self.dc, DcInput)
        checks.non_negative(owner, "expected_rate_hz", self.expected_rate_hz)
        if self.I_ex_init_pA.support()[0] < 0:
            raise reject(f"{owner}.I_ex_init_pA", self.I_ex_init_pA, "must be >= 0")
        if self.I_in_init_pA.support()[1] > 0:
            raise reject(f"{owner}.I_in_init_pA", self.I_in_init_pA, "must be <= 0")


@dataclass(frozen=True, kw_only=True)
class Projection:
    """Synapses from one population to another.

    `weight` is in the unit that the target's neurons take (`Neuron.weight_unit`).
    `allow_multapses` permits several synapses between one pair; rules that visit each pair at most
    once (`pairwise_bernoulli`, `all_to_all`, `one_to_one`) never make any. `allow_autapses` permits
    a neuron to connect to itself and matters only where source and target are the same population.
    """

    source: str
    target: str
    rule: Rule
    weight: Distribution
    delay_ms: Distribution
    allow_autapses: bool = True
    allow_multapses: bool = True

    @property
    def label(self) -> str:
        """Name used in messages and reports."""
        return f"{self.source}->{self.target}"

    def __post_init__(self) -> None:
        checks.name("projection", "source", self.source)
        checks.name("projection", "target", self.target)
        owner = f"projection {self.label}"
        checks.instance(owner, "rule", self.rule, tuple(RULES.values()))
        checks.instance(owner, "weight", self.weight, _DISTRIBUTION_TYPES)
        checks.instance(owner, "delay_ms", self.delay_ms, _DISTRIBUTION_TYPES)
        checks.boolean(owner, "allow_autapses", self.allow_autapses)
        checks.boolean(owner, "allow_multapses", self.allow_multapses)
        if isinstance(self.delay_ms, Constant) and self.delay_ms.value <= 0:
            raise reject(f"{owner}.delay_ms", self.delay_ms.value, "must be > 0")


@dataclass(frozen=True, kw_only=True)
class EdgeList:
    """Explicit synapses from a file.

    The file is .npz or .csv with columns `source`, `target` (global neuron numbers from 0 in
    population order), `delay_ms` and the weights, whose column has their unit: `weight_pA`,
    `weight_nS`, `weight_mV` or `weight`. `representation` is "stored" (edge by edge, one word per
    synapse) or "fitted" (tables fitted per sub-network; edge identity is lost). With `sha256`, 64
    hexadecimal digits, another file is refused; an image records its list so.
    """

    path: str
    representation: str = "stored"
    sha256: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.path, str) or not self.path or "\0" in self.path:
            raise reject("edges.path", self.path, "must be a file name")
        checks.one_of("edges", "representation", self.representation, ("stored", "fitted"))
        if self.sha256 is not None and not (
            isinstance(self.sha256, str) and re.fullmatch("[0-9a-f]{64}", self.sha256)
        ):
            raise reject("edges.sha256", self.sha256, "must be 64 hexadecimal digits")


def _listed(names: Iterable[str]) -> str:
    """Join names for a message, cut where it would fill the screen."""
    shown = list(names)
    return ", ".join(shown[:12]) + (f", ... ({len(shown)})" if len(shown) > 12 else "")


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network: populations in order of their neuron numbers, and the synapses between them.

    `notes` are warnings that belong to the description (for example that it is down-scaled).
    """

    name: str
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...] = ()
    edges: EdgeList | None = None
    dt_ms: float = 0.1
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        checks.name("network", "name", self.name)
        checks.positive("network", "dt_ms", self.dt_ms)
        checks.items("network", "populations", self.populations, Population)
        checks.items("network", "projections", self.projections, Projection)
        checks.items("network", "notes", self.notes, str)
        if self.edges is not None:
            checks.instance("network", "edges", self.edges, EdgeList)
        if not self.populations:
            raise reject("network.populations", (), "must hold at least one population")
        names = set()
        for population in self.populations:
            if population.name in names:
                raise reject("network.populations", population.name, "names must differ")
            names.add(population.name)
        if self.size > MAX_NETWORK:
            raise reject("network.size", self.size, f"must be <= {MAX_NETWORK} neurons")
        for projection in self.projections:
            for field in ("source", "target"):
                end = getattr(projection, field)
                if end not in names:
                    raise reject(
                        f"projection {projection.label}.{field}",
                        end,
                        f"must be one of the populations {_listed(self._by_name)}",
                    )
            self._check_rule(projection)
            self._check_weight(projection)
        for population in self.populations:
            steps = population.neuron.t_ref_ms / self.dt_ms
            if steps > 65535 or not math.isclose(steps, round(steps), abs_tol=1e-6):
                raise reject(
                    f"population {population.name}.neuron.t_ref_ms",
                    population.neuron.t_ref_ms,
                    f"must be a multiple of dt_ms = {self.dt_ms} of at most 65535 steps",
                )
            self._check_times(population)
            poisson = population.poisson
            if poisson and poisson.weight > 1.0 and population.neuron.weight_unit == "1":
                owner = f"population {population.name}"
                raise reject(f"{owner}.poisson.weight", poisson.weight, PART_RULE)

    def _check_times(self, population: Population) -> None:
        owner = f"population {population.name}"
        for field in ("poisson", "dc"):
            for time_ms, _ in getattr(getattr(population, field), "changes", ()):
                if time_ms / self.dt_ms >= MAX_STEPS:
                    raise reject(f"{owner}.{field}.changes", time_ms, "must be below 2^32 steps")
        rate_hz = population.expected_rate_hz
        if rate_hz * 1e-3 > 1.0 / self.dt_ms:
            rule = f"must be <= {1e3 / self.dt_ms:g}, one spike per step"
            raise reject(f"{owner}.expected_rate_hz", rate_hz, rule)

    def _check_weight(self, projection: Projection) -> None:
        """Require that a weight without unit is a part: of more than all there is no meaning."""
        if self.population(projection.target).neuron.weight_unit != "1":
            return
        # What is cut from a distribution without bounds is cut where its table ends.
        weight = projection.weight
        sizes = [abs(x) for x in (*weight.support(), weight.mean()) if math.isfinite(x)]
        if max(sizes) > 1.0:
            shown = weight.value if isinstance(weight, Constant) else weight
            raise reject(f"projection {projection.label}.weight", shown, PART_RULE)

    def _check_rule(self, projection: Projection) -> None:
        source = self.population(projection.source).size
        target = self.population(projection.target).size
        same = projection.source == projection.target
        excluded = 1 if same and not projection.allow_autapses else 0
        owner = f"projection {projection.label}.rule"
        rule = projection.rule
        if isinstance(rule, OneToOne) and source != target:
            raise reject(owner, "one_to_one", f"needs equal sizes, not {source} and {target}")
        if isinstance(rule, OneToOne) and excluded:
            raise reject(owner, "one_to_one", "makes only autapses here, which are switched off")
        available: dict[type, tuple[int, int]] = {
            FixedTotalNumber: (getattr(rule, "count", 0), target * (source - excluded)),
            FixedIndegree: (getattr(rule, "indegree", 0), source - excluded),
            FixedOutdegree: (getattr(rule, "outdegree", 0), target - excluded),
        }
        if type(rule) in available:
            wanted, pairs = available[type(rule)]
            if wanted > 0 and pairs == 0:
                raise reject(owner, wanted, "no pair is allowed to connect")
            if not projection.allow_multapses and wanted > pairs:
                raise reject(owner, wanted, f"must be <= {pairs} without multapses")

    @cached_property
    def size(self) -> int:
        """Number of neurons."""
        return sum(population.size for population in self.populations)

    @property
    def weight_unit(self) -> str:
        """Unit of weights; one only, since a network that is compiled has one neuron model."""
        return self.populations[0].neuron.weight_unit

    @cached_property
    def first_ids(self) -> dict[str, int]:
        """Global number of each population's first neuron."""
        firsts: dict[str, int] = {}
        total = 0
        for population in self.populations:
            firsts[population.name] = total
            total += population.size
        return firsts

    @cached_property
    def _by_name(self) -> dict[str, Population]:
        return {population.name: population for population in self.populations}

    def population(self, name: str) -> Population:
        """Return the population called `name` (KeyError if there is none)."""
        return self._by_name[name]
