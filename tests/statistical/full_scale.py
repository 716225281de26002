"""Full-scale runs of the microcircuit as it should be, and of two that a verdict must reject.

    python tests/statistical/full_scale.py --out DIR --figure docs/images/validation_10s.png

simulates every case once (10 s after 0.5 s of warm-up, some minutes each), keeps the spikes under
DIR, prints the tables of docs/validation.md and draws its figure. Cases whose spikes lie in DIR
already are not simulated again: delete them after a change of the simulator or the generator.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from csnn import output
from csnn.drawing import to_png
from csnn.files import atomic_file
from csnn.report.figures import distributions
from csnn.simulator.session import simulate
from csnn.spec.description import Description
from csnn.spec.pd14 import EXTERNAL_INDEGREES, POPULATIONS, SIZES, pd14
from csnn.validation.baseline import RESOLUTION, load_baseline
from csnn.validation.criteria import Verdict, judge_spikes
from csnn.validation.poisson_control import poisson_spikes
from csnn.validation.statistics import STATISTICS, Statistics, Window
from netgen.build import generate

WARMUP_MS, TIME_MS = 500.0, 10000.0
PD14 = [(name, int(size)) for name, size in zip(POPULATIONS, SIZES, strict=True)]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A network to simulate: what differs from the microcircuit, and the seed of its image."""

    seed: int
    changes: dict[str, Any] = field(default_factory=dict)


CASES = {
    "seed 1": Case(seed=1),
    "seed 2": Case(seed=2),
    "seed 3": Case(seed=3),
    # 5 % heavier inhibition.
    "inhibition": Case(seed=1, changes={"inhibition": -4.2}),
    # The same background for all, as many synapses per neuron as the populations have on average.
    "background": Case(
        seed=1, changes={"external_indegrees": [int(EXTERNAL_INDEGREES.mean())] * len(PD14)}
    ),
}


def window(time_ms: float = TIME_MS) -> Window:
    """Return the first `time_ms` after the warm-up."""
    return Window(first_step=round(WARMUP_MS * 10) + 1, n_steps=round(time_ms * 10))


def run_case(case: Case, directory: Path, threads: int = 2) -> dict[str, Any]:
    """Generate and simulate a case; write spikes.npz and return what the run took."""
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory) as folder:
        description = Description(network=pd14(**case.changes))
        image = generate(description, case.seed, Path(folder) / "image", threads=threads)
        session = simulate(image, time_ms=TIME_MS, warmup_ms=WARMUP_MS, threads=threads)
        if not session.complete:
            raise KeyboardInterrupt
        facts = {
            "seed": case.seed,
            "changes": case.changes,
            "image_digest": image.digest,
            "generate_s": image.manifest["generate_s"],
            "rtf": round(session.simulate_s / TIME_MS * 1e3, 2),
            "date": time.strftime("%Y-%m-%d"),
        }
    (directory / "run.json").write_text(json.dumps(facts, indent=1) + "\n", "utf-8")
    # Last: a directory with spikes is complete.
    output.write_spikes(directory, session.recording.step, session.recording.source)
    return facts


def poisson_control(realisation: int, time_ms: float = TIME_MS) -> Any:
    """Return independent Poisson spikes at the rates of the neurons of a NEST realisation."""
    ten = load_baseline(TIME_MS)
    rate = np.concatenate([ten.samples["FR", name][realisation] for name in POPULATIONS])
    rng = np.random.default_rng(realisation)
    return poisson_spikes(rate * RESOLUTION["FR"], window(time_ms), rng)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _short(value: float, passed: bool = True) -> str:
    text = f"{value:.3f}".removeprefix("0")
    return text if passed else f"**{text}**"


def distance_lines(verdicts: dict[str, Verdict]) -> list[str]:
    """Return Markdown tables of all distances; bold ones fail."""
    lines = []
    example = next(iter(verdicts.values()))
    for s, statistic in enumerate(STATISTICS):
        cells = [example.cell(statistic, name) for name in POPULATIONS]
        pooled = example.pooled[s]
        lines += [
            "",
            _row(statistic, *POPULATIONS, "all"),
            _row(*["---"] * 10),
            _row(
                "NEST",
                *(f"{_short(c.nest_low)}-{_short(c.nest_high)}" for c in cells),
                f"{pooled.nest_low:.2f}-{pooled.nest_high:.2f}",
            ),
            _row("threshold", *(_short(c.threshold) for c in cells), f"{pooled.threshold:.2f}"),
        ]
        for label, verdict in verdicts.items():
            cells = [verdict.cell(statistic, name) for name in POPULATIONS]
            ratio = f"{verdict.pooled[s].ratio:.2f}"
            lines.append(
                _row(
                    label,
                    *(_short(c.distance, c.passed) for c in cells),
                    ratio if verdict.pooled[s].passed else f"**{ratio}**",
                )
            )
    return lines


def rate_lines(statistics: dict[str, Statistics]) -> list[str]:
    """Return a Markdown table of mean rates, NEST's from lowest to highest realisation."""
    ten = load_baseline(TIME_MS)
    nest = {
        name: [sample.mean() * RESOLUTION["FR"] for sample in ten.samples["FR", name]]
        for name in POPULATIONS
    }
    lines = [
        "",
        _row("spikes/s", *POPULATIONS),
        _row(*["---"] * 9),
        _row("NEST", *(f"{min(nest[n]):.3f}-{max(nest[n]):.3f}" for n in POPULATIONS)),
    ]
    return lines + [
        _row(label, *(f"{p.rate.mean():.3f}" for p in found.populations))
        for label, found in statistics.items()
    ]


def main() -> None:
    """Simulate what is missing, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="where spikes are kept")
    parser.add_argument("--figure", type=Path, help="draw the distributions of seed 1 here (png)")
    options = parser.parse_args()
    for name, case in CASES.items():
        directory = options.out / name.replace(" ", "")
        if not (directory / output.SPIKES).exists():
            run_case(case, directory)
    for time_ms in (TIME_MS, 1000.0):
        judged = {
            name: judge_spikes(
                *output.read_spikes(options.out / name.replace(" ", "")), PD14, window(time_ms)
            )
            for name in CASES
        }
        judged["Poisson"] = judge_spikes(*poisson_control(0, time_ms), PD14, window(time_ms))
        print(f"\n{time_ms / 1000:g} s")
        print("\n".join(rate_lines({name: found[0] for name, found in judged.items()})))
        print("\n".join(distance_lines({name: found[2] for name, found in judged.items()})))
        for name, (_, _, verdict) in judged.items():
            print(f"{name}: {verdict.lines()[-1]}")
        if options.figure and time_ms == TIME_MS:
            statistics, baseline, _ = judged["seed 1"]
            with atomic_file(options.figure) as path:
                path.write_bytes(to_png(distributions(statistics, baseline)))


if __name__ == "__main__":
    main()
