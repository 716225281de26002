"""The part of a report about the neuron model: which one ran, and with which parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from csnn.neurons.registry import DESCRIPTIONS
from csnn.report.markup import definitions, disclosure, escape, section, table
from csnn.spec.neuron import SHARED_COMMENTS, Neuron, unit

COUPLINGS = {"cuba": "currents (cuba)", "coba": "conductances (coba)"}
# More populations than these in the head of a column are told below the table.
_NAMED = 3


def describe(model: str, populations: Sequence[tuple[str, Neuron]], dt_ms: float) -> dict[str, Any]:
    """Return what a result says of the neurons of a run.

    Parameters
    ----------
    model : str
        Name of the model.
    populations : sequence of (name, Neuron)
        Their parameters; all have one model.
    dt_ms : float
        Length of a step.

    Returns
    -------
    dict
        `model`, `neuron`, `kernel`, `coupling`, `solver`, `substeps`, `substep_ms`, and
        `parameters`: of each group of populations with equal ones a dict of their names,
        `populations`, and of the values that have a meaning, `values`, whose keys end in the unit.
    """
    groups: dict[Neuron, list[str]] = {}
    for name, neuron in populations:
        groups.setdefault(neuron, []).append(name)
    first = populations[0][1]
    choices = ("kernel", "coupling", "solver", "substeps")
    return {
        "model": model,
        "neuron": first.model,
        **{name: getattr(first, name) for name in choices},
        "substep_ms": dt_ms / first.substeps,
        "parameters": [
            {
                "populations": names,
                "values": {
                    field: getattr(neuron, field)
                    for field in (*neuron.comments, *SHARED_COMMENTS)
                    if field not in choices and neuron.means(field)
                },
            }
            for neuron, names in groups.items()
        ],
    }


def neurons(found: Mapping[str, Any] | None) -> str:
    """Return the section; nothing if the result says nothing of its neurons."""
    if not found:
        return ""
    facts = {
        "model": found["model"],
        "neuron": found["neuron"],
        "synaptic kernel": found["kernel"],
        "synapses are": COUPLINGS.get(found["coupling"], found["coupling"]),
        "solver": found["solver"],
        "substeps": f"{found['substeps']} per step, {found['substep_ms']:g} ms each",
    }
    groups = found["parameters"]
    comments = dict(SHARED_COMMENTS)
    if found["neuron"] in DESCRIPTIONS:
        comments.update(DESCRIPTIONS[found["neuron"]].parameters.comments)
    head = ["parameter", *(_heading(group["populations"], len(groups)) for group in groups)]
    rows, marked = [], []
    for field in groups[0]["values"]:
        values = [_value(field, group["values"][field]) for group in groups]
        rows.append([_label(field, comments), *values])
        marked.append(len(set(values)) > 1)
    folded = "".join(
        f"<p>{escape(', '.join(group['populations']))}</p>"
        for group in groups
        if len(groups) > 1 and len(group["populations"]) > _NAMED
    )
    return section(
        "Neuron model",
        definitions(facts)
        + table(head, rows, marked)
        + disclosure("Populations with equal parameters", folded),
    )


def _heading(names: Sequence[str], n_groups: int) -> str:
    if n_groups == 1:
        return "value" if len(names) == 1 else "all populations"
    if len(names) <= _NAMED:
        return ", ".join(names)
    return f"{names[0]} and {len(names) - 1} more"


def _label(field: str, comments: Mapping[str, str]) -> str:
    ending = f"_{unit(field).replace('1/', 'per_')}"
    symbol = field.removesuffix(ending)
    return f"{symbol}: {comments[field]}" if field in comments else symbol


def _value(field: str, value: float) -> str:
    return f"{value:g} {unit(field)}".strip()
