"""Descriptions of networks that docs/models.md shows, by the name of their model."""

from __future__ import annotations

_ADEX = """\
name = "adex_coba"

[run]
time_ms = 300.0
warmup_ms = 100.0

[neuron]                        # for both populations
model = "adex"
kernel = "exp"
coupling = "coba"
solver = "rk4"
tau_syn_ex_ms = 5.0
tau_syn_in_ms = 10.0
E_ex_mV = 0.0
E_in_mV = -80.0
t_ref_ms = 2.0

[[population]]
name = "E"
size = 400
V_init_mV = { distribution = "normal", mu = -60.0, sigma = 4.0 }
poisson = { rate_hz = 2000.0, weight_nS = 1.5 }

[[population]]
name = "I"
size = 100
neuron = { a_nS = 0.0, b_pA = 0.0 }     # does not adapt; the rest is as above
V_init_mV = { distribution = "normal", mu = -60.0, sigma = 4.0 }
poisson = { rate_hz = 2000.0, weight_nS = 1.5 }

[[projection]]
source = "E"
target = "E"
rule = { name = "pairwise_bernoulli", p = 0.1 }
weight_nS = 1.0
delay_ms = 1.5

[[projection]]
source = "E"
target = "I"
rule = { name = "pairwise_bernoulli", p = 0.1 }
weight_nS = 1.0
delay_ms = 1.5

[[projection]]
source = "I"
target = "E"
rule = { name = "pairwise_bernoulli", p = 0.2 }
weight_nS = -5.0                # inhibitory
delay_ms = 0.8

[[projection]]
source = "I"
target = "I"
rule = { name = "pairwise_bernoulli", p = 0.2 }
weight_nS = -5.0
delay_ms = 0.8
"""

_IZHIKEVICH = """\
name = "bursting"

[neuron]
model = "izhikevich"
kernel = "delta"                # weights are jumps of V
solver = "euler"
substeps = 2                    # of 0.05 ms each
c_mV = -50.0
d_mV = 2.0

[[population]]
name = "E"
size = 200
poisson = { rate_hz = 300.0, weight_mV = 1.0 }
dc = { current_pA = 6.0 }       # 6 mV/ms

[[projection]]
source = "E"
target = "E"
rule = { name = "fixed_indegree", indegree = 20 }
weight_mV = 0.2
delay_ms = 1.0
"""

_MAT2 = """\
name = "adapting"

[neuron]
model = "mat2"
kernel = "beta"
solver = "exact"
tau_rise_ex_ms = 0.5
tau_syn_ex_ms = 3.0

[[population]]
name = "E"
size = 100
V_init_mV = -70.0
poisson = { rate_hz = 2000.0, weight_pA = 60.0 }
dc = { current_pA = 200.0 }
"""

# What each shows, and the description.
EXAMPLES: dict[str, tuple[str, str]] = {
    "adex_exp_coba_rk4": ("Two populations of AdEx neurons with conductances", _ADEX),
    "izhikevich_delta_cuba_euler_x2": ("Izhikevich's neurons, bursting, with jumps", _IZHIKEVICH),
    "mat2_beta_cuba_exact": ("MAT2 neurons with currents that rise in finite time", _MAT2),
}
