"""Neuron models made of a description, synapses and a solver, with the rule for their constants."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from csnn.binary32 import round_to_binary32
from csnn.errors import reject
from csnn.neurons.composition import BIAS, REF_STEPS, Step
from csnn.neurons.lif import refractory_steps
from csnn.neurons.model import NeuronModel, parameters_of, reject_constant
from csnn.neurons.solvers import propagator, stability_limit
from csnn.neurons.stability import enough_substeps, is_stable, lengths
from csnn.neurons.synapses import SIDES
from csnn.spec import checks
from csnn.spec.neuron import MAX_SUBSTEPS, Neuron

DRIVE = "drive"
BaseRule = Callable[[Neuron], Mapping[str, float]]


def base_constants(
    step: Step, neuron: Neuron, *, dt_ms: float, weight_grid: float, dc_pA: float
) -> dict[str, float]:
    """Compute what the equations of a step name, in float64.

    Parameters
    ----------
    step : Step
    neuron : Neuron
        Parameters of the step's neuron.
    dt_ms : float
        Step in ms; constants are per part of it.
    weight_grid : float
        One unit of synaptic input, in the unit of the neuron's weights.
    dc_pA : float
        Direct current in pA.

    Returns
    -------
    dict of str to float
    """
    checks.positive("neuron", "dt_ms", dt_ms)
    h_ms = dt_ms / step.substeps
    constants = step.neuron.constants(neuron, h_ms)
    constants |= step.synapses.constants(
        {side: getattr(neuron, f"tau_syn_{side}_ms") for side in SIDES},
        {side: getattr(neuron, f"tau_rise_{side}_ms") for side in SIDES},
        h_ms,
    )
    for side in SIDES:
        reversal = getattr(neuron, f"E_{side}_mV") - step.neuron.rest_mV(neuron)
        constants[f"E_{side}"] = reversal
    constants[BIAS] += constants["input"] * dc_pA
    # A jump of V is in mV already.
    constants[DRIVE] = weight_grid * (constants[DRIVE] if step.synapses.states else 1.0)
    return constants


def _check_drive(
    step: Step, neuron: Neuron, constants: Mapping[str, float], base_of: BaseRule
) -> None:
    """Require that input has an effect in binary32."""
    acting = [propagator("V", name) for name in step.synapses.arrivals.values()]
    for name, value in constants.items():
        is_drive = name == DRIVE or name.startswith(f"{DRIVE}_") or name in acting
        if is_drive and round_to_binary32(float(value)) == 0.0:
            rule = "underflows binary32: synaptic input would have no effect"
            raise reject_constant(
                neuron, name, value, rule, lambda other: step.numbers(base_of(other))
            )


def _check_stability(
    step: Step, neuron: Neuron, base: Mapping[str, float], dt_ms: float, base_of: BaseRule
) -> None:
    """Require that every decay of the equations is one in a step, too."""
    found = lengths(step, base)
    for constant, length in found.items():
        if is_stable(step.solver, length):
            continue
        enough = enough_substeps(step.solver, step.substeps * max(found.values()))
        what = "dt_ms" if step.substeps == 1 else f"dt_ms / {step.substeps}"
        limit = stability_limit(step.solver)
        rule = (
            f"{step.solver} is unstable: its steps must be shorter than {limit:.4g} time "
            f"constants, and {what} = {dt_ms / step.substeps:.4g} is {length:.4g}; "
        )
        if enough is not None:
            rule += f"substeps must be >= {enough}"
        else:
            rule += f"substeps = {MAX_SUBSTEPS} is too few: dt_ms must be smaller"
        culprits = parameters_of(neuron, constant, base_of)
        if not culprits:
            raise reject(f"neuron constant {constant}", base[constant], rule)
        first, *others = culprits
        given = "".join(f"with {name} = {getattr(neuron, name):g}, " for name in others)
        raise reject(f"neuron.{first}", getattr(neuron, first), given + rule)


def composed(name: str, step: Step) -> NeuronModel:
    """Return a neuron model.

    Parameters
    ----------
    name : str
        Its key in the registry.
    step : Step
        What it does; ValueError if there is no such step.
    """

    def rule(
        neuron: Any, *, dt_ms: float, weight_grid: float, dc_pA: float
    ) -> dict[str, float | int]:
        checks.positive("machine", "weight_grid", weight_grid)
        if math.frexp(weight_grid)[0] != 0.5:
            raise reject("machine.weight_grid", weight_grid, "must be a power of two")
        checks.real("dc", "current_pA", dc_pA)

        def base_of(neuron: Neuron) -> dict[str, float]:
            return base_constants(step, neuron, dt_ms=dt_ms, weight_grid=weight_grid, dc_pA=dc_pA)

        base = base_of(neuron)
        _check_stability(step, neuron, base, dt_ms, base_of)
        constants: dict[str, float | int] = {
            **step.numbers(base),
            REF_STEPS: refractory_steps(neuron, dt_ms),
        }
        _check_drive(step, neuron, constants, base_of)
        return constants

    def initial(neuron: Any, *, V_mV: Any) -> dict[str, Any]:
        return step.neuron.initial(neuron, V_mV)

    return NeuronModel(
        name=name,
        neuron_type=step.neuron.parameters,
        graph=step.graph,
        rule=rule,
        initial=initial,
    )
