"""The neuron models, by name: one line per model."""

from __future__ import annotations

from typing import Any

from csnn.errors import reject
from csnn.neurons.lif import LIF
from csnn.neurons.model import NeuronModel

MODELS: dict[str, NeuronModel] = {
    LIF.name: LIF,
}


def model_of(neuron: Any) -> NeuronModel:
    """Return the model of a neuron's description; InvalidInputError if there is none."""
    for model in MODELS.values():
        if isinstance(neuron, model.neuron_type):
            return model
    raise reject("neuron", neuron, f"must be described for one of the models {', '.join(MODELS)}")
