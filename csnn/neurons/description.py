"""What a neuron is, without synapses and solver: parameters, equations, threshold, reset."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from csnn.neurons.equations import Expression
from csnn.neurons.graph import Value
from csnn.spec.neuron import Neuron


@dataclass(frozen=True, kw_only=True)
class Firing:
    """What a neuron does at the end of a step.

    Attributes
    ----------
    spike : Value
        Whether it fires; while it is refractory it does not.
    reset : mapping of str to Value
        State variables that a spike changes, and what they become.
    """

    spike: Value
    reset: Mapping[str, Value]


class Constants(ABC):
    """Gives the constants of a neuron by name, as values of a graph."""

    @abstractmethod
    def __getitem__(self, name: str) -> Value:
        """Return a constant."""


class NeuronDescription(ABC):
    """A neuron; each is one file of `csnn.neurons.models`.

    V is in mV, relative to `rest_mV`; `drive` in the equations is what the synapses add to V per
    step. Constants are per step.
    """

    parameters: ClassVar[type[Neuron]]
    # Whether V stands still while the neuron is refractory; where equations run away it must.
    is_held: ClassVar[bool] = True
    # Constants that state variables do not pass within a step: where they grow without bound there
    # would be NaNs at the end of it.
    bounds: ClassVar[Mapping[str, str]] = {}

    @abstractmethod
    def rates(self, drive: Expression | None, *, is_series: bool) -> dict[str, Expression]:
        """Return the right-hand sides of all variables, V first.

        Parameters
        ----------
        drive : Expression, optional
            What synapses add to V; None if V jumps only.
        is_series : bool
            Whether they must be polynomials in variables and rates; then those of
            `series_variables` are among them.
        """

    def series_variables(self) -> dict[str, Expression]:
        """Return further variables of a series, as functions of the state variables.

        They make the right-hand sides polynomials, and have such right-hand sides of their own in
        `rates`. As each part of a step begins with their values anew, they are no state.
        """
        return {}

    def jumped(
        self, change: Value, values: Mapping[str, Value], constants: Constants
    ) -> dict[str, Value]:
        """Return what state variables other than V become when V jumps.

        Parameters
        ----------
        change : Value
            What a jump adds to V.
        values : mapping of str to Value
            State variables before the jump.
        constants : Constants
        """
        return {}

    @abstractmethod
    def fire(
        self, before: Mapping[str, Value], after: Mapping[str, Value], constants: Constants
    ) -> Firing:
        """Return what happens at the end of a step, after what arrives has been added.

        Parameters
        ----------
        before, after : mapping of str to Value
            State variables at the beginning and at the end of the step.
        constants : Constants
        """

    @abstractmethod
    def constants(self, neuron: Any, h_ms: float) -> dict[str, float]:
        """Return all constants that the equations and `fire` name, in float64.

        `drive` among them is the change of V per step by 1 pA (or nS mV) of synaptic input, `input`
        the same of the direct current, and `bias` what V changes by without either.
        """

    @property
    def name(self) -> str:
        """Name of the neuron."""
        return self.parameters.model

    def rest_mV(self, neuron: Any) -> float:
        """Return the potential that V is relative to."""
        return float(neuron.E_L_mV)

    def start_mV(self, neuron: Any) -> float:
        """Return the absolute potential of a neuron without a history."""
        return self.rest_mV(neuron)

    def initial(self, neuron: Any, V: Any) -> dict[str, Any]:
        """Return initial state variables other than V and those of synapses; zero if left out.

        Parameters
        ----------
        neuron : object
            Parameters.
        V : float or ndarray of float64
            Initial potentials, relative to the rest.
        """
        return {}
