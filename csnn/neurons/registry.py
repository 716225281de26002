"""The neuron models, by name: one line for each neuron; synapses and solvers combine with all.

A neuron is listed by the module and the class of its description. One that lies elsewhere than in
`csnn.neurons.models` is added by the program that uses it: `DESCRIPTIONS.update(described(...))`.

A model's name is `<neuron>_<kernel>_<coupling>_<solver>`, with `_x<substeps>` if there are several:
`adex_exp_coba_rk4`, `izhikevich_alpha_cuba_euler_x4`. Models are made when first asked for.
`lif` is the machine's own: LIF with exponential currents, integrated exactly (`csnn.neurons.lif`).
"""

from __future__ import annotations

import difflib
import importlib
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from csnn.errors import reject
from csnn.neurons.composed import composed
from csnn.neurons.composition import Step
from csnn.neurons.declarations import check
from csnn.neurons.description import NeuronDescription
from csnn.neurons.lif import LIF
from csnn.neurons.model import NeuronModel
from csnn.neurons.synapses import Synapses
from csnn.spec.neuron import COUPLINGS, KERNELS, MAX_SUBSTEPS, SOLVERS, LifNeuron, Neuron

# With the longest synapses and solver, the name of a model still fits an image.
_NEURON_NAME = re.compile(r"[a-z][a-z0-9]{0,10}")
_NAME = re.compile(r"([a-z0-9]+)_([a-z]+)_([a-z]+)_([a-z0-9]+?)(?:_x([1-9][0-9]?))?\Z")


def described(*places: str) -> dict[str, NeuronDescription]:
    """Return neurons by name.

    Parameters
    ----------
    places : str
        Where the description of each is, `module:class`.

    Raises
    ------
    ValueError
        If a neuron's name is not of 1 to 11 small letters and digits, a letter first, or is used
        twice, a name that it declares is one that composition gives, or it names a constant or a
        state variable that it does not declare.
    """
    found: dict[str, NeuronDescription] = {}
    for place in places:
        module, kind = place.split(":")
        description: NeuronDescription = getattr(importlib.import_module(module), kind)()
        name = description.name
        if not _NEURON_NAME.fullmatch(name):
            raise ValueError(f"{place}: {name!r} must be 1 to 11 small letters and digits")
        if name in found:
            raise ValueError(f"{place}: there is another neuron called {name}")
        try:
            check(description)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from None
        found[name] = description
    return found


DESCRIPTIONS = described(
    "csnn.neurons.models.lif:Lif",
    "csnn.neurons.models.mat2:Mat2",
    "csnn.neurons.models.amat2:Amat2",
    "csnn.neurons.models.izhikevich:Izhikevich",
    "csnn.neurons.models.adex:Adex",
)


@dataclass(frozen=True, kw_only=True)
class Combination:
    """A neuron with its synapses and its solver, whether there is such a model or not."""

    neuron: str
    kernel: str
    coupling: str
    solver: str
    substeps: int = 1

    @classmethod
    def of(cls, neuron: Neuron) -> Combination:
        """Return the combination that parameters name."""
        return cls(
            neuron=neuron.model,
            kernel=neuron.kernel,
            coupling=neuron.coupling,
            solver=neuron.solver,
            substeps=neuron.substeps,
        )

    @property
    def name(self) -> str:
        """Name of the model."""
        parts = f"_x{self.substeps}" if self.substeps > 1 else ""
        return f"{self.neuron}_{self.kernel}_{self.coupling}_{self.solver}{parts}"

    @property
    def step(self) -> Step:
        """One step of it."""
        synapses = Synapses(kernel=self.kernel, coupling=self.coupling)
        return Step(DESCRIPTIONS[self.neuron], synapses, self.solver, self.substeps)

    def refusal(self) -> str | None:
        """Return why there is no such model, None if there is."""
        if self.solver == "exact" and self.substeps > 1:
            return "exact integration needs no parts"
        return self.step.refusal()


