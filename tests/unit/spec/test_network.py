"""The rules of networks, distributions, machines and runs; the numbers of the built-in networks."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from csnn.errors import InvalidInputError
from csnn.spec import builtin
from csnn.spec.brunel import brunel
from csnn.spec.columns import columns
from csnn.spec.distributions import Constant, Lognormal, Normal, Uniform
from csnn.spec.machine import Machine, Run
from csnn.spec.network import (
    AllToAll,
    DcInput,
    EdgeList,
    FixedIndegree,
    FixedOutdegree,
    FixedTotalNumber,
    LifNeuron,
    Network,
    OneToOne,
    PairwiseBernoulli,
    PoissonInput,
    Population,
    Projection,
    Rule,
)
from csnn.spec.pd14 import CONNECTION_PROBABILITIES, POPULATIONS, SIZES, pd14, psp_to_psc

NAN, INF = math.nan, math.inf
RATES = [0.903, 2.965, 4.414, 5.876, 7.569, 8.633, 1.105, 7.829]
K_EXT = [1600, 1500, 2100, 1900, 2000, 1900, 2900, 2100]


ALL = AllToAll()


def projection(rule: Rule = ALL, **changes: Any) -> Projection:
    fields = {
        "source": "A",
        "target": "B",
        "weight": Constant(value=10.0),
        "delay_ms": Constant(value=1.5),
        **changes,
    }
    return Projection(rule=rule, **fields)


def network(*projections: Projection, sizes: tuple[int, int] = (4, 6), **changes: Any) -> Network:
    fields: dict[str, Any] = {
        "name": "pair",
        "populations": (
            Population(name="A", size=sizes[0]),
            Population(name="B", size=sizes[1]),
        ),
        "projections": projections,
        **changes,
    }
    return Network(**fields)


INVALID: list[tuple[Callable[[], Any], str]] = [
    (lambda: LifNeuron(C_m_pF=0.0), "neuron.C_m_pF = 0.0: must be a finite number > 0"),
    (lambda: LifNeuron(tau_m_ms=-10.0), "neuron.tau_m_ms = -10.0"),
    (lambda: LifNeuron(tau_syn_ex_ms=NAN), "neuron.tau_syn_ex_ms = nan"),
    (lambda: LifNeuron(tau_syn_in_ms=10**400), "neuron.tau_syn_in_ms = 1"),
    (lambda: LifNeuron(t_ref_ms=-0.1), "neuron.t_ref_ms = -0.1: must be a finite number >= 0"),
    (lambda: LifNeuron(E_L_mV=INF), "neuron.E_L_mV = inf: must be a finite number"),
    (lambda: LifNeuron(V_th_mV=True), "neuron.V_th_mV = True"),
    (lambda: LifNeuron(V_reset_mV=-50.0), "neuron.V_reset_mV = -50.0: must be < V_th_mV"),
    (lambda: PoissonInput(rate_hz=-1.0, weight=1.0), "poisson.rate_hz = -1.0"),
    (lambda: PoissonInput(rate_hz=1.0, weight=0.0), "poisson.weight = 0.0"),
    (
        lambda: PoissonInput(rate_hz=1.0, weight=1.0, changes=((5.0, -1.0),)),
        "poisson.changes = -1.0",
    ),
    (lambda: DcInput(changes=((5.0, 1.0), (5.0, 2.0))), "dc.changes = 5.0: times must be > 0 and"),
    (lambda: DcInput(changes=((0.0, 1.0),)), "dc.changes = 0.0: times must be > 0"),
    (lambda: DcInput(changes=((1.0,),)), "must be a pair"),  # type: ignore[arg-type]
    (lambda: DcInput(changes=[(1.0, 2.0)]), "must be pairs"),  # type: ignore[arg-type]
    (lambda: Population(name="A", size=0), "population A.size = 0: must be an integer from 1"),
    (lambda: Population(name="A", size=2**24 + 1), "population A.size"),
    (lambda: Population(name="A", size=True), "population A.size = True"),
    (lambda: Population(name="A", size=4.0), "population A.size = 4.0"),  # type: ignore[arg-type]
    (lambda: Population(name="2A", size=1), "population.name = '2A'"),
    (lambda: Population(name="A", size=1, V_init_mV=-65.0), "V_init_mV"),  # type: ignore[arg-type]
    (lambda: Population(name="A", size=1, expected_rate_hz=-1.0), "population A.expected_rate_hz"),
    (
        lambda: Population(name="A", size=1, I_ex_init_pA=Normal(mu=5.0, sigma=1.0)),
        "must be >= 0",
    ),
    (
        lambda: Population(name="A", size=1, I_in_init_pA=Uniform(low=-1.0, high=1.0)),
        "must be <= 0",
    ),
    (lambda: Constant(value=NAN), "constant.value = nan"),
    (lambda: Normal(mu=0.0, sigma=0.0), "normal.sigma = 0.0"),
    (lambda: Normal(mu=0.0, sigma=1.0, minimum=NAN), "normal.minimum = nan"),
    (lambda: Normal(mu=0.0, sigma=1.0, minimum=2.0, maximum=1.0), "must be < maximum = 1.0"),
    (lambda: Normal(mu=0.0, sigma=1.0, minimum=9.0), "leaves under 1e-6 of the probability"),
    (lambda: Normal(mu=0.0, sigma=1.0, maximum=10**400), "normal.maximum"),
    (lambda: Lognormal(mu_log=0.0, sigma_log=-1.0), "lognormal.sigma_log = -1.0"),
    (lambda: Lognormal(mu_log=1000.0, sigma_log=1.0), "lognormal.mu_log = 1000.0"),
    (lambda: Lognormal(mu_log=0.0, sigma_log=11.0), "lognormal.sigma_log = 11.0"),
    (lambda: Uniform(low=1.0, high=1.0), "uniform.low = 1.0: must be < high = 1.0"),
    (lambda: Uniform(low=-1e308, high=1e308), "must leave high - low finite"),
    (lambda: PairwiseBernoulli(p=1.5), "pairwise_bernoulli.p = 1.5: must be in [0, 1]"),
    (lambda: PairwiseBernoulli(p=-0.1), "pairwise_bernoulli.p = -0.1"),
    (lambda: FixedTotalNumber(count=-1), "fixed_total_number.count = -1"),
    (lambda: FixedIndegree(indegree=2**24 + 1), "fixed_indegree.indegree"),
    (lambda: FixedOutdegree(outdegree=1.5), "fixed_outdegree.outdegree"),  # type: ignore[arg-type]
    (lambda: projection(delay_ms=Constant(value=0.0)), "projection A->B.delay_ms = 0.0"),
    (lambda: projection(weight=10.0), "projection A->B.weight = 10.0: must be a Constant"),
    (lambda: projection("all_to_all"), "projection A->B.rule"),  # type: ignore[arg-type]
    (lambda: projection(allow_autapses=1), "allow_autapses = 1: must be true or false"),
    (lambda: EdgeList(path=""), "edges.path = ''"),
    (lambda: EdgeList(path="e.npz", representation="exact"), "must be one of stored, fitted"),
    (lambda: EdgeList(path="e.npz", sha256="0" * 63), "edges.sha256 = '000"),
    (lambda: EdgeList(path="e.npz", sha256="G" * 64), "must be 64 hexadecimal digits"),
    (lambda: network(populations=()), "must hold at least one population"),
    (lambda: network(populations=(1,)), "network.populations = 1: must be a Population"),
    (lambda: network(populations=[]), "network.populations = []: must be a tuple"),
    (
        lambda: network(populations=(Population(name="A", size=1),) * 2),
        "network.populations = 'A': names must differ",
    ),
    (lambda: network(projection(source="C")), "must be one of the populations A, B"),
    (lambda: network(dt_ms=0.0), "network.dt_ms = 0.0"),
    (lambda: network(notes=(1,)), "network.notes = 1"),
    (lambda: network(edges="e.npz"), "network.edges = 'e.npz'"),
    (lambda: network(dt_ms=0.3), "must be a multiple of dt_ms = 0.3"),
    (lambda: network(dt_ms=1e-6), "of at most 65535 steps"),
    (lambda: network(projection(OneToOne())), "needs equal sizes, not 4 and 6"),
    (
        lambda: network(projection(OneToOne(), target="A", allow_autapses=False)),
        "makes only autapses",
    ),
    (
        lambda: network(projection(FixedTotalNumber(count=25), allow_multapses=False)),
        "projection A->B.rule = 25: must be <= 24 without multapses",
    ),
    (
        lambda: network(
            projection(
                FixedTotalNumber(count=13), target="A", allow_multapses=False, allow_autapses=False
            )
        ),
        "must be <= 12",
    ),
    (
        lambda: network(projection(FixedIndegree(indegree=5), allow_multapses=False)),
        "must be <= 4 without multapses",
    ),
    (
        lambda: network(projection(FixedOutdegree(outdegree=7), allow_multapses=False)),
        "must be <= 6 without multapses",
    ),
    (
        lambda: network(
            projection(FixedIndegree(indegree=1), target="A", allow_autapses=False), sizes=(1, 1)
        ),
        "no pair is allowed to connect",
    ),
    (lambda: Machine(neurons_per_node=257), "must be an integer from 1 to 256"),
    (lambda: Machine(partition="random"), "must be one of equal, load"),
    (lambda: Machine(n_nodes=3), 'needs partition = "load"'),
    (lambda: Machine(delay_slots=48), "must be a power of two from 2 to 64"),
    (lambda: Machine(ext_lanes=True), "machine.ext_lanes = True"),
    (lambda: Machine(row_layout="thick"), "must be one of auto, dense, sparse"),
    (lambda: Machine(weight_grid=0.1), "machine.weight_grid = 0.1: must be a power of two"),
    (lambda: Machine(weight_grid=INF), "machine.weight_grid = inf"),
    (lambda: Run(time_ms=0.0), "run.time_ms = 0.0"),
    (lambda: Run(warmup_ms=-1.0), "run.warmup_ms = -1.0"),
    (lambda: Run(seed=-1), "run.seed = -1"),
    (lambda: Run(threads=0), "run.threads = 0"),
    (lambda: Run(record=(-1,)), "run.record = -1"),
    (lambda: Run(record=[1]), "run.record = [1]"),  # type: ignore[arg-type]
    (lambda: pd14(n_scale=0.0), "pd14.n_scale = 0.0: must be in (0, 10]"),
    (lambda: pd14(n_scale=4e-4), "pd14.n_scale = 0.0004: must leave at least one neuron in L5I"),
    (lambda: pd14(k_scale=NAN), "pd14.k_scale = nan"),
    (lambda: pd14(inhibition=4.0), "pd14.inhibition = 4.0: must be a number <= 0"),
    (lambda: pd14(external_indegrees=[1] * 7), "must be 8 numbers"),
    (lambda: pd14(external_indegrees=[-1] * 8), "must be 8 numbers"),
    (lambda: pd14(external_indegrees=[NAN] * 8), "must be 8 numbers"),
    (lambda: pd14(external_indegrees=[[1], [1, 2]]), "must be 8 numbers"),
    (lambda: columns(columns=1), "columns.columns = 1: must be"),
    (lambda: columns(lateral=1.5), "columns.lateral = 1.5: must be from 0 to 1"),
    (lambda: columns(n_scale=0.0), "pd14.n_scale = 0.0"),
    (lambda: builtin.build("columns", {"external_indegrees": [1] * 8}), "is no option of columns"),
    (lambda: builtin.build("columns", {"scale": 0.1, "n_scale": 1.0}), "columns.scale = 0.1"),
    (lambda: brunel(order=5), "brunel.order = 5"),
    (lambda: brunel(g=0.0), "brunel.g = 0.0"),
    (lambda: builtin.build("pd15"), "builtin = 'pd15': is no built-in network; did you mean pd14?"),
    (lambda: builtin.build("pd14", {"nscale": 1}), "did you mean n_scale?"),
    (lambda: builtin.build("pd14", {"scale": 0.1, "k_scale": 1.0}), "sets k_scale too"),
]


@pytest.mark.parametrize(("make", "fragment"), INVALID, ids=[text for _, text in INVALID])
def test_invalid_values_are_named_with_their_rule(make: Callable[[], Any], fragment: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        make()
    message = str(caught.value)
    assert fragment in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "rule",
    [
        FixedTotalNumber(count=24),
        FixedIndegree(indegree=4),
        FixedOutdegree(outdegree=6),
        PairwiseBernoulli(p=1.0),
        AllToAll(),
    ],
)
def test_rules_at_their_limits_are_accepted(rule: Rule) -> None:
    net = network(projection(rule, allow_multapses=False))
    assert net.size == 10
    assert net.first_ids == {"A": 0, "B": 4}
    assert net.population("B").size == 6


@pytest.mark.parametrize(
    "distribution",
    [
        Constant(value=1.25),
        Normal(mu=1.5, sigma=0.75, minimum=0.05),
        Normal(mu=-3.0, sigma=1.0, maximum=0.0),
        Lognormal(mu_log=0.5, sigma_log=0.4),
        Uniform(low=-1.0, high=3.0),
    ],
)
def test_moments_and_quantiles_of_distributions_are_consistent(distribution: Any) -> None:
    # Moments by the midpoint rule over the quantile function, which shares nothing with scipy's.
    quantiles = distribution.ppf((np.arange(200_000) + 0.5) / 200_000)
    assert quantiles.mean() == pytest.approx(distribution.mean(), rel=1e-4)
    assert quantiles.std() == pytest.approx(distribution.sd(), rel=1e-3)
    low, high = distribution.support()
    assert low <= quantiles.min() <= quantiles.max() <= high
    if distribution.sd() > 0:
        assert distribution.cdf(distribution.ppf(np.array([0.2, 0.7]))) == pytest.approx([0.2, 0.7])


def test_full_scale_pd14_has_the_published_counts() -> None:
    net = pd14()
    assert net.size == 77_169
    counts = [p.rule.count for p in net.projections if isinstance(p.rule, FixedTotalNumber)]
    assert sum(counts) == 298_880_968
    assert len(counts) == len(net.projections) == np.count_nonzero(CONNECTION_PROBABILITIES)
    assert net.notes == ()
    assert [p.poisson.rate_hz for p in net.populations if p.poisson] == [8.0 * k for k in K_EXT]
    assert all(p.dc.current_pA == 0.0 for p in net.populations)


def test_psp_amplitude_is_the_peak_of_the_response() -> None:
    neuron = LifNeuron()
    weight = psp_to_psc(0.15, neuron)
    t = np.arange(0.0, 20.0, 1e-3)
    c, tau_m, tau_s = neuron.C_m_pF, neuron.tau_m_ms, neuron.tau_syn_ex_ms
    response = weight / c * (np.exp(-t / tau_m) - np.exp(-t / tau_s)) / (1 / tau_s - 1 / tau_m)
    assert response.max() == pytest.approx(0.15, rel=1e-6)
    assert weight == pytest.approx(87.8085, abs=1e-4)
    assert psp_to_psc(0.15, LifNeuron(tau_syn_ex_ms=10.0)) == pytest.approx(
        psp_to_psc(0.15, LifNeuron(tau_syn_ex_ms=10.0001)), rel=1e-4
    )


def test_pd14_at_a_tenth_matches_an_independent_computation() -> None:
    net = pd14(n_scale=0.1, k_scale=0.1)
    weight = 87.80849352920846
    assert [p.size for p in net.populations] == [2068, 583, 2192, 548, 485, 106, 1440, 295]
    by_pair = {(p.target, p.source): p for p in net.projections}
    for i, target in enumerate(POPULATIONS):
        current = weight * K_EXT[i] * 8.0
        for j, source in enumerate(POPULATIONS):
            p = float(CONNECTION_PROBABILITIES[i, j])
            if p == 0.0:
                assert (target, source) not in by_pair
                continue
            n_target, n_source = int(SIZES[i]), int(SIZES[j])
            count = round(math.log(1 - p) / math.log(1 - 1 / (n_target * n_source)))
            mean = weight * (-4.0 if source.endswith("I") else 1.0)
            mean *= 2.0 if (target, source) == ("L23E", "L4E") else 1.0
            current += mean * count / n_target * RATES[j]
            scaled = by_pair[target, source]
            assert isinstance(scaled.rule, FixedTotalNumber)
            assert scaled.rule.count == round(count * 0.1 * 0.1)
            assert isinstance(scaled.weight, Normal)
            assert scaled.weight.mu == pytest.approx(mean / math.sqrt(0.1), rel=1e-9)
            assert scaled.weight.sigma == pytest.approx(abs(scaled.weight.mu) / 10)
            assert 0.0 in (scaled.weight.minimum, scaled.weight.maximum)
        population = net.populations[i]
        assert population.poisson is not None
        assert population.poisson.rate_hz == pytest.approx(0.1 * K_EXT[i] * 8.0)
        assert population.poisson.weight == pytest.approx(weight / math.sqrt(0.1))
        dc = 1e-3 * 0.5 * (1 - math.sqrt(0.1)) * current
        assert population.dc.current_pA == pytest.approx(dc, rel=1e-9)
    assert "rates but not correlations" in net.notes[0]


def test_scaled_external_indegrees_are_whole_numbers() -> None:
    # 0.0123 times 1600, 1500, 2100, 1900, 2000, 1900, 2900, 2100, rounded.
    indegrees = [20, 18, 26, 23, 25, 23, 36, 26]
    rates = [p.poisson.rate_hz for p in pd14(k_scale=0.0123).populations if p.poisson]
    assert rates == [8.0 * k for k in indegrees]


def test_scaling_keeps_mean_and_variance_of_the_input() -> None:
    def moments(net: Network, name: str) -> tuple[float, float]:
        target = net.population(name)
        assert target.poisson is not None
        poisson = target.poisson
        rates = dict(zip(POPULATIONS, RATES, strict=True))
        mean = poisson.rate_hz * poisson.weight
        power = poisson.rate_hz * poisson.weight**2
        for p in net.projections:
            if p.target == name and isinstance(p.rule, FixedTotalNumber):
                assert isinstance(p.weight, Normal)
                indegree = p.rule.count / target.size
                mean += indegree * rates[p.source] * p.weight.mu
                power += indegree * rates[p.source] * p.weight.mu**2
        return 0.5e-3 * mean + target.dc.current_pA, power

    full, scaled = pd14(), pd14(n_scale=0.3, k_scale=0.2)
    for name in POPULATIONS:
        assert moments(scaled, name) == pytest.approx(moments(full, name), rel=2e-3)
    # The check notices a tenth less of background.
    weaker = pd14(n_scale=0.3, k_scale=0.2, external_indegrees=np.array(K_EXT) * 0.9)
    assert moments(weaker, "L4E") != pytest.approx(moments(full, "L4E"), rel=2e-3)


def test_columns_are_microcircuits_with_lateral_projections() -> None:
    net, single = columns(columns=4, lateral=0.05), pd14()
    assert [p.name for p in net.populations[:9]] == [
        *(f"C1_{name}" for name in POPULATIONS),
        "C2_L23E",
    ]
    assert [p.size for p in net.populations] == 4 * [p.size for p in single.populations]
    counts = {
        (p.source, p.target): p.rule.count
        for p in net.projections
        if isinstance(p.rule, FixedTotalNumber)
    }
    assert len(counts) == len(net.projections)
    for i in range(1, 5):
        for p in single.projections:
            assert isinstance(p.rule, FixedTotalNumber)
            assert counts.pop((f"C{i}_{p.source}", f"C{i}_{p.target}")) == p.rule.count
    # What is left: 5 % of 1600, 1500, 2000, 1900 synapses a neuron, half of it from each side.
    for i, sides in enumerate([(2, 4), (1, 3), (2, 4), (1, 3)], start=1):
        for side in sides:
            for source, target, indegree in (
                ("L23E", "L23E", 40.0),
                ("L23E", "L23I", 37.5),
                ("L5E", "L5E", 50.0),
                ("L5E", "L5I", 47.5),
            ):
                size = int(SIZES[POPULATIONS.index(target)])
                count = counts.pop((f"C{side}_{source}", f"C{i}_{target}"))
                assert count == pytest.approx(indegree * size, abs=0.5)
    assert counts == {}
    assert sum(p.rule.count for p in net.projections if isinstance(p.rule, FixedTotalNumber)) == (
        1_206_237_336
    )


@pytest.mark.parametrize("k_scale", [1.0, 0.1])
def test_lateral_synapses_leave_the_mean_input_as_it_is(k_scale: float) -> None:
    net, single = columns(columns=3, lateral=0.2, k_scale=k_scale), pd14(k_scale=k_scale)
    rates = dict(zip(POPULATIONS, RATES, strict=True))
    for population in single.populations:
        name = f"C2_{population.name}"
        target = net.population(name)
        assert target.poisson is not None
        assert population.poisson is not None
        brought_hz = 0.0
        for p in net.projections:
            if p.target == name and not p.source.startswith("C2"):
                assert isinstance(p.rule, FixedTotalNumber)
                assert isinstance(p.weight, Normal)
                assert p.weight.mu == pytest.approx(population.poisson.weight)
                brought_hz += p.rule.count / target.size * rates[p.source[3:]]
        assert (brought_hz > 0) == (population.name[:3] in ("L23", "L5E", "L5I"))
        before = population.poisson.rate_hz
        assert target.poisson.rate_hz + brought_hz == pytest.approx(before, rel=1e-12)
        assert target.dc == population.dc


def test_the_page_tells_the_background_of_columns() -> None:
    net, single = columns(), pd14()
    rows = []
    for population in single.populations:
        name = f"C1_{population.name}"
        lateral = sum(
            p.rule.count
            for p in net.projections
            if p.target == name and p.source[:2] != "C1" and isinstance(p.rule, FixedTotalNumber)
        )
        before, after = population.poisson, net.population(name).poisson
        assert before is not None
        assert after is not None
        if lateral:
            indegree = lateral / population.size
            rates = f"{before.rate_hz:,.0f} | {after.rate_hz:,.1f}"
            rows.append(f"| `{population.name}` | {indegree:.0f} | {rates} |")
    page = Path(__file__).parents[3] / "docs" / "howto" / "own-network.md"
    assert len(rows) == 4
    assert "\n".join(rows) in page.read_text(encoding="utf-8")


def test_a_ring_of_two_columns_has_one_neighbour_each() -> None:
    net = columns(columns=2, n_scale=0.1)
    lateral = [p for p in net.projections if p.source[:2] != p.target[:2]]
    assert len(lateral) == 8
    into_first = [p for p in lateral if p.target == "C1_L23E"]
    assert [p.source for p in into_first] == ["C2_L23E"]
    assert isinstance(into_first[0].rule, FixedTotalNumber)
    assert into_first[0].rule.count == 80 * 2068
    assert not [
        p for p in columns(columns=2, lateral=0.0).projections if p.source[1] != p.target[1]
    ]


def test_brunel_network_reaches_threshold_at_eta_one() -> None:
    net = brunel(order=250, g=4.5, eta=1.0)
    assert [p.size for p in net.populations] == [1000, 250]
    degrees = {
        p.label: p.rule.indegree for p in net.projections if isinstance(p.rule, FixedIndegree)
    }
    assert degrees == {"E->E": 100, "I->E": 25, "E->I": 100, "I->I": 25}
    population = net.populations[0]
    assert population.poisson is not None
    neuron, poisson = population.neuron, population.poisson
    current_pA = 1e-3 * poisson.rate_hz * poisson.weight * neuron.tau_syn_ex_ms
    assert neuron.E_L_mV + current_pA * neuron.tau_m_ms / neuron.C_m_pF == pytest.approx(20.0)
    weights = [p.weight.mean() for p in net.projections]
    assert weights[1] == pytest.approx(-4.5 * weights[0])
