"""The one neuron model of a network, and which population an error about it concerns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from csnn.errors import InvalidInputError, located, reject
from csnn.neurons.model import NeuronModel
from csnn.neurons.registry import model_of
from csnn.spec.distributions import Constant
from csnn.spec.network import Population


def common_model(populations: Sequence[Population]) -> NeuronModel:
    """Return the model of all populations.

    Raises
    ------
    InvalidInputError
        If a population has another model than the first, or starts a state that it has not.
    """
    first = populations[0]
    with named(first):
        model = model_of(first.neuron)
    for population in populations:
        with named(population):
            other = model_of(population.neuron)
        if other is not model:
            place = f"population {population.name}.neuron"
            raise InvalidInputError(
                f"{place}: all populations must use one model; {first.name} has {model.name}, "
                f"this one {other.name}"
            )
        for state in ("I_ex", "I_in"):
            field = f"{state}_init_pA"
            start = getattr(population, field)
            if state not in model.float_states and start != Constant(value=0.0):
                rule = f"has no meaning: neurons of {model.name} have no {state}"
                raise reject(f"population {population.name}.{field}", start, rule)
    return model


@contextmanager
def named(population: Population) -> Iterator[None]:
    """Name the population in errors about constants of its neurons."""
    try:
        yield
    except InvalidInputError as error:
        place, message = f"population {population.name}", str(error)
        if message.startswith("neuron constant "):
            raise located(f"{place}.neuron", error) from None
        if message.startswith("neuron."):
            raise InvalidInputError(f"{place}.{message}") from None
        raise
