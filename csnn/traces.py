"""Traces of a run: raw words of recorded neurons, and what they are in physical units."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.image.store import Image
from csnn.neurons.registry import MODELS, rest_mV
from csnn.result import populations_of
from csnn.simulator.session import whole_steps
from csnn.spec.machine import Run
from csnn.spec.neuron import weight_suffix

U32 = npt.NDArray[np.uint32]


def resting_mV(image: Image, run: Run) -> npt.NDArray[np.float64]:
    """Return the resting potentials of the recorded neurons."""
    if not run.record:
        return np.empty(0)
    populations = populations_of(image)
    rest = np.repeat([rest_mV(p.neuron) for p in populations], [p.size for p in populations])
    return np.asarray(rest[list(run.record)], np.float64)


def physical_traces(
    image: Image, run: Run, traced: U32, rest: npt.NDArray[np.float64]
) -> dict[str, npt.NDArray[Any]]:
    """Return the traces that a run holds, from the words that were traced since the warm-up."""
    first = whole_steps("run", "warmup_ms", run.warmup_ms, image.dt_ms) + 1
    names = MODELS[image.manifest["model"]].float_states
    unit = weight_suffix(image.manifest["weight_unit"])
    values = dict(zip(names, np.moveaxis(traced[:, :-2].view(np.float32), 1, 0), strict=True))
    inputs = traced[:, -2:].astype(np.float64)
    grid = float(image.manifest["weight_grid"])
    return {
        "step": np.arange(first, first + len(traced), dtype=np.uint32),
        "neuron": np.array(run.record, dtype=np.uint32),
        "V_mV": values.pop("V").astype(np.float64) + rest,
        **dict(
            _physical(name, words.astype(np.float64), grid, unit) for name, words in values.items()
        ),
        f"input_ex{unit}": inputs[:, 0] * grid,
        f"input_in{unit}": -inputs[:, 1] * grid,
        "words": traced,
    }


def _physical(
    name: str, values: npt.NDArray[np.float64], grid: float, unit: str
) -> tuple[str, npt.NDArray[np.float64]]:
    """Return a state variable with its unit: synaptic ones leave the grid, currents get a sign."""
    if not name.endswith(("_ex", "_in")):
        return name, values
    is_negative = name.endswith("I_in")
    return f"{name}{unit}", values * (-grid if is_negative else grid)
