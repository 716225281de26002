"""docs/models.md is what the code gives; its examples are models, and fire."""

from __future__ import annotations

import math
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from csnn.neurons import documentation, model_tables, operators
from csnn.neurons.composed import base_constants
from csnn.neurons.registry import (
    DESCRIPTIONS,
    Combination,
    combinations,
    model_of,
    named,
    resting_state,
)
from csnn.simulator.plain import PlainSimulator
from csnn.spec.neuron import COUPLINGS, KERNELS, SHARED_COMMENTS, LifNeuron, Neuron
from csnn.spec.toml import dumps, loads
from netgen.build import generate

ROOT = Path(__file__).resolve().parents[4]
WRITTEN = (ROOT / documentation.DEFAULT_PATH).read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r": `(\w+)`\.\n\n```toml\n(.*?)```", WRITTEN, re.DOTALL))


def test_the_document_is_what_the_code_gives(tmp_path: Path) -> None:
    target = tmp_path / "models.md"
    documentation.main([str(target)])
    assert target.read_text(encoding="utf-8") == WRITTEN, "run python -m csnn.neurons.documentation"


@pytest.mark.parametrize(
    ("owner", "name", "value"),
    [
        (documentation, "MAX_SUBSTEPS", 8),
        (operators.Operators, "fadd", 8),
        (DESCRIPTIONS["adex"].parameters, "comments", {"C_m_pF": "something else"}),
        (DESCRIPTIONS["mat2"], "is_held", True),
        (model_tables, "SOLVERS", ("exact", "euler")),
    ],
    ids=["substeps", "fadd", "comments", "is_held", "solvers"],
)
def test_the_document_follows_the_code(
    owner: Any, name: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Defaults of a dataclass are in its constructor.
    if owner is operators.Operators:
        monkeypatch.setattr(owner, "latencies", lambda self: dict.fromkeys(operators.Op, value))
    else:
        monkeypatch.setattr(owner, name, value, raising=False)
    assert documentation.document() != WRITTEN


@pytest.mark.parametrize("neuron", DESCRIPTIONS)
def test_every_parameter_has_a_comment_and_a_row(neuron: str) -> None:
    kind = DESCRIPTIONS[neuron].parameters
    own = {field.name for field in fields(kind)} - {field.name for field in fields(Neuron)}
    assert set(kind.comments) == own
    assert {field.name for field in fields(Neuron)} == set(SHARED_COMMENTS)
    section = WRITTEN[WRITTEN.index(f"### `{neuron}`\n") :]
    section = section[: section.index("\n##", 5)]
    for field in fields(kind):
        if field.name in own:
            row = rf"\| `{field.name}` \| .* \| {re.escape(f'{field.default:g}')} \| .+ \|\n"
            assert re.search(row, section), field.name
    assert "Sources: " in section
    assert "V >= " in section


def test_units_are_those_of_the_names() -> None:
    names = {f.name for d in DESCRIPTIONS.values() for f in fields(d.parameters)}
    without = {name for name in names if not documentation.unit(name)}
    assert without == {"kernel", "coupling", "solver", "substeps", "b"}
    assert documentation.unit("beta_per_ms") == "1/ms"
    assert documentation.unit("tau_m_ms") == "ms"


def test_the_table_of_combinations_is_that_of_the_registry() -> None:
    shown = {}
    reasons = dict(re.findall(r"^\* (\(\d+\)) (.+)$", WRITTEN, re.MULTILINE))
    for neuron in DESCRIPTIONS:
        section = WRITTEN[WRITTEN.index(f"### Models of `{neuron}`") :]
        header, _, *rows = section[section.index("| synapses") :].split("\n\n")[0].splitlines()
        solvers = re.findall(r"`(\w+)`", header)
        for row in rows:
            synapses, *cells = [cell.strip() for cell in row.strip("|").split("|")]
            for solver, cell in zip(solvers, cells, strict=True):
                shown[f"{neuron}_{synapses.strip('`')}_{solver}"] = reasons.get(cell, cell)
    assert shown == {c.name: c.refusal() or "yes" for c in combinations()}
    legal = [c for c in combinations() if c.refusal() is None]
    parts = 15 * sum(c.solver != "exact" for c in legal)
    counts = f"= {len(shown)}\ncombinations {len(legal)} are models, and {parts} more"
    assert counts in WRITTEN


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_are_models_and_fire(name: str, tmp_path: Path) -> None:
    description = loads(EXAMPLES[name])
    assert loads(dumps(description)) == description
    assert {model_of(p.neuron).name for p in description.network.populations} == {name}
    image = generate(description, 1, tmp_path / "image")
    assert image.manifest["model"] == name
    simulator = PlainSimulator(image)
    recording = simulator.run(150)
    assert len(recording.step) > 5
    assert np.isfinite(simulator.state().state.view(np.float32)).all()


def test_neurons_said_to_burst_do(tmp_path: Path) -> None:
    (name,) = (name for name, (text, _) in documentation.EXAMPLES.items() if "bursting" in text)
    recording = PlainSimulator(generate(loads(EXAMPLES[name]), 1, tmp_path / "image")).run(3000)
    steps = [recording.step[recording.source == k] for k in np.unique(recording.source)]
    intervals_ms = 0.1 * np.concatenate([np.diff(found.astype(np.int64)) for found in steps])
    # Those of a regularly spiking neuron are of one length.
    assert np.quantile(intervals_ms, 0.5) < 5.0
    assert np.quantile(intervals_ms, 0.9) > 40.0


@pytest.mark.parametrize("neuron", DESCRIPTIONS)
def test_initial_values_are_told(neuron: str) -> None:
    section = WRITTEN[WRITTEN.index(f"### `{neuron}`\n") :]
    section = section[: section.index("\n##", 5)]
    told = {"izhikevich": "u = b V", "adex": "w = 0", "mat2": "th_1 = th_2 = 0", "lif": None}
    told["amat2"] = "th_1 = th_2 = th_V = x = 0"
    assert re.findall(r"A neuron begins with (.+?)\.", section) == [told[neuron]][: neuron != "lif"]
    parameters = DESCRIPTIONS[neuron].parameters()
    state = resting_state(parameters)
    expected = {"u": pytest.approx(0.2 * -65.0)} if neuron == "izhikevich" else {}
    others = {name: value for name, value in state.items() if name != "V"}
    assert others == {**dict.fromkeys(others, 0.0), **expected}


def test_other_documents_tell_as_many_models() -> None:
    legal = sum(c.refusal() is None for c in combinations())
    for name in ("README.md", "CHANGELOG.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert re.findall(r"\b(\d+) models\b", text) == [str(legal)], name


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == len(documentation.EXAMPLES) == WRITTEN.count("```toml")
    assert {named(name).name for name in EXAMPLES} == set(EXAMPLES)


@pytest.mark.parametrize(("kernel", "coupling"), [(k, c) for k in KERNELS[1:] for c in COUPLINGS])
def test_what_a_spike_evokes_peaks_at_the_weight(kernel: str, coupling: str) -> None:
    rise = {"tau_rise_ex_ms": 0.5} if kernel == "beta" else {}
    neuron = LifNeuron(
        kernel=kernel, coupling=coupling, solver="rk4", tau_syn_ex_ms=2.0, t_ref_ms=0.0, **rise
    )
    step, h_ms = Combination.of(neuron).step, 1e-3
    constants = base_constants(step, neuron, dt_ms=h_ms, weight_grid=1.0, dc_pA=0.0)
    values = dict.fromkeys(step.rates, 0.0) | {step.synapses.arrivals["ex"]: 1.0}
    acting = [values[step.synapses.acting("ex")]]
    for _ in range(4000):
        changes = step.derivatives(constants, values)
        values = {name: values[name] + changes[name] for name in values}
        acting.append(values[step.synapses.acting("ex")])
    expected_ms = {"exp": 0.0, "alpha": 2.0, "beta": math.log(2.0 / 0.5) * 2.0 * 0.5 / (2.0 - 0.5)}
    assert max(acting) == pytest.approx(1.0, rel=1e-3)
    assert acting.index(max(acting)) * h_ms == pytest.approx(expected_ms[kernel], abs=3e-3)
