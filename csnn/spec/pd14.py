"""The cortical microcircuit of Potjans & Diesmann (2014), with the INM-6 way of scaling it.

Numbers: Potjans & Diesmann (2014) Cereb. Cortex 24:785, Tables 4 and 5; optimised initial
potentials and down-scaling as in the INM-6 reference implementation (van Albada et al. 2015).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.errors import reject
from csnn.spec import checks
from csnn.spec.distributions import Constant, Normal
from csnn.spec.network import (
    DcInput,
    FixedTotalNumber,
    LifNeuron,
    Network,
    PoissonInput,
    Population,
    Projection,
)

POPULATIONS = ("L23E", "L23I", "L4E", "L4I", "L5E", "L5I", "L6E", "L6I")
SIZES = np.array([20683, 5834, 21915, 5479, 4850, 1065, 14395, 2948])
EXTERNAL_INDEGREES = np.array([1600, 1500, 2100, 1900, 2000, 1900, 2900, 2100])
BACKGROUND_RATE_HZ = 8.0
MEAN_RATES_HZ = np.array([0.903, 2.965, 4.414, 5.876, 7.569, 8.633, 1.105, 7.829])
# Rows are targets, columns sources.
CONNECTION_PROBABILITIES = np.array(
    [
        [0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0.0, 0.0076, 0.0],
        [0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0.0, 0.0042, 0.0],
        [0.0077, 0.0059, 0.0497, 0.135, 0.0067, 0.0003, 0.0453, 0.0],
        [0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0.0, 0.1057, 0.0],
        [0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0.0],
        [0.0548, 0.0269, 0.0257, 0.0022, 0.06, 0.3158, 0.0086, 0.0],
        [0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252],
        [0.0364, 0.001, 0.0034, 0.0005, 0.0277, 0.008, 0.0658, 0.1443],
    ]
)
V_INIT_MEAN_MV = np.array([-68.28, -63.16, -63.33, -63.45, -63.11, -61.66, -66.72, -61.43])
V_INIT_SD_MV = np.array([5.36, 4.57, 4.74, 4.94, 4.94, 4.55, 5.46, 4.48])
PSP_MV = 0.15
INHIBITION_FACTOR = -4.0
WEIGHT_SD = 0.1
DELAY_MEAN_MS = {"E": 1.5, "I": 0.75}
DELAY_SD = 0.5
DT_MS = 0.1


def psp_to_psc(psp_mV: float, neuron: LifNeuron) -> float:
    """Return the current amplitude in pA that evokes a PSP of `psp_mV` (exponential synapse)."""
    tau_m, tau_s = neuron.tau_m_ms, neuron.tau_syn_ex_ms
    if math.isclose(tau_m, tau_s):
        return psp_mV * neuron.C_m_pF * math.e / tau_m
    ratio = tau_s / tau_m
    peak = ratio ** (tau_m / (tau_m - tau_s)) - ratio ** (tau_s / (tau_m - tau_s))
    return float(psp_mV * neuron.C_m_pF * (tau_m - tau_s) / (tau_m * tau_s * -peak))


def synapse_counts() -> npt.NDArray[np.int64]:
    """Return the full-scale synapse count of each (target, source) pair, shape (8, 8).

    K = ln(1 - p) / ln(1 - 1 / (N_target N_source)), rounded to the nearest integer. The quotient is
    formed in plain float64, as the NEST implementation does; `log1p` would move two of the
    298,880,968 synapses.
    """
    pairs = np.outer(SIZES, SIZES).astype(np.float64)
    counts = np.log(1.0 - CONNECTION_PROBABILITIES) / np.log(1.0 - 1.0 / pairs)
    return np.rint(counts).astype(np.int64)


def _external(indegrees: Any) -> npt.NDArray[np.float64]:
    rule = "must be 8 numbers from 0 to 1000000, one per population"
    try:
        values = np.asarray(indegrees)
    except ValueError:  # rows of different lengths
        raise reject("pd14.external_indegrees", indegrees, rule) from None
    valid = values.shape == (8,) and values.dtype.kind in "iuf"
    if not valid or not np.all((values >= 0) & (values <= 10**6)):
        raise reject("pd14.external_indegrees", indegrees, rule)
    return values.astype(np.float64)


def pd14(
    *,
    n_scale: float = 1.0,
    k_scale: float = 1.0,
    inhibition: float = INHIBITION_FACTOR,
    external_indegrees: npt.ArrayLike = EXTERNAL_INDEGREES,
) -> Network:
    """Build the microcircuit.

    Parameters
    ----------
    n_scale, k_scale : float
        Factors in (0, 10] on the numbers of neurons and on the in-degrees. With k_scale != 1 the
        weights are divided by sqrt(k_scale) and a direct current restores the mean input.
    inhibition : float
        Inhibitory over excitatory weight, g.
    external_indegrees : array_like of int, shape (8,)
        Number of background synapses per neuron and population.

    Returns
    -------
    Network
        77,169 neurons and 298,880,968 synapses at full scale.

    Raises
    ------
    InvalidInputError
        If a scale is out of range.

    References
    ----------
    van Albada, Helias & Diesmann (2015) PLoS Comput. Biol. 11:e1004490.
    """
    for field, scale in (("n_scale", n_scale), ("k_scale", k_scale)):
        checks.real("pd14", field, scale, "must be in (0, 10]", lambda s: 0 < s <= 10)
    checks.real("pd14", "inhibition", inhibition, "must be a number <= 0", lambda g: g <= 0)
    external_full = _external(external_indegrees)
    neuron = LifNeuron()
    psc = psp_to_psc(PSP_MV, neuron)
    sizes = np.rint(SIZES * n_scale).astype(np.int64)
    if sizes.min() == 0:
        empty = POPULATIONS[int(sizes.argmin())]
        raise reject("pd14.n_scale", n_scale, f"must leave at least one neuron in {empty}")
    full_counts = synapse_counts()
    counts = np.rint(full_counts * n_scale * k_scale).astype(np.int64)
    external = np.rint(external_full * k_scale)

    mean_weights = np.full((8, 8), psc)
    mean_weights[:, 1::2] *= inhibition
    mean_weights[0, 2] *= 2.0
    root = math.sqrt(k_scale)
    # The current that scaling takes away, at the full network's rates (per ms, hence 1e-3).
    recurrent = (mean_weights * (full_counts / SIZES[:, None]) * MEAN_RATES_HZ).sum(axis=1)
    background = psc * external_full * BACKGROUND_RATE_HZ
    compensation = 1e-3 * neuron.tau_syn_ex_ms * (1.0 - root) * (recurrent + background)
    mean_weights /= root

    populations = tuple(
        Population(
            name=name,
            size=int(sizes[i]),
            neuron=neuron,
            V_init_mV=Normal(mu=float(V_INIT_MEAN_MV[i]), sigma=float(V_INIT_SD_MV[i])),
            poisson=PoissonInput(
                rate_hz=float(external[i] * BACKGROUND_RATE_HZ), weight=psc / root
            ),
            dc=DcInput(current_pA=float(compensation[i])),
            expected_rate_hz=float(MEAN_RATES_HZ[i]),
        )
        for i, name in enumerate(POPULATIONS)
    )
    projections = []
    for target in range(8):
        for source in range(8):
            if counts[target, source] == 0:
                continue
            mean = float(mean_weights[target, source])
            delay = DELAY_MEAN_MS[POPULATIONS[source][-1]]
            projections.append(
                Projection(
                    source=POPULATIONS[source],
                    target=POPULATIONS[target],
                    rule=FixedTotalNumber(count=int(counts[target, source])),
                    weight=Normal(
                        mu=mean,
                        sigma=abs(mean) * WEIGHT_SD,
                        minimum=0.0 if mean > 0 else -math.inf,
                        maximum=math.inf if mean > 0 else 0.0,
                    )
                    if mean
                    else Constant(value=0.0),
                    delay_ms=Normal(mu=delay, sigma=delay * DELAY_SD, minimum=DT_MS / 2),
                )
            )
    notes: tuple[str, ...] = ()
    if n_scale != 1.0 or k_scale != 1.0:
        notes = (
            "down-scaling keeps firing rates but not correlations (van Albada et al. 2015): "
            f"n_scale = {n_scale:g}, k_scale = {k_scale:g}",
        )
    return Network(
        name="pd14",
        populations=populations,
        projections=tuple(projections),
        dt_ms=DT_MS,
        notes=notes,
    )
