"""The membrane that LIF and MAT neurons share: a leak, synapses, a direct current."""

from __future__ import annotations

from csnn.neurons.equations import Constant, Expression, Variable

V = Variable("V")


def leaky(drive: Expression | None) -> Expression:
    """Return dV/dt of a leaky integrator, V relative to its rest."""
    leak = Constant("leak") * V
    driven = leak if drive is None else leak + drive
    return driven + Constant("bias")


def leaky_constants(tau_m_ms: float, C_m_pF: float, h_ms: float) -> dict[str, float]:
    """Return its constants; `drive` and `input` are those of 1 pA."""
    per_pA = h_ms / C_m_pF
    return {"leak": -h_ms / tau_m_ms, "drive": per_pA, "input": per_pA, "bias": 0.0}
