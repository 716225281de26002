"""Steps of other lengths: whatever is given in ms or Hz becomes the right number of steps."""

from __future__ import annotations

import math
from pathlib import Path

import networks
import numpy as np
import pytest

from csnn.edges import Edges
from csnn.image.node import NodeImage
from csnn.image.store import Image
from csnn.neurons.lif import LIF
from csnn.spec.distributions import Constant, Normal
from csnn.spec.network import DcInput, FixedTotalNumber, LifNeuron, PoissonInput
from netgen.export import export_edges
from netgen.sums import weight_sums

STEPS_MS = [0.1, 0.2, 0.05]
COUNT = 20_000
# Symmetric about a multiple of every step, so that rounding leaves the mean where it is.
DELAY = Normal(mu=1.0, sigma=0.25, minimum=0.2, maximum=1.8)
NEURON = LifNeuron(t_ref_ms=2.0, tau_syn_in_ms=0.8)
POISSON = PoissonInput(rate_hz=8000.0, weight=150.0, changes=((1.0, 3000.0),))
DC = DcInput(current_pA=200.0, changes=((2.0, -100.0),))


@pytest.fixture(scope="module", params=STEPS_MS)
def image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Image:
    network = networks.network(
        networks.projection("E", "I", FixedTotalNumber(count=COUNT), delay=DELAY),
        networks.projection("I", "E", FixedTotalNumber(count=COUNT), delay=Constant(value=0.8)),
        populations=tuple(
            networks.population(
                name, size, neuron=NEURON, poisson=POISSON, dc=DC, expected_rate_hz=100.0
            )
            for name, size in (("E", networks.E_SIZE), ("I", networks.I_SIZE))
        ),
        dt_ms=request.param,
    )
    folder: Path = tmp_path_factory.mktemp("steps")
    return networks.image(network, folder / "image", random_delay_buffer=True)


def outcome_mean(table: np.ndarray) -> float:
    """Return the mean that an alias table yields: own with probability H / 2^32, else alias."""
    keep = table["H"] / 2.0**32
    return float((keep * table["own"] + (1.0 - keep) * table["alias"]).mean())


def constants(node: NodeImage) -> dict[str, float]:
    n = len(LIF.float_constants)
    values = [*node.constants[:n].view(np.float32).tolist(), *node.constants[n:].tolist()]
    return dict(zip([*LIF.float_constants, *LIF.int_constants], values, strict=True))


def test_the_step_is_that_of_the_description(image: Image) -> None:
    assert image.dt_ms in STEPS_MS
    assert {node.dt_ms for node in image.nodes} == {image.dt_ms}


def test_delays_keep_their_length(image: Image) -> None:
    edges = export_edges(image)
    drawn = edges.delay_ms[edges.source < networks.E_SIZE]
    assert len(drawn) == COUNT
    assert abs(drawn.mean() - 1.0) < 4.5 * drawn.std() / math.sqrt(COUNT)
    # Rounding to steps adds the variance of a uniform distribution.
    assert drawn.var() == pytest.approx(DELAY.sd() ** 2 + image.dt_ms**2 / 12, rel=0.04)
    assert (edges.delay_ms[edges.source >= networks.E_SIZE] == 0.8).all()
    of_E, of_I = image.nodes[0].delay_tables, image.nodes[-1].delay_tables
    assert outcome_mean(of_E[0]) + 1.0 == round(0.8 / image.dt_ms)
    assert (outcome_mean(of_I[0]) + 1.0) * image.dt_ms == pytest.approx(1.0, abs=1e-6)


def test_fidelity_counts_steps_of_the_right_length(image: Image) -> None:
    drawn, constant = image.manifest["fidelity"]
    assert drawn["delay"]["target_mean"] == pytest.approx(1.0)
    assert constant["delay"]["target_mean"] == pytest.approx(0.8)
    for entry in (drawn, constant):
        assert entry["delay"]["mean_error"] < 1e-6
        assert entry["delay_unrounded"]["mean_error"] < 1e-6


def test_external_rates_are_per_second(image: Image) -> None:
    for node in image.nodes:
        means = [outcome_mean(table) for table in node.ext_tables]
        # Spikes per step: rate in Hz times the step in s.
        expected = [rate * image.dt_ms * 1e-3 for rate in (8000.0, 3000.0)]
        assert means == pytest.approx(expected, rel=1e-7)


def test_input_changes_keep_their_times(image: Image) -> None:
    P20 = 10.0 / 250.0 * -math.expm1(-image.dt_ms / 10.0)
    for node in image.nodes:
        first = node.schedule["first_step"].astype(np.int64) - 1
        assert (first * image.dt_ms).tolist() == pytest.approx([0.0, 1.0, 2.0])
        assert node.schedule["ext_table"].tolist() == [0, 1, 1]
        wanted = np.float32([200.0 * P20, 200.0 * P20, -100.0 * P20])
        assert node.schedule["dc"].tolist() == wanted.tolist()


def test_neuron_constants_are_those_of_the_step(image: Image) -> None:
    dt_ms = image.dt_ms
    for node in image.nodes:
        have = constants(node)
        assert have["ref_steps"] * dt_ms == pytest.approx(2.0)
        assert have["P22"] == np.float32(math.exp(-dt_ms / 10.0))
        assert have["P11_ex"] == np.float32(math.exp(-dt_ms / 0.5))
        assert have["P11_in"] == np.float32(math.exp(-dt_ms / 0.8))
        grid = 2.0**node.grid_exponent
        for name, tau_ms, sign in (("P21_ex", 0.5, 1.0), ("P21_in", 0.8, -1.0)):
            share = 10.0 * tau_ms / (250.0 * (10.0 - tau_ms))
            exact = share * (math.exp(-dt_ms / 10.0) - math.exp(-dt_ms / tau_ms))
            assert have[name] == pytest.approx(sign * exact * grid, rel=1e-6)


def test_the_delay_buffer_holds_the_input_of_a_step(image: Image) -> None:
    # Sources spike 100 times per second; E is excited by nothing, I inhibited by nothing.
    for node in image.nodes:
        kind = 1 - node.population
        share = node.delay_buffer[:, kind].sum() / (64 * weight_sums(node)[kind].sum())
        assert share == pytest.approx(100.0 * image.dt_ms * 1e-3, rel=0.03)
        assert not node.delay_buffer[:, 1 - kind].any()


@pytest.mark.parametrize("dt_ms", STEPS_MS)
@pytest.mark.parametrize("representation", ["stored", "fitted"])
def test_edge_lists_keep_their_delays(tmp_path: Path, representation: str, dt_ms: float) -> None:
    edges = Edges(
        source=np.array([0, 1, 2], dtype=np.uint32),
        target=np.array([40, 41, 3], dtype=np.uint32),
        weight=np.array([50.0, 50.0, 50.0]),
        delay_ms=np.array([0.6, 0.6, 1.4]),
    )
    plain = networks.edge_network(tmp_path, representation, edges)
    populations = tuple(
        networks.population(p.name, p.size, neuron=NEURON) for p in plain.populations
    )
    network = networks.network(populations=populations, edges=plain.edges, dt_ms=dt_ms)
    found = export_edges(networks.image(network, tmp_path / "image"))
    delays = dict(zip(found.source.tolist(), found.delay_ms.tolist(), strict=True))
    assert delays == {0: 0.6, 1: 0.6, 2: 1.4}
