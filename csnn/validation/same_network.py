"""The same network in the machine and in the oracle, spike for spike.

The network of an image becomes an explicit experiment (`csnn.validation.explicit`), which the
oracle simulates in float64. `compare` finds where the spike trains part, and tells by the membrane
potentials whether rounding alone can have parted them (`csnn.validation.rounding`).

    python -m csnn.validation.same_network IMAGE --time-ms 1000 [--nest]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from csnn.errors import CsnnError, reject
from csnn.image.store import Image, open_image
from csnn.oracle import exact, nest
from csnn.oracle.experiment import Experiment
from csnn.oracle.experiment import Recording as Reference
from csnn.simulator.fast import FastSimulator
from csnn.simulator.recording import Recording
from csnn.validation.explicit import experiment_of
from csnn.validation.state_comparison import AROUND, Divergence, Excess, StateComparison

# Diverging neurons of the first step that are looked at.
_EXAMINED = 16


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What became of the machine and the reference on the same network.

    Attributes
    ----------
    steps : int
        Steps simulated.
    machine_spikes, reference_spikes : int
        Spikes in all.
    identical_steps, identical_spikes : int
        Steps before the first one with differing spikes (all of them if there is none), and the
        spikes in them.
    n_diverging : int
        Neurons that differ in the first such step.
    divergences : tuple of Divergence
        The first 16 of them.
    excess : Excess, optional
        First recorded state, in the identical steps, beyond the rounding bound.
    largest_mV, largest_share : float
        Largest difference of recorded potentials in the identical steps, and the largest share of
        its bound that one reaches.
    """

    steps: int
    machine_spikes: int
    reference_spikes: int
    identical_steps: int
    identical_spikes: int
    n_diverging: int
    divergences: tuple[Divergence, ...]
    excess: Excess | None
    largest_mV: float
    largest_share: float

    @property
    def is_explained(self) -> bool:
        """Whether rounding explains every difference; more than 16 at once are too many."""
        explained = sum(found.explained for found in self.divergences)
        return self.excess is None and explained == self.n_diverging

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self) | {"is_explained": self.is_explained}


def first_difference(
    machine: Recording, reference: Reference, steps: int
) -> tuple[int, list[tuple[int, bool]]]:
    """Find where two spike trains part.

    Returns
    -------
    step : int
        First step with differing spikes; `steps` + 1 if there is none.
    neurons : list of (int, bool)
        The neurons that spike in one simulation only, and whether it is the machine.
    """
    mine = machine.step.astype(np.int64) << 32 | machine.source
    theirs = reference.step.astype(np.int64) << 32 | reference.source
    only_mine = np.setdiff1d(mine, theirs, assume_unique=True)
    only_theirs = np.setdiff1d(theirs, mine, assume_unique=True)
    unequal = np.concatenate([only_mine, only_theirs])
    if len(unequal) == 0:
        return steps + 1, []
    step = int(unequal.min() >> 32)
    neurons = [
        (int(key & 0xFFFFFFFF), is_machine)
        for keys, is_machine in ((only_mine, True), (only_theirs, False))
        for key in keys[keys >> 32 == step]
    ]
    return step, sorted(neurons)


def compare(
    image: Image,
    experiment: Experiment,
    simulate: Callable[[Experiment], Reference] = exact.simulate,
    *,
    threads: int = 2,
) -> Comparison:
    """Run the machine on an image and the oracle on an experiment, and compare them.

    Parameters
    ----------
    image : Image
        What the machine runs.
    experiment : Experiment
        What the oracle runs, from `experiment_of`. Its recorded neurons are compared state by
        state with the rounding bound; if spikes differ, both simulations are repeated up to there
        with the differing neurons recorded as well.
    simulate : callable
        `exact.simulate` or `nest.run_explicit`.
    threads : int
        Threads of the machine's simulator.

    Returns
    -------
    Comparison
    """
    steps, record = experiment.steps, list(experiment.record)
    machine = FastSimulator(image, threads=threads, record=record).run(steps)
    reference = simulate(experiment)
    parted, neurons = first_difference(machine, reference, steps)
    counts = len(machine.step), len(reference.step)
    last = min(parted + AROUND, steps)
    missing = [neuron for neuron, _ in neurons[:_EXAMINED] if neuron not in record]
    if missing:
        record += missing
        machine = FastSimulator(image, threads=threads, record=record).run(last)
        reference = simulate(replace(experiment, steps=last, record=tuple(record)))
    examined = StateComparison(image, np.array(record, dtype=np.int64), machine, reference)
    excess, largest_mV, largest_share = examined.states(min(parted - 1, steps))
    return Comparison(
        steps=steps,
        machine_spikes=counts[0],
        reference_spikes=counts[1],
        identical_steps=parted - 1,
        identical_spikes=int(np.count_nonzero(machine.step < parted)),
        n_diverging=len(neurons),
        divergences=tuple(
            examined.divergence(parted, neuron, is_machine, last)
            for neuron, is_machine in neurons[:_EXAMINED]
        ),
        excess=excess,
        largest_mV=largest_mV,
        largest_share=largest_share,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m csnn.validation.same_network",
        description="Compare the machine with a float64 reference on the network of an image.",
    )
    parser.add_argument("image", help="image directory of a LIF network")
    parser.add_argument("--time-ms", type=float, default=1000.0, help="model time (1000)")
    parser.add_argument("--nest", action="store_true", help="NEST instead of the own reference")
    parser.add_argument("--record", type=int, default=0, help="compare states of this many neurons")
    options = parser.parse_args(arguments)
    try:
        image = open_image(options.image)
        if not options.time_ms >= image.dt_ms:
            raise reject("time_ms", options.time_ms, f"must be >= {image.dt_ms}")
        stride = max(1, image.n_neurons // options.record) if options.record > 0 else 0
        record = range(0, image.n_neurons, stride) if stride else ()
        experiment = experiment_of(image, round(options.time_ms / image.dt_ms), record=record)
        found = compare(image, experiment, nest.run_explicit if options.nest else exact.simulate)
    except CsnnError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps(found.to_dict(), indent=1))
    return 0 if found.is_explained else 1


if __name__ == "__main__":
    sys.exit(main())