def combinations() -> Iterator[Combination]:
    """Yield every combination in one part per step, legal or not, in the order of the documents."""
    for neuron, kernel, coupling, solver in itertools.product(
        DESCRIPTIONS, KERNELS, COUPLINGS, SOLVERS
    ):
        yield Combination(neuron=neuron, kernel=kernel, coupling=coupling, solver=solver)


def parse(name: str) -> Combination | None:
    """Return the combination that a name spells, None if it spells none."""
    match = _NAME.match(name)
    if match is None:
        return None
    neuron, kernel, coupling, solver, parts = match.groups()
    substeps = int(parts or 1)
    known = neuron in DESCRIPTIONS and kernel in KERNELS and coupling in COUPLINGS
    if not known or solver not in SOLVERS or not (2 if parts else 1) <= substeps <= MAX_SUBSTEPS:
        return None
    return Combination(
        neuron=neuron, kernel=kernel, coupling=coupling, solver=solver, substeps=substeps
    )


class _Models(dict[str, NeuronModel]):
    """Models by name, each made when it is first asked for; iteration is over those made."""

    def __missing__(self, name: str) -> NeuronModel:
        found = parse(name)
        if found is None or found.refusal() is not None:
            raise KeyError(name)
        self[name] = composed(name, found.step)
        return self[name]

    def __contains__(self, name: object) -> bool:
        if super().__contains__(name):
            return True
        found = parse(name) if isinstance(name, str) else None
        return found is not None and found.refusal() is None


MODELS: dict[str, NeuronModel] = _Models({LIF.name: LIF})
# The combination that has its own graph.
_LIF = Combination.of(LifNeuron())


def named(name: str, field: str = "model") -> NeuronModel:
    """Return a model; InvalidInputError if there is none, with the reason or the nearest name."""
    if name in MODELS:
        return MODELS[name]
    found = parse(name)
    if found is not None:
        raise reject(field, name, f"there is no such model: {found.refusal()}")
    names = [LIF.name, *(c.name for c in combinations() if c.refusal() is None)]
    near = difflib.get_close_matches(name[:64], names, n=1)
    hint = f"did you mean {near[0]}?" if near else "lif or <neuron>_<kernel>_<coupling>_<solver>"
    raise reject(field, name, f"is no neuron model; {hint}")


def default_parameters(name: str) -> Neuron:
    """Return parameters of a model: the defaults, with its synapses and its solver."""
    found = _LIF if name == LIF.name else parse(name)
    if found is None:
        raise reject("model", name, "is no neuron model")
    return DESCRIPTIONS[found.neuron].parameters(
        kernel=found.kernel,
        coupling=found.coupling,
        solver=found.solver,
        substeps=found.substeps,
    )


def model_of(neuron: Neuron) -> NeuronModel:
    """Return the model that a neuron's parameters name; InvalidInputError if there is none."""
    known = DESCRIPTIONS.get(neuron.model) if isinstance(neuron, Neuron) else None
    if known is None or not isinstance(neuron, known.parameters):
        raise reject("neuron", neuron, f"must be one of the models {', '.join(DESCRIPTIONS)}")
    found = Combination.of(neuron)
    if found == _LIF:
        return LIF
    reason = found.refusal()
    if reason is not None:
        raise reject("neuron.solver", neuron.solver, reason)
    return MODELS[found.name]


def resting_state(neuron: Neuron) -> dict[str, float]:
    """Return the f32 states of a neuron without a history, in the order of its model.

    Parameters
    ----------
    neuron : Neuron
    """
    description, model = DESCRIPTIONS[neuron.model], model_of(neuron)
    V_mV = description.start_mV(neuron) - description.rest_mV(neuron)
    found = {"V": V_mV, **model.initial(neuron, V_mV=V_mV)}
    return {name: found.get(name, 0.0) for name in model.float_states}


def rest_mV(neuron: Neuron) -> float:
    """Return the potential that the state variable V of a neuron is relative to."""
    return DESCRIPTIONS[neuron.model].rest_mV(neuron)
