"""Full-scale runs of the microcircuit as it should be, and of two that a verdict must reject.

    python tests/statistical/full_scale.py --out DIR

simulates every case once (10 s after 0.5 s of warm-up, some minutes each), keeps the spikes under
DIR, and prints the tables of docs/validation.md. Cases whose spikes lie in DIR already are not
simulated again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from csnn import output
from csnn.simulator.session import simulate
from csnn.spec.description import Description
from csnn.spec.pd14 import EXTERNAL_INDEGREES, POPULATIONS, SIZES, pd14
from csnn.validation.statistics import Window
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


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="where spikes are kept")
    options = parser.parse_args()
    for name, case in CASES.items():
        directory = options.out / name.replace(" ", "")
        if not (directory / output.SPIKES).exists():
            run_case(case, directory)


if __name__ == "__main__":
    main()
