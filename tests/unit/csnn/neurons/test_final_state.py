"""What the last state words of a run warn of."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from csnn.binary32 import F32
from csnn.neurons.final_state import membrane_lengths, warnings_of
from csnn.neurons.registry import DESCRIPTIONS, Combination, resting_state
from csnn.spec.network import Population
from csnn.spec.neuron import Neuron

DT_MS, GRID = 0.1, 2.0**-4
N = 5


def conducting(name: str, **values: Any) -> Neuron:
    given = {"coupling": "coba", "solver": "euler", **values}
    return DESCRIPTIONS[name].parameters(**given)


def rows(neuron: Neuron, **words: float) -> F32:
    """Return the state of N neurons at rest, the third of which has other words."""
    state = {name: np.full(N, value) for name, value in resting_state(neuron).items()}
    for name, value in words.items():
        state[name][2] = value
    return np.array(list(state.values()), np.float32)


def warned(*parts: tuple[str, Neuron, F32]) -> list[str]:
    populations = [Population(name=name, size=N, neuron=neuron) for name, neuron, _ in parts]
    state = np.concatenate([state for *_, state in parts], axis=1)
    return warnings_of(populations, state, dt_ms=DT_MS, weight_grid=GRID, step=7)


def conductance(neuron: Any, length: float) -> float:
    """Return the word of a conductance that by itself makes a step so long."""
    capacity = 1.0 if neuron.model == "izhikevich" else neuron.C_m_pF
    return length * capacity / DT_MS / GRID


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_words_that_are_no_finite_numbers(value: float) -> None:
    neuron = conducting("adex")
    state = rows(neuron, w=value)
    assert warned(("A", neuron, rows(neuron)), ("B", neuron, state)) == [
        f"population B: state of 1 of {N} neurons is no finite number after step 7 (w); a smaller "
        "dt_ms or more substeps may help"
    ]


@pytest.mark.parametrize("name", DESCRIPTIONS)
@pytest.mark.parametrize("solver", ["euler", "rk4", "ps4"])
def test_the_leak_and_both_conductances_count(name: str, solver: str) -> None:
    neuron = conducting(name, solver=solver)
    state = rows(neuron, g_ex=conductance(neuron, 1.25), g_in=conductance(neuron, 2.5))
    step = Combination.of(neuron).step
    found = membrane_lengths(step, neuron, state, dt_ms=DT_MS, weight_grid=GRID)
    slope = {
        "lif": 1 / 10.0,
        "mat2": 1 / 5.0,
        "amat2": 1 / 10.0,
        "izhikevich": 2 * 0.04 * 65.0 - 5.0,
        "adex": 30.0 * (1.0 - np.exp(-20.2 / 2.0)) / 281.0,
    }[name]
    expected = DT_MS * slope + np.where(np.arange(N) == 2, 3.75, 0.0)
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_conductances_too_large_for_a_step(name: str) -> None:
    """Beside a population in which they are not; where V is does not matter."""
    neuron = conducting(name)
    quiet = rows(neuron, g_in=conductance(neuron, 1.5), V=-1e6)
    loud = rows(neuron, g_in=conductance(neuron, 7.0))
    [warning] = warned(("A", neuron, quiet), ("B", neuron, loud))
    assert re.fullmatch(
        rf"population B: conductances make V of 1 of {N} neurons decay too fast for euler after "
        r"step 7: dt_ms is up to 7(\.0\d*)? time constants, and must be shorter than 2; spikes may "
        r"come of that alone; substeps = 4 would do",
        warning,
    )


def test_parts_of_a_step_count() -> None:
    for substeps, length, ending in (
        (3, 7.0, "dt_ms / 3 is up to 2.337 time constants, and must be shorter than 2; spikes may "
         "come of that alone; substeps = 4 would do"),
        (4, 7.0, None),
        (2, 1e4, "spikes may come of that alone; dt_ms must be smaller"),
    ):  # fmt: skip
        neuron = conducting("lif", substeps=substeps)
        found = warned(("A", neuron, rows(neuron, g_ex=conductance(neuron, length))))
        assert [warning.endswith(ending or "") for warning in found] == [True] * bool(ending)


def test_currents_are_not_meant() -> None:
    for values in ({"coupling": "cuba"}, {"coupling": "coba", "kernel": "delta"}):
        neuron = conducting("adex", **values)
        assert warned(("A", neuron, rows(neuron, V=-1e6, w=1e6))) == []


def test_conductances_that_are_no_numbers_are_told_once() -> None:
    neuron = conducting("lif")
    [warning] = warned(("A", neuron, rows(neuron, g_ex=np.inf)))
    assert "no finite number" in warning
