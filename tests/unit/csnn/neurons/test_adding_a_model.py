"""docs/adding-a-model.md: a neuron takes one file and one line, and then everything works."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from csnn import binary32
from csnn.errors import InvalidInputError
from csnn.neurons import compiled, documentation
from csnn.neurons.evaluate import evaluate
from csnn.neurons.model import NeuronModel
from csnn.neurons.registry import (
    DESCRIPTIONS,
    MODELS,
    Combination,
    combinations,
    described,
    model_of,
)
from csnn.simulator.fast import FastSimulator
from csnn.simulator.plain import PlainSimulator
from csnn.spec.neuron import Neuron
from csnn.spec.toml import dumps, loads
from netgen.build import generate

ROOT = Path(__file__).resolve().parents[4]
DOCUMENT = (ROOT / "docs" / "adding-a-model.md").read_text(encoding="utf-8")
PLACE = "qif_neuron:Qif"
DT_MS = 0.1


def block(before: str) -> str:
    """Return the code block of the document that follows a text."""
    found = re.search(re.escape(before) + r"\n```\w+\n(.*?)```", DOCUMENT, re.DOTALL)
    assert found is not None, before
    return found[1]


FILE = block("<!-- file: tests/qif_neuron.py -->")
LINE = block("<!-- line -->")
NETWORK = block("## What then works\n")


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Register the example by one line, for as long as a test takes."""
    monkeypatch.setitem(DESCRIPTIONS, "qif", described(PLACE)["qif"])
    yield
    for name in [name for name in MODELS if name.startswith("qif_")]:
        del MODELS[name]


def parameters(**values: Any) -> Neuron:
    return DESCRIPTIONS["qif"].parameters(**values)


def legal() -> list[Combination]:
    return [c for c in combinations() if c.neuron == "qif" and c.refusal() is None]


def constants(model: NeuronModel, neuron: Neuron, dc_pA: float) -> dict[str, Any]:
    return model.constants(neuron, dt_ms=DT_MS, weight_grid=2.0**-4, dc_pA=dc_pA)


def test_the_document_shows_the_file() -> None:
    assert (ROOT / "tests" / "qif_neuron.py").read_text(encoding="utf-8") == FILE


def test_the_places_that_know_neurons_are_there() -> None:
    rows = re.findall(r"^\| `([\w/]+\.py)`, (.+?) \|", DOCUMENT, re.MULTILINE)
    assert len(rows) == 9
    for path, names in rows:
        text = (ROOT / path).read_text(encoding="utf-8")
        for name in re.findall(r"`(\w+)`", names):
            assert re.search(rf"\b{name}\b", text), (path, name)


