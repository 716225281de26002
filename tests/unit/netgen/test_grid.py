"""The weight grid: bounds exactly where the documentation puts them, a hair to either side."""

from __future__ import annotations

from pathlib import Path

import networks
import numpy as np
import pytest

from csnn.edges import Edges
from csnn.errors import InvalidInputError
from csnn.image.store import Image
from csnn.spec.network import PoissonInput
from netgen.grid import GridTooFineError, choose_exponent, ext_weight_units, prove_sums

LIMIT = 2**24


def prove(excitatory: int, inhibitory: int, ext_weight: int = 0) -> None:
    sums = np.array([[0, excitatory, 5], [0, 7, inhibitory]], dtype=np.int64)
    prove_sums(sums, ext_weight, 1.0, "E", 40)


@pytest.mark.parametrize("ext_weight", [0, 1, 32767])
def test_sums_must_stay_below_2_to_the_24(ext_weight: int) -> None:
    most = LIMIT - 1 - 31 * ext_weight
    prove(most, LIMIT - 1, ext_weight)
    with pytest.raises(GridTooFineError, match=rf"excitatory .* neuron 41 .* {LIMIT} units"):
        prove(most + 1, LIMIT - 1, ext_weight)
    # External spikes are excitatory only.
    with pytest.raises(GridTooFineError, match=rf"inhibitory .* neuron 42 .* {LIMIT} units"):
        prove(most, LIMIT, ext_weight)


@pytest.mark.parametrize("exponent", [-9, 0, 7])
def test_the_chosen_grid_keeps_sums_below_2_to_the_24(exponent: int) -> None:
    network, grid = networks.driven(3, poisson=None), 2.0**exponent
    assert choose_exponent(network, grid, {"E": (LIMIT - 1) * grid}) == exponent
    assert choose_exponent(network, grid, {"E": LIMIT * grid}) == exponent + 1
    # The largest weight counts on its own.
    assert choose_exponent(network, 32767 * grid, {"E": 0.0}) == exponent
    assert choose_exponent(network, 32768 * grid, {"E": 0.0}) == exponent + 1


def test_external_spikes_count_in_the_chosen_grid() -> None:
    network = networks.driven(3, poisson=PoissonInput(rate_hz=1.0, weight=16.0))
    most = LIMIT - 1 - 31 * 16
    assert choose_exponent(network, 1.0, {"E": most}) == 0
    assert choose_exponent(network, 1.0, {"E": most + 1}) == 1


# 250.25 units are changed by 0.999e-3 of their value, 249.75 by 1.001e-3.
@pytest.mark.parametrize("grid", [1.0, 2.0**-9, 8.0])
def test_external_weights_are_kept_to_one_thousandth(grid: float) -> None:
    for units, rounded in ((250.249, 250), (249.751, 250), (1e4 + 0.49, 10_000), (1.0009, 1)):
        assert ext_weight_units(units * grid, grid, "weight") == rounded
    for units in (250.251, 249.749, 1.0011, 0.9989, 400.45, 50.4):
        with pytest.raises(InvalidInputError, match=r"^weight = .* is not kept to 1e-3"):
            ext_weight_units(units * grid, grid, "weight")


def edge_image(folder: Path, weight_units: float) -> Image:
    """Return an image of an edge list with this weight and -7 units, on a grid of 1/4 pA."""
    edges = Edges(
        source=np.array([0, 70], dtype=np.uint32),
        target=np.array([1, 2], dtype=np.uint32),
        weight=np.array([weight_units, -7.0]) / 4.0,
        delay_ms=np.array([0.1, 0.1]),
    )
    folder.mkdir()
    network = networks.edge_network(folder, "stored", edges)
    return networks.image(network, folder / "image", weight_grid=0.25)


def test_edge_weights_changed_by_more_than_one_thousandth_are_noted(tmp_path: Path) -> None:
    for number, units in enumerate((250.0, 250.249, 249.751, -250.249)):
        image = edge_image(tmp_path / f"quiet{number}", units)
        assert image.manifest["notes"] == []
    for number, units in enumerate((250.251, 249.749, -250.251, 40.4)):
        image = edge_image(tmp_path / f"noted{number}", units)
        error = abs(units - round(units)) / abs(units)
        assert image.manifest["edge_fit"]["largest_relative_error"] == pytest.approx(error)
        assert image.manifest["notes"] == [
            "rounding to the grid of 0.25 pA changes weights of the edge list by up to "
            f"{error:.2g} of their value"
        ]
