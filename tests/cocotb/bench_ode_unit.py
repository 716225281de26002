"""Bench of the ODE unit: its own logic, with pipelines that neither add nor multiply.

That it computes LIF neurons is tested apart, in `test_ode_lif.py`.
"""

from __future__ import annotations

from ode_scenarios import ode_bench
from tiny_neuron import TinyConfig

CONFIG = TinyConfig(pipelines=2, neurons=32)
READ_ONE = "the words that are not asked for give zero"
SAME_BITS = "whether all bits are set, or none, does not depend on their order"
WORD = "{ states__address[9:8], states__address[0] }"
SWAPPED = "{ states__address[0], states__address[9:8] }"

BENCH = ode_bench(
    CONFIG,
    {
        **{
            f"{left}: {before} | ($ ? {name}: 32'd0) => $ ^ $": READ_ONE
            for left, before, name in (
                ("$", "($)", "constant_theta"),
                ("$", "($ | $)", "constant_V_reset"),
                ("constants__read_data", "($ | $)", "constant_ref_steps"),
                ("$", "($ ? state_V: 32'd0)", "state_V$"),
                *(
                    ("$", "($ | $)", f"state_{state}")
                    for state in ("I_ex", "I_ex$", "I_in", "I_in$", "refractory")
                ),
                ("states__read_data", "($ | $)", "state_refractory$"),
            )
        },
        f"$: {WORD} == 3'h7 => {SWAPPED} == 3'h7": SAME_BITS,
        f"$: ! {WORD} => ! {SWAPPED}": SAME_BITS,
        "$: { spiking_group, 1'h0 } < n_neurons => { 1'h0, spiking_group } < n_neurons": "the "
        "first neuron of a group exists",
        "$: start | (| { valid_7, valid_6, valid_5, valid_4, valid_3, valid_2, valid_1, $signal })"
        " => start ^ $": "a step begins while none is under way",
    },
)
