"""docs/numerics.md states what the code says."""

from __future__ import annotations

from pathlib import Path

from csnn.neurons.graph import LEAVES, Op
from csnn.neurons.lif import LIF
from csnn.neurons.operators import Operators

DOC = Path(__file__).resolve().parents[3] / "docs" / "numerics.md"
BEGIN, END = "<!-- operators -->\n", "<!-- end operators -->\n"


def operator_table(operators: Operators) -> str:
    """Return the table of latencies and counts, with the latency of a whole step."""
    latencies, counts = operators.latencies(), LIF.graph.operator_counts()
    lines = ["| operation | latency, cycles | in one LIF step |", "| --- | --- | --- |"]
    lines += [f"| {op} | {latencies[op]} | {counts.get(op, 0)} |" for op in Op if op not in LEAVES]
    whole = f"| whole LIF step | {LIF.graph.latency(latencies)} | {sum(counts.values())} |"
    return "\n".join([*lines, whole, ""])


def documented_table(text: str) -> str:
    return text[text.index(BEGIN) + len(BEGIN) : text.index(END)]


def test_operator_table_is_that_of_the_code() -> None:
    found = documented_table(DOC.read_text(encoding="utf-8"))
    expected = operator_table(Operators())
    assert found == expected, f"replace the table in {DOC.name} by:\n{expected}"
    assert found != operator_table(Operators(fadd=Operators().fadd + 1))
