"""The tables of docs/models.md that go through all models."""

from __future__ import annotations

from collections.abc import Iterable

from csnn.markdown import table
from csnn.neurons.graph import Graph, Op
from csnn.neurons.operators import Operators
from csnn.neurons.registry import DESCRIPTIONS, Combination, combinations
from csnn.spec.neuron import COUPLINGS, KERNELS, SOLVERS

INPUTS = [(kernel, coupling) for kernel in KERNELS for coupling in COUPLINGS]


def legal(found: Iterable[Combination]) -> list[Combination]:
    """Return those combinations that are models."""
    return [combination for combination in found if combination.refusal() is None]


def _header(first: str) -> tuple[str, ...]:
    return first, *(f"`{solver}`" for solver in SOLVERS)


def _row(neuron: str, kernel: str, coupling: str) -> list[Combination]:
    """Return the combinations of a row, one per solver."""
    return [
        Combination(neuron=neuron, kernel=kernel, coupling=coupling, solver=solver)
        for solver in SOLVERS
    ]


def combined() -> str:
    """Return which combinations are models, and why the others are not."""
    marks: dict[str, str] = {}

    def cell(combination: Combination) -> str:
        reason = combination.refusal()
        return "yes" if reason is None else marks.setdefault(reason, f"({len(marks) + 1})")

    sections = []
    for neuron in DESCRIPTIONS:
        rows = [
            (f"`{kernel}_{coupling}`", *map(cell, _row(neuron, kernel, coupling)))
            for kernel, coupling in INPUTS
        ]
        every = [c for c in combinations() if c.neuron == neuron]
        title = f"### Models of `{neuron}`: {len(legal(every))} of {len(every)}"
        sections.append(f"{title}\n\n{table(_header('synapses'), rows)}\n")
    reasons = "\n".join(f"* {mark} {reason}" for reason, mark in marks.items())
    return f"""## Combinations

{reasons}

With `delta` no synapse acts between jumps, so that a linear neuron is integrated exactly with
`delta_coba`, too.

{chr(10).join(sections)}"""


def operators() -> str:
    """Return what the graphs of models with exponential synapses are made of."""
    latencies = Operators().latencies()

    def all_of(graph: Graph) -> str:
        return f"{sum(graph.operator_counts().values())} / {graph.latency(latencies)}"

    arithmetic, whole = [], []
    for neuron in DESCRIPTIONS:
        for coupling in COUPLINGS:
            name = f"`{neuron}_exp_{coupling}`"
            found = _row(neuron, "exp", coupling)
            graphs = [c.step.graph if c.refusal() is None else None for c in found]
            arithmetic.append((name, *(_arithmetic(g) if g else "" for g in graphs)))
            whole.append((name, *(all_of(g) if g else "" for g in graphs)))
    return f"""## Operators of a step

With exponential synapses: additions and subtractions / multiplications, and / exponentials where
there are some.

{table(_header("model"), arithmetic)}

All operators, comparisons, selections and conversions among them / latency of a pipeline in cycles,
with the latencies of `csnn/neurons/operators.py`:

{table(_header("model"), whole)}
"""


def _arithmetic(graph: Graph) -> str:
    counts = graph.operator_counts()
    sums = counts.get(Op.FADD, 0) + counts.get(Op.FSUB, 0)
    exponentials = f" / {counts[Op.FEXP]}" if Op.FEXP in counts else ""
    return f"{sums} / {counts.get(Op.FMUL, 0)}{exponentials}"