def test_without_the_line_there_is_no_such_neuron(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(DESCRIPTIONS, "qif")
    with pytest.raises(InvalidInputError, match=r"neuron\.model = 'qif'"):
        loads(NETWORK)


PROGRAM = """
import json, sys
from pathlib import Path
from csnn.neurons import documentation
from csnn.neurons.registry import combinations, model_of
from csnn.spec.toml import loads
neuron = loads(Path("network.toml").read_text()).network.populations[0].neuron
print(json.dumps({
    "file": documentation.__file__,
    "model": model_of(neuron).name,
    "models": sum(c.neuron == "qif" and c.refusal() is None for c in combinations()),
    "documented": "### `qif`" in documentation.document(),
}))
"""


def test_one_file_and_one_line_are_all_that_the_package_needs(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "data")
    shutil.copytree(ROOT / "csnn", tmp_path / "csnn", ignore=ignored)
    (tmp_path / "csnn/neurons/models/qif.py").write_text(FILE, encoding="utf-8")
    registry = tmp_path / "csnn/neurons/registry.py"
    before = registry.read_text(encoding="utf-8").splitlines(keepends=True)
    last = max(i for i, line in enumerate(before) if '"csnn.neurons.models.' in line)
    assert LINE.count("\n") == 1
    registry.write_text("".join([*before[: last + 1], LINE, *before[last + 1 :]]), "utf-8")
    (tmp_path / "network.toml").write_text(NETWORK, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found.pop("file").startswith(str(tmp_path))
    assert found == {"model": "qif_exp_coba_rk4", "models": 72, "documented": True}


def test_all_combinations_but_exact_ones_are_models() -> None:
    every = [c for c in combinations() if c.neuron == "qif"]
    assert len(every) == 80
    assert {c.solver for c in every if c.refusal() is not None} == {"exact"}
    assert len(legal()) == 72


def test_every_model_steps_from_rest_to_numbers() -> None:
    for combination in legal():
        neuron = parameters(
            kernel=combination.kernel, coupling=combination.coupling, solver=combination.solver
        )
        model = model_of(neuron)
        assert model.name == combination.name
        floats = dict.fromkeys(model.float_states, np.float32(0.0))
        after, outputs = evaluate(
            model.graph,
            state={**floats, "refractory": np.int32(0)},
            inputs={"ss_ex": np.int32(3), "ss_in": np.int32(2)},
            constants=constants(model, neuron, 100.0),
        )
        assert not outputs["spike"]
        assert all(np.isfinite(after[name]) for name in model.float_states), model.name
        assert after["V"] != 0.0, model.name


@pytest.mark.parametrize(
    "values",
    [
        {"coupling": "coba", "solver": "rk4"},
        {"kernel": "delta", "solver": "euler", "substeps": 2},
        {"kernel": "alpha", "solver": "ps3"},
    ],
    ids=lambda values: model_name(values),
)
def test_compiled_updates_are_numpy_s(values: dict[str, Any]) -> None:
    neuron = parameters(t_ref_ms=0.2, **values)
    model, n = model_of(neuron), 2000
    words = constants(model, neuron, 50.0)
    rng = np.random.default_rng(1)
    state = rng.normal(0.0, 40.0, (len(model.float_states), n)).astype(np.float32)
    state[:, ::3] = binary32.from_bits(rng.integers(0, 2**32, state[:, ::3].shape, dtype=np.uint32))
    refractory = rng.choice([0, 0, 1, 2], n).astype(np.int32)
    inputs = rng.choice([0, 1, 1405, 2**24 - 1], (2, n)).astype(np.int32)
    after, outputs = evaluate(
        model.graph,
        state={**dict(zip(model.float_states, state, strict=True)), "refractory": refractory},
        inputs={"ss_ex": inputs[0], "ss_in": inputs[1]},
        constants=words,
    )
    spiked = np.zeros(n, dtype=np.uint8)
    compiled.load(model).step(state, refractory, *inputs, *model.pack(words), spiked, n)
    expected = np.stack([after[name] for name in model.float_states])
    assert np.array_equal(state.view(np.uint32), expected.view(np.uint32))
    assert np.array_equal(refractory, after["refractory"])
    assert np.array_equal(spiked, outputs["spike"])
    assert 0 < spiked.sum() < n


def model_name(values: dict[str, Any]) -> str:
    kernel, coupling = values.get("kernel", "exp"), values.get("coupling", "cuba")
    return f"{kernel}_{coupling}_{values['solver']}"


def course(neuron: Neuron, steps: int, *, dc_pA: float, current_pA: float) -> tuple[Any, Any]:
    """Return V relative to E_L after each step, and the steps of spikes, from rest on."""
    model = model_of(neuron)
    words = constants(model, neuron, dc_pA)
    state: dict[str, Any] = dict.fromkeys(model.float_states, np.float32(0.0))
    state |= {"I_ex": np.float32(current_pA * 2.0**4), "refractory": np.int32(0)}
    none = {"ss_ex": np.int32(0), "ss_in": np.int32(0)}
    V, spikes = [], []
    for step in range(1, steps + 1):
        state, outputs = evaluate(model.graph, state=state, inputs=none, constants=words)
        V.append(float(state["V"]))
        if outputs["spike"]:
            spikes.append(step)
    return np.array(V), spikes


def reference(dc_pA: float, current_pA: float, V_mV: float, span_ms: float) -> Any:
    """Integrate the equations of the docstring, with the potentials as they are."""

    def change(t: float, y: Any) -> list[float]:
        V, current = y
        membrane = 10.0 * (V + 65.0) * (V + 50.0) / (-50.0 + 65.0)
        return [(membrane + current + dc_pA) / 200.0, -current / 0.5]

    def peak(t: float, y: Any) -> float:
        return float(y[0] - 20.0)

    peak.terminal = True  # type: ignore[attr-defined]
    start, tight = [V_mV, current_pA], {"rtol": 1e-10, "atol": 1e-10}
    return solve_ivp(change, (0.0, span_ms), start, events=peak, dense_output=True, **tight)


def test_potentials_are_those_of_the_equations() -> None:
    steps, drive = 200, {"dc_pA": 60.0, "current_pA": 100.0}
    exact = reference(**drive, V_mV=-65.0, span_ms=21.0).sol(np.arange(1, steps + 1) * DT_MS)[0]

    def error(solver: str, substeps: int = 1) -> float:
        V, spikes = course(parameters(solver=solver, substeps=substeps), steps, **drive)
        assert not spikes
        return float(np.abs(V - 65.0 - exact).max())

    assert error("euler") == pytest.approx(2.0 * error("euler", 2), rel=0.1)
    assert error("rk2") < error("euler") / 10
    for solver in ("rk4", "ps4"):
        assert error(solver) < 2e-5, solver


def test_spikes_come_when_the_equations_reach_the_peak() -> None:
    neuron = parameters(t_ref_ms=1.0)
    first = reference(800.0, 0.0, -65.0, 100.0).t_events[0][0]
    period = reference(800.0, 0.0, -60.0, 100.0).t_events[0][0]
    _, spikes = course(neuron, 400, dc_pA=800.0, current_pA=0.0)
    # A spike belongs to the step in which the peak is passed, and every interval begins with one.
    expected = [int(np.ceil(first / DT_MS))]
    while expected[-1] + 10 + int(np.ceil(period / DT_MS)) <= 400:
        expected.append(expected[-1] + 10 + int(np.ceil(period / DT_MS)))
    assert len(expected) > 2
    assert spikes == expected


def test_bad_parameters_are_refused() -> None:
    for field, value in (("V_reset_mV", 20.0), ("V_c_mV", -65.0), ("g_L_nS", 0.0)):
        with pytest.raises(InvalidInputError, match=rf"neuron\.({field}|E_L_mV) = "):
            parameters(**{field: value})


def test_network_from_toml(tmp_path: Path) -> None:
    description = loads(NETWORK)
    text = dumps(description)
    assert loads(text) == description
    assert re.search(r"V_c_mV += -50\.0 +# potential from which a spike comes by itself", text)
    image = generate(description, 1, tmp_path / "image")
    assert image.manifest["model"] == "qif_exp_coba_rk4"
    assert image.manifest["weight_unit"] == "nS"
    simulator = PlainSimulator(image)
    recording = simulator.run(200)
    assert len(recording.step) > 10
    state = simulator.state()
    assert np.isfinite(state.state.view(np.float32)).all()


@pytest.mark.slow
def test_fast_simulator_gives_the_same_words(tmp_path: Path) -> None:
    image = generate(loads(NETWORK), 1, tmp_path / "image")
    plain, fast = PlainSimulator(image), FastSimulator(image, threads=2)
    expected, found = plain.run(500), fast.run(500)
    assert np.array_equal(expected.step, found.step)
    assert np.array_equal(expected.source, found.source)
    assert len(found.step) > 20
    assert plain.state().first_difference(fast.state()) is None


def test_models_md_would_show_it() -> None:
    text = documentation.document()
    assert "### `qif`\n\nThe quadratic integrate-and-fire neuron." in text
    assert "### Models of `qif`: 72 of 80" in text
