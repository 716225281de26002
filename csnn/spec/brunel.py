"""The sparse random network of Brunel (2000), with short exponential synapses.

Brunel, N. (2000) J. Comput. Neurosci. 8:183. The paper uses delta synapses; here a PSP of the same
amplitude is evoked by an exponential current of 0.5 ms, the first neuron model of the machine.
"""

from __future__ import annotations

from csnn.spec import checks
from csnn.spec.distributions import Constant, Uniform
from csnn.spec.network import (
    FixedIndegree,
    LifNeuron,
    Network,
    PoissonInput,
    Population,
    Projection,
)
from csnn.spec.pd14 import psp_to_psc


def brunel(*, order: int = 2500, g: float = 5.0, eta: float = 2.0, psp_mV: float = 0.1) -> Network:
    """Build Brunel's network A of 4 `order` excitatory and `order` inhibitory neurons.

    Parameters
    ----------
    order : int
        Number of inhibitory neurons; 10 % of each population project to each neuron.
    g : float
        Inhibitory over excitatory synaptic strength.
    eta : float
        External rate in units of the rate that just reaches threshold.
    psp_mV : float
        Amplitude of an excitatory PSP.

    Returns
    -------
    Network
    """
    checks.integer("brunel", "order", order, 10, 10**6)
    checks.positive("brunel", "g", g)
    checks.positive("brunel", "eta", eta)
    checks.positive("brunel", "psp_mV", psp_mV)
    neuron = LifNeuron(
        C_m_pF=250.0, tau_m_ms=20.0, t_ref_ms=2.0, E_L_mV=0.0, V_th_mV=20.0, V_reset_mV=10.0
    )
    n_ex, n_in = 4 * order, order
    c_ex, c_in = n_ex // 10, n_in // 10
    psc = psp_to_psc(psp_mV, neuron)
    # The external charge per ms that holds the mean potential at threshold, in spikes of `psc`.
    threshold_current = neuron.C_m_pF * (neuron.V_th_mV - neuron.E_L_mV) / neuron.tau_m_ms
    threshold_rate_hz = 1000.0 * threshold_current / (psc * neuron.tau_syn_ex_ms)
    poisson = PoissonInput(rate_hz=eta * threshold_rate_hz, weight=psc)
    start = Uniform(low=0.0, high=20.0)
    populations = (
        Population(
            name="E",
            size=n_ex,
            neuron=neuron,
            V_init_mV=start,
            poisson=poisson,
            expected_rate_hz=40.0,
        ),
        Population(
            name="I",
            size=n_in,
            neuron=neuron,
            V_init_mV=start,
            poisson=poisson,
            expected_rate_hz=40.0,
        ),
    )
    delay = Constant(value=1.5)
    projections = tuple(
        Projection(
            source=source,
            target=target,
            rule=FixedIndegree(indegree=c_ex if source == "E" else c_in),
            weight=Constant(value=psc if source == "E" else -g * psc),
            delay_ms=delay,
        )
        for target in ("E", "I")
        for source in ("E", "I")
    )
    return Network(name="brunel", populations=populations, projections=projections)
