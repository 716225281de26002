"""Writes docs/models.md from the descriptions of neurons, their synapses and solvers.

`python -m csnn.neurons.documentation` writes it; a test compares the file with `document()`.
Equations are those of the docstrings of the files that hold them.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from dataclasses import Field, fields
from pathlib import Path

from csnn.files import atomic_file
from csnn.markdown import table
from csnn.neurons import composition, model_tables, series, solvers, synapses
from csnn.neurons.description import NeuronDescription
from csnn.neurons.examples import EXAMPLES
from csnn.neurons.model_tables import INPUTS, legal
from csnn.neurons.registry import DESCRIPTIONS, Combination, combinations
from csnn.neurons.synapses import Synapses
from csnn.spec.neuron import (
    COUPLINGS,
    KERNELS,
    MAX_SUBSTEPS,
    SHARED_COMMENTS,
    SOLVERS,
    LifNeuron,
    Neuron,
    unit,
    weight_key,
)

DEFAULT_PATH = "docs/models.md"
_WEIGHTS = {
    "pA": "peak of the current that a spike evokes",
    "nS": "peak of the conductance that a spike evokes",
    "mV": "jump of V",
    "1": "part of the way to the reversal potential by which V jumps, at most 1",
}


def document() -> str:
    """Return the text of docs/models.md."""
    parts = (
        *(_introduction(), _descriptions(), _neurons(), _shared()),
        *(_synapses(), _step(), _solvers(), model_tables.combined(), model_tables.operators()),
    )
    return "\n".join(parts)


def _introduction() -> str:
    every = list(combinations())
    models = legal(every)
    parts = sum(combination.solver != "exact" for combination in models) * (MAX_SUBSTEPS - 1)
    sizes = " x ".join(str(len(x)) for x in (DESCRIPTIONS, KERNELS, COUPLINGS, SOLVERS))
    return f"""# Neuron models

Generated from the code by `python -m csnn.neurons.documentation`; do not edit.

