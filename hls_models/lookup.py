"""Which neuron model is meant, and with which constants it is tested."""

from __future__ import annotations

import difflib

import numpy as np

from csnn.errors import reject
from csnn.neurons.model import NeuronModel
from csnn.neurons.registry import MODELS

# Of the constants in a test bench.
DT_MS = 0.1
WEIGHT_GRID = 2.0**-8


def find_model(name: str) -> NeuronModel:
    """Return a registered model; InvalidInputError with the nearest name if there is none."""
    if name in MODELS:
        return MODELS[name]
    (near,) = difflib.get_close_matches(name[:64], MODELS, n=1, cutoff=0.0)
    raise reject("MODEL", name, f"is no neuron model; did you mean {near}?")


def default_constants(model: NeuronModel) -> dict[str, np.float32 | np.int32]:
    """Return the constants of a model's default parameters, for steps of 0.1 ms."""
    return model.constants(model.neuron_type(), dt_ms=DT_MS, weight_grid_pA=WEIGHT_GRID)
