"""Synapses: what arrives at a neuron acts by a kernel, as a current or as a conductance.

All excitatory synapses of a neuron share one set of state variables, and all inhibitory ones
another. Magnitudes are kept: inhibition is subtracted where it acts. State is in units of the grid
of weights, so that what arrives is added as it is.

Kernels; w is the weight of what arrives:

    delta    V jumps
    exp      y' = -y / tau_syn                                            y <- y + w
    alpha    y' = e z / tau_syn - y / tau_syn     z' = -z / tau_syn       z <- z + w
    beta     y' = c z - y / tau_rise              z' = -z / tau_syn       z <- z + w

with c such that y peaks at w, as it does in all of them.

Couplings:

    cuba     I = y_ex - y_in                                  a jump of V is by w
    coba     I = y_ex (E_ex - V) + y_in (E_in - V)            a jump of V is by w (E - V)

A jump of `coba` is of the first order in w, and both sides see the V before it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from csnn.neurons.equations import Constant, Difference, Expression, Variable

SIDES = ("ex", "in")


@dataclass(frozen=True, kw_only=True)
class Synapses:
    """Kernel and coupling of the synapses of a neuron."""

    kernel: str
    coupling: str

    @property
    def _symbol(self) -> str:
        return "I" if self.coupling == "cuba" else "g"

    def acting(self, side: str) -> str:
        """Return the name of the state variable that acts on V."""
        return f"{self._symbol}_{side}"

    def rising(self, side: str) -> str:
        """Return the name of the state variable behind it."""
        return f"d{self._symbol}_{side}"

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the state variables, in order."""
        if self.kernel == "delta":
            return ()
        acting = tuple(self.acting(side) for side in SIDES)
        if self.kernel == "exp":
            return acting
        return acting + tuple(self.rising(side) for side in SIDES)

    @property
    def arrivals(self) -> Mapping[str, str]:
        """Which state variable takes what arrives on each side."""
        if self.kernel == "delta":
            return {}
        name = self.acting if self.kernel == "exp" else self.rising
        return {side: name(side) for side in SIDES}

    def rates(self) -> dict[str, Expression]:
        """Return the right-hand sides of the state variables."""
        found: dict[str, Expression] = {}
        for side in SIDES if self.states else ():
            acting = Variable(self.acting(side))
            if self.kernel == "exp":
                found[acting.name] = Constant(f"decay_{side}") * acting
                continue
            rising = Variable(self.rising(side))
            # The alpha kernel rises and decays with one time constant.
            fall = f"rise_{side}" if self.kernel == "beta" else f"decay_{side}"
            found[acting.name] = Constant(f"gain_{side}") * rising + Constant(fall) * acting
            found[rising.name] = Constant(f"decay_{side}") * rising
        return {name: found[name] for name in self.states}

    def drive(self, V: Expression) -> Expression | None:
        """Return the change of V per step by the synapses; None if they only make it jump."""
        if not self.states:
            return None
        return Constant("drive") * self._sum(V, *(Variable(self.acting(side)) for side in SIDES))

    def _sum(self, V: Expression, ex: Expression, inh: Expression) -> Expression:
        if self.coupling == "cuba":
            return Difference(ex, inh)
        return ex * (Constant("E_ex") - V) + inh * (Constant("E_in") - V)

    def jump(self, V: Expression, ex: Expression, inh: Expression) -> Expression | None:
        """Return by how much V jumps when `ex` and `inh` arrive; None if it does not."""
        if self.states:
            return None
        return Constant("drive") * self._sum(V, ex, inh)

    def constants(
        self, tau_ms: Mapping[str, float], tau_rise_ms: Mapping[str, float], h_ms: float
    ) -> dict[str, float]:
        """Return the constants of the right-hand sides, per step of `h_ms`."""
        found = {}
        for side in SIDES if self.states else ():
            tau = tau_ms[side]
            found[f"decay_{side}"] = -h_ms / tau
            if self.kernel == "alpha":
                found[f"gain_{side}"] = math.e * h_ms / tau
            elif self.kernel == "beta":
                found[f"rise_{side}"] = -h_ms / tau_rise_ms[side]
                found[f"gain_{side}"] = h_ms * beta_gain(tau_rise_ms[side], tau)
        return found


def beta_gain(rise_ms: float, decay_ms: float) -> float:
    """Return c in 1/ms so that y' = c z - y / rise, z' = -z / decay from (0, 1) has the peak 1.

    The peak is at t = ln(decay / rise) rise decay / (decay - rise), and
    y(t) = c (exp(-t / decay) - exp(-t / rise)) rise decay / (decay - rise). Near equal time
    constants both tend to those of the alpha kernel, t = tau and c = e / tau.
    """
    # With x = ln(decay / rise): t = x rise / (1 - exp(-x)), and y peaks at c t exp(-t / decay) ...
    x = math.log(decay_ms / rise_ms)
    time = rise_ms * (x / -math.expm1(-x) if x else 1.0)
    # At the peak y' = 0, so y = c rise z, and z = exp(-t / decay).
    return math.exp(time / decay_ms) / rise_ms
