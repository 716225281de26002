"""An audit as Markdown, for the terminal and for docs/prng.md."""

from __future__ import annotations

from csnn.audit.verdict import FAMILY_ALPHA, Verdict, p_of_minimum


def markdown(verdict: Verdict) -> str:
    """Return the results as two tables and the decision."""
    lines = [
        "| tests | number | observations | smallest p | where | p of that minimum |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, checks in verdict.groups().items():
        worst = min(checks, key=lambda check: check.p)
        joint = p_of_minimum([check.p for check in checks])
        total = sum(check.n for check in checks)
        lines.append(
            f"| {name} | {len(checks)} | {total:,} | {worst.p:.2g} | {worst.name} | {joint:.2g} |"
        )
    lines += ["", "| exact | holds | |", "| --- | --- | --- |"]
    lines += [f"| {f.name} | {'yes' if f.holds else 'NO'} | {f.detail} |" for f in verdict.facts]
    decision = "passed" if verdict.passed else "FAILED: " + "; ".join(verdict.failures)
    lines += [
        "",
        f"{len(verdict.checks)} tests, none may have p < {FAMILY_ALPHA:g} / {len(verdict.checks)} "
        f"= {verdict.threshold:.2g}: **{decision}**.",
        "",
    ]
    return "\n".join(lines)
