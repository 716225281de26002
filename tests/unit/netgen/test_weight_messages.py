"""Weights that cannot be represented are refused in their own unit, under the key of their unit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import networks
import numpy as np
import pytest

from csnn import edges as edge_files
from csnn.edges import Edges
from csnn.errors import InvalidInputError
from csnn.image.store import Image
from csnn.neurons.models.adex import AdexNeuron
from csnn.neurons.models.izhikevich import IzhikevichNeuron
from csnn.spec.distributions import Constant, Distribution, Normal, Uniform
from csnn.spec.network import AllToAll, EdgeList, Network, PoissonInput, Projection
from csnn.spec.neuron import LifNeuron, Neuron

# By what follows a number in messages.
NEURONS: dict[str, Neuron] = {
    " pA": LifNeuron(),
    " nS": AdexNeuron(coupling="coba"),
    " mV": IzhikevichNeuron(kernel="delta"),
    "": LifNeuron(kernel="delta", coupling="coba"),
}
KEYS = {" pA": "weight_pA", " nS": "weight_nS", " mV": "weight_mV", "": "weight"}
GRIDS = {
    " pA": "weight_grid_pA",
    " nS": "weight_grid_nS",
    " mV": "weight_grid_mV",
    "": "weight_grid",
}
# Weights without unit are parts of a whole: the same cases with smaller numbers.
SCALES = {" pA": 1.0, " nS": 1.0, " mV": 1.0, "": 2.0**-9}
PART = "must be from -1 to 1, a part of the way to the reversal potential"
ZERO = Constant(value=0.0)
LARGEST = "must be at most 3.77778e+22{unit} in magnitude"
CHOICE = "set by the largest weights and sums unless machine.{grid} is given"


def network(
    unit: str, *projections: Projection, poisson: float | None = None, edges: EdgeList | None = None
) -> Network:
    """Return E and I, of 30 neurons each, with neurons whose weights are in `unit`."""
    settings = {
        "neuron": NEURONS[unit],
        "I_ex_init_pA": ZERO,
        "I_in_init_pA": ZERO,
        "poisson": None if poisson is None else PoissonInput(rate_hz=1.0, weight=poisson),
    }
    populations = tuple(networks.population(name, 30, **settings) for name in "EI")
    return networks.network(*projections, populations=populations, edges=edges)


def edge_network(unit: str, folder: Path, representation: str, weight: float) -> Network:
    """Return E and I with edges of this weight from E to both."""
    n = 300
    source, target = np.divmod(np.arange(n, dtype=np.uint32), np.uint32(60))
    edges = Edges(source=source, target=target, weight=np.full(n, weight), delay_ms=np.full(n, 1.5))
    edge_files.write(folder / "list.csv", edges, KEYS[unit])
    listed = EdgeList(path=str(folder / "list.csv"), representation=representation)
    return network(unit, edges=listed)


def onto_I(weight: float) -> Projection:
    return networks.projection("E", "I", AllToAll(), weight=Constant(value=weight))


def refused(unit: str, network: Network, folder: Path, message: str, **machine: Any) -> None:
    """Require this message and no other."""
    text = message.format(unit=unit, key=KEYS[unit], grid=GRIDS[unit], folder=folder)
    with pytest.raises(InvalidInputError, match=f"^{re.escape(text)}$"):
        networks.image(network, folder / "image", **machine)


@pytest.mark.parametrize("unit", NEURONS)
@pytest.mark.parametrize(
    ("weight", "grid", "rule"),
    [
        (300.0, 2.0**-7, "exceeds 32767 units of {grid:g}{unit} = {most:g}{unit}; "
                         "use a coarser grid"),
        (-0.9, 2.0, f"rounds to zero on the grid of {{grid:g}}{{unit}}, {CHOICE}"),
        (10.3, 2.0, "the table does not keep mean and variance to 0.001 on the grid of "
                    "{grid:g}{unit}, " + CHOICE),
    ],
)  # fmt: skip
def test_projections(unit: str, weight: float, grid: float, rule: str, tmp_path: Path) -> None:
    weight, grid = weight * SCALES[unit], grid * SCALES[unit]
    numbers = {"grid:g": f"{grid:g}", "most:g": f"{32767 * grid:g}"}
    for name, text in numbers.items():
        rule = rule.replace(f"{{{name}}}", text)
    message = f"projection E->I.{{key}} = {weight!r}: {rule}"
    refused(unit, network(unit, onto_I(weight)), tmp_path, message, weight_grid=grid)


@pytest.mark.parametrize("unit", [unit for unit in NEURONS if unit])
def test_projections_beyond_every_grid(unit: str, tmp_path: Path) -> None:
    message = f"projection E->I.{{key}} = 1e+300: {LARGEST}"
    refused(unit, network(unit, onto_I(1e300)), tmp_path, message)


@pytest.mark.parametrize(
    ("weight", "shown"),
    [
        (Constant(value=1.0001), "1.0001"),
        (Constant(value=-1e300), "-1e+300"),
        (Uniform(low=-1.5, high=0.5), "Uniform(low=-1.5, high=0.5)"),
        (Normal(mu=-1.25, sigma=0.1), "Normal(mu=-1.25, sigma=0.1"),
        (Normal(mu=0.5, sigma=0.1, maximum=1.5), "Normal(mu=0.5, sigma=0.1"),
    ],
)
def test_more_than_the_whole_way(weight: Distribution, shown: str) -> None:
    projection = networks.projection("E", "I", AllToAll(), weight=weight)
    with pytest.raises(InvalidInputError) as caught:
        network("", projection)
    assert str(caught.value).startswith(f"projection E->I.weight = {shown}")
    assert str(caught.value).endswith(f": {PART}")
    # In other units there is no such bound.
    network(" mV", projection)


def test_the_whole_way_and_less(tmp_path: Path) -> None:
    weights = (*(Constant(value=x) for x in (1.0, -1.0)), Normal(mu=0.9, sigma=0.2))
    network("", *(networks.projection("E", "I", AllToAll(), weight=w) for w in weights))
    network("", poisson=1.0)
    message = f"^{re.escape(f'population E.poisson.weight = 1.01: {PART}')}$"
    with pytest.raises(InvalidInputError, match=message):
        network("", poisson=1.01)
    made = edge_network("", tmp_path, "stored", -1.5)
    refused("", made, tmp_path, f"{{folder}}/list.csv: row 1: weight = -1.5: {PART}")


@pytest.mark.parametrize("unit", NEURONS)
@pytest.mark.parametrize(
    ("weight", "rule"),
    [
        (0.2, "rounds to zero on the weight grid of {grid}{unit}"),
        (40000.0, "must be <= 32767 units of {grid}{unit}"),
        (1.2, "is not kept to 1e-3 on the weight grid of {grid}{unit}"),
    ],
)
def test_external_spikes(unit: str, weight: float, rule: str, tmp_path: Path) -> None:
    grid = 1.0 if unit else 2.0**-16
    weight *= grid
    rule = rule.replace("{grid}", f"{grid:g}")
    message = f"population E.poisson.{{key}} = {weight!r}: {rule}"
    refused(unit, network(unit, poisson=weight), tmp_path, message, weight_grid=grid)


@pytest.mark.parametrize("unit", [unit for unit in NEURONS if unit])
def test_external_spikes_beyond_every_grid(unit: str, tmp_path: Path) -> None:
    message = f"population E.poisson.{{key}} = 1e+300: {LARGEST}"
    refused(unit, network(unit, poisson=1e300), tmp_path, message)


@pytest.mark.parametrize("unit", NEURONS)
def test_sums_on_a_given_grid(unit: str, tmp_path: Path) -> None:
    # 600 synapses of 32,000 units; 500 would be below 2^24.
    grid = 2.0**-8 * SCALES[unit]
    sources = tuple(onto_I(125.0 * SCALES[unit]) for _ in range(20))
    message = (
        f"machine.{{grid}} = {grid:g}: the excitatory synapses of neuron 30 (I) sum to "
        f"{20 * 30 * 32_000} units; must be < 2^24 = 16777216"
    )
    refused(unit, network(unit, *sources), tmp_path, message, weight_grid=grid)


@pytest.mark.parametrize("unit", [unit for unit in NEURONS if unit])
def test_sums_beyond_every_grid(unit: str, tmp_path: Path) -> None:
    sources = tuple(onto_I(3e22) for _ in range(20))
    with pytest.raises(InvalidInputError) as error:
        networks.image(network(unit, *sources), tmp_path / "image")
    assert str(error.value).startswith("network.projections = ")
    assert str(error.value).endswith(
        f": a sum of weights in{unit}, must be below 2^24 units of the coarsest grid, 2^60{unit}"
    )


@pytest.mark.parametrize("unit", NEURONS)
@pytest.mark.parametrize(
    ("representation", "weight", "message"),
    [
        ("stored", 1e300, f"row 1: {{key}} = 1e+300: {LARGEST}"),
        ("stored", 0.9, "{key} = [w]: must round to 1 to 32767 units of the weight grid [g]{unit}"),
        ("fitted", 10.5, "edges E->node 0.{key} = [w]: the table does not keep mean and "
                           f"variance to 0.001 on the grid of [g]{{unit}}, {CHOICE}"),
    ],
)  # fmt: skip
def test_edge_lists(
    unit: str, representation: str, weight: float, message: str, tmp_path: Path
) -> None:
    weight, grid = weight * SCALES[unit], 2.0 * SCALES[unit]
    if not unit and weight > 1.0:
        message = f"row 1: {{key}} = {weight!r}: {PART}"
    message = message.replace("[w]", repr(weight)).replace("[g]", f"{grid:g}")
    made = edge_network(unit, tmp_path, representation, weight)
    refused(unit, made, tmp_path, f"{{folder}}/list.csv: {message}", weight_grid=grid)


def stored(unit: str, folder: Path, weight: float) -> Image:
    folder.mkdir()
    made = edge_network(unit, folder, "stored", weight)
    return networks.image(made, folder / "image", weight_grid=0.25 * SCALES[unit])


@pytest.mark.parametrize("unit", NEURONS)
def test_rounding_of_an_edge_list_is_noted(unit: str, tmp_path: Path) -> None:
    scale = SCALES[unit]
    image = stored(unit, tmp_path / "noted", 10.1 * scale)
    assert image.manifest["notes"] == [
        f"rounding to the grid of {0.25 * scale:g}{unit} changes weights of the edge list by up to "
        "0.0099 of their value"
    ]
    assert image.manifest["weight_grid"] == 0.25 * scale
    assert image.manifest["weight_unit"] == (unit.strip() or "1")
    assert image.manifest["edge_fit"]["largest_weight_error"] == pytest.approx(0.1 * scale)
    assert stored(unit, tmp_path / "kept", 10.0 * scale).manifest["notes"] == []


@pytest.mark.parametrize("unit", NEURONS)
def test_column_of_another_unit_is_refused(unit: str, tmp_path: Path) -> None:
    made = edge_network(unit, tmp_path, "stored", 1.0)
    other = KEYS[" mV" if unit == " nS" else " nS"]
    text = (tmp_path / "list.csv").read_text().replace(KEYS[unit], other, 1)
    (tmp_path / "list.csv").write_text(text)
    message = "{folder}/list.csv: column {key} is missing; found: source, target, "
    refused(unit, made, tmp_path, f"{message}{other}, delay_ms")


@pytest.mark.parametrize("unit", NEURONS)
def test_fitted_tables_that_change_the_spread_between_nodes(unit: str, tmp_path: Path) -> None:
    # Each of two nodes keeps its own weight to 1e-3, 1000.4 as 1000 and 1001.6 as 1002.
    grid = 1.0 if unit else 2.0**-10
    source, target = np.divmod(np.arange(900, dtype=np.uint32), np.uint32(30))
    weight = np.where(target < 15, 1000.4, 1001.6) * grid
    edges = Edges(source=source, target=target + 30, weight=weight, delay_ms=np.full(900, 1.5))
    edge_files.write(tmp_path / "list.csv", edges, KEYS[unit])
    listed = EdgeList(path=str(tmp_path / "list.csv"), representation="fitted")
    with pytest.raises(InvalidInputError) as error:
        networks.image(
            network(unit, edges=listed), tmp_path / "image", weight_grid=grid, neurons_per_node=15
        )
    moments = f"{1001 * grid:g} +- {0.6 * grid:.3g}"
    assert str(error.value).startswith(
        f"{tmp_path}/list.csv: E->I: {KEYS[unit]} = {moments}: fitted tables on the grid of "
        f"{grid:g}{unit} change the mean by "
    )