A model is a neuron with a kernel and a coupling of its synapses and a solver of its equations, and
its name says which: `adex_exp_coba_rk4`. A solver may divide a step into parts, which stand at the
end: `adex_exp_coba_rk4_x4` takes four of 0.025 ms in a step of 0.1 ms. Of {sizes} = {len(every)}
combinations {len(models)} are models, and {parts} more by 2 to {MAX_SUBSTEPS} parts;
[the others](#combinations) are refused with the reason.

LIF with exponential currents and exact integration is the machine's own model, `lif`. What all
models share, and why a model is made so, is in [decision 8](decisions/0008-neuron-models.md); how
to add a neuron in [adding-a-model.md](adding-a-model.md).
"""


def _descriptions() -> str:
    examples = "\n".join(
        f"{text}: `{name}`.\n\n```toml\n{toml.strip()}\n```\n"
        for name, (text, toml) in EXAMPLES.items()
    )
    return f"""## In a description

A table `[neuron]` names the model by the keys `model` (the neuron), `kernel`, `coupling`, `solver`
and `substeps`; what it leaves out has the default. Populations may have other parameters, but all
populations of a network have one model. `csnn show` prints a description with all parameters.

{examples}"""


def _neurons() -> str:
    return "## Neurons\n\n" + "\n".join(_neuron(found) for found in DESCRIPTIONS.values())


def docstring(subject: object) -> tuple[str, str, str]:
    """Return title, text and sources of the docstring of a module."""
    text = inspect.cleandoc(subject.__doc__ or "")
    text, _, sources = text.partition("\n\nReferences\n----------\n")
    title, _, body = text.partition("\n")
    return title, body.strip("\n"), " ".join(sources.split())


def _sentence(title: str) -> str:
    """Return a title without the word that a heading says already."""
    text = title.partition(": ")[2]
    return text[:1].upper() + text[1:]


def _default(field: Field[object]) -> str:
    return f"`{field.default}`" if isinstance(field.default, str) else f"{field.default:g}"


def _neuron(neuron: NeuronDescription) -> str:
    title, body, sources = docstring(sys.modules[type(neuron).__module__])
    kind = neuron.parameters
    by_name = {field.name: field for field in fields(kind)}
    usual = {field.name: field for field in fields(Neuron)}
    rows = [
        (f"`{name}`", unit(name), _default(by_name[name]), comment)
        for name, comment in kind.comments.items()
    ]
    rows += [
        (f"`{name}`", unit(name), _default(by_name[name]), SHARED_COMMENTS[name])
        for name in usual
        if by_name[name].default != usual[name].default
    ]
    parameters = table(("parameter", "unit", "default", "meaning"), rows)
    origin = (inspect.getdoc(kind) or "").partition("\n")[0]
    return f"""### `{neuron.name}`

{title}

{body}

Sources: {sources}

{_states(neuron)}

{origin}

{parameters}
"""


def _states(neuron: NeuronDescription) -> str:
    """Tell which state variables a neuron has beside those of its synapses."""
    plain = Combination(neuron=neuron.name, kernel="delta", coupling="cuba", solver="euler").step
    text = f"State: {', '.join(plain.states)}. "
    is_relative = neuron.rest_mV(neuron.parameters()) != 0.0
    text += f"V is {'relative to E_L' if is_relative else 'the potential itself'}"
    text += (
        ", and stands still while the neuron is refractory."
        if neuron.is_held
        else ", and goes on while the neuron is refractory; it does not fire then."
    )
    given = neuron.initial(neuron.parameters(), 1.0)
    zero = [name for name in plain.states if name != "V" and name not in given]
    if zero:
        text += f" A neuron begins with {' = '.join(zero)} = 0."
    if neuron.bounds:
        text += f" [Bounded](#a-step) within a step: {', '.join(neuron.bounds)}."
    return text


def _shared() -> str:
    def use(name: str) -> str:
        kernels = [k for k in KERNELS if LifNeuron(kernel=k, coupling="coba").means(name)]
        couplings = [c for c in COUPLINGS if LifNeuron(kernel="beta", coupling=c).means(name)]
        if len(kernels) < len(KERNELS):
            return ", ".join(kernels)
        return "" if len(couplings) == len(COUPLINGS) else ", ".join(couplings)

    rows = [
        (f"`{f.name}`", unit(f.name), _default(f), SHARED_COMMENTS[f.name], use(f.name))
        for f in fields(Neuron)
    ]
    return f"""## Parameters of all neurons

A parameter that has no meaning with the kernel or coupling is refused unless it has its default
value. Defaults are the same for all neurons, where the tables above do not give another one; those
of synapses in NEST differ from model to model.

{table(("parameter", "unit", "default", "meaning", "only with"), rows)}
"""


def _synapses() -> str:
    rows = []
    for kernel, coupling in INPUTS:
        of = Synapses(kernel=kernel, coupling=coupling)
        measure = LifNeuron(kernel=kernel, coupling=coupling).weight_unit
        states = ", ".join(of.states) or "none"
        key = weight_key(measure)
        rows.append((f"`{kernel}_{coupling}`", states, f"`{key}`", _WEIGHTS[measure]))
    title, body, _ = docstring(synapses)
    return f"""## Synapses

{_sentence(title)}
{body}

A weight is positive if it excites and negative if it inhibits, whatever kernel and coupling; its
sign chooses the side, and its magnitude is rounded to the [grid](numerics.md) of the image, a power
of two of its unit. The key of a weight in a description has its unit, and another one is refused:

{table(("synapses", "state", "key", "a weight is the"), rows)}

Edge lists name their column likewise, and `[machine]` the grid: `weight_grid_pA`,
`weight_grid_nS`, `weight_grid_mV` or `weight_grid`. `I_ex_init_pA` and `I_in_init_pA` are for
models that have I_ex and I_in; other states of synapses begin with zero.
"""


def _step() -> str:
    _, body, _ = docstring(composition)
    return f"""## A step

{body}

- **Parts.** With n parts each is a step of the solver over dt / n; what arrives is added after the
  last one. `exact` has no parts.
- **Refractory neurons.** Where V stands still, every equation that reads V sees the V that stands
  still, at every stage of a solver; the other state variables go on. The counter begins with
  t_ref / dt at a spike and loses one per step.
- **Bounds.** Where equations run away to infinity in finite time, V counts as its threshold once it
  is beyond, at each stage and after each part, so that a step towards the threshold ends with
  numbers. Nothing bounds V from below: far under every resting potential a series, or a recovery
  variable as far off, may take it to minus infinity without a spike. A V that is no number counts
  as a spike. A series tells nothing beyond its radius: if it
  takes V over the threshold, the neuron's other variables take a step of the first order.
- **Direct current.** One constant, `C_dc`, holds it, and it alone changes when the current changes.
- **Rounding.** Constants are computed in float64, per part of a step, and rounded to binary32 once.
  Each operation of a step rounds on its own; sums add neighbours in pairs. exp is
  defined bit for bit as well (`csnn/exponential.py`).
"""


def _solvers() -> str:
    title, body, _ = docstring(solvers)
    return f"""## Solvers

{_sentence(title)}

{body}

What decays with a time constant of its parameters, synaptic input, membrane, adaptation or a part
of the threshold, must do so in a step, too: a longer step of an explicit solver, or one at the
limit, would make it grow or stay for ever, and is refused. The message names the parameter and the
least `substeps` that will do. Stable is not accurate: near the limit a decay changes its sign from
step to step, or takes far too long.

How a conductance or a power of V adds to a decay, and how variables act on each other (V and AdEx's
w with a large `a_nS`), depends on the state or on several parameters, and is not refused. It seldom
shows as words that are no numbers: V overshoots the threshold, and the reset puts it back, so that
the neuron fires by the solver alone. A run warns if state words are no finite numbers after its
last step, and if the conductances that neurons have then make V decay too fast for a step, with the
`substeps` that would do. What was so at other times, or has another reason, is not seen: compare
with half the step.

{_limits()}

Sources of the series: {docstring(series)[2]}
"""


def _limits() -> str:
    """Return what the steps of the explicit solvers must be shorter than."""
    groups: dict[str, list[str]] = {}
    for solver in SOLVERS:
        if solver != "exact":
            groups.setdefault(f"{solvers.stability_limit(solver):.4g}", []).append(f"`{solver}`")
    rows = [(", ".join(names), limit) for limit, names in groups.items()]
    return table(("solver", "a step or part of one is shorter than, in time constants"), rows)


def main(arguments: Sequence[str]) -> None:
    """Write the document to the given path, docs/models.md if none is given."""
    target = arguments[0] if arguments else DEFAULT_PATH
    with atomic_file(target) as path:
        Path(path).write_text(document(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
