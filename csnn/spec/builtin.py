"""The built-in networks by name, with their options and where their numbers come from."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from csnn.errors import reject
from csnn.spec.brunel import brunel
from csnn.spec.columns import columns, has_columns
from csnn.spec.network import Network
from csnn.spec.pd14 import POPULATIONS, pd14


@dataclass(frozen=True, kw_only=True)
class Builtin:
    """A built-in network.

    `has` tells whether populations of these names are this network's, `options` maps each option
    to its meaning, `summary` is one line, `about` the text that heads the printed description.
    """

    name: str
    summary: str
    has: Callable[[tuple[str, ...]], bool]
    make: Callable[..., Network]
    options: Mapping[str, str]
    about: str


def _scaled(make: Callable[..., Network]) -> Callable[..., Network]:
    """Return `make` with the option `scale` for `n_scale` and `k_scale` together."""

    def scaled(*, scale: float | None = None, **options: Any) -> Network:
        if scale is not None:
            for clash in ("n_scale", "k_scale"):
                if clash in options:
                    raise reject(
                        f"{make.__name__}.scale", scale, f"sets {clash} too; give one of them"
                    )
            options = {"n_scale": scale, "k_scale": scale, **options}
        return make(**options)

    return scaled


_SCALING = {
    "scale": "factor on the numbers of neurons and on the in-degrees",
    "n_scale": "factor on the numbers of neurons",
    "k_scale": "factor on the in-degrees; weights and input are compensated",
    "inhibition": "inhibitory over excitatory weight, g (default -4)",
}


BUILTINS: dict[str, Builtin] = {
    "pd14": Builtin(
        name="pd14",
        summary="cortical microcircuit of Potjans & Diesmann (2014), 77,169 neurons",
        has=POPULATIONS.__eq__,
        make=_scaled(pd14),
        options={
            **_SCALING,
            "external_indegrees": "background synapses per neuron, one number per population",
        },
        about="""\
The cortical microcircuit below 1 mm^2 of cortex, after Potjans & Diesmann (2014) Cereb. Cortex
24:785: layers 2/3, 4, 5, 6, each with an excitatory and an inhibitory population. At full scale
it has 77,169 neurons and 298,880,968 synapses.

Sizes, connection probabilities, weights, delays and background in-degrees: their Tables 4 and 5.
  synapses of a pair    ln(1 - p) / ln(1 - 1 / (N_target N_source)), rounded
  excitatory weight     evokes a PSP of 0.15 mV (L4E->L23E twice that); SD 10 %
  inhibitory weight     -4 times the excitatory one
  delay                 1.5 ms excitatory, 0.75 ms inhibitory; SD 50 %
  Poisson rate          background in-degree (1500 to 2900) times 8 spikes/s
Initial potentials: means and SDs of the INM-6 reference implementation, which avoid a burst at
the start. expected_rate_hz: mean rates of the full-scale network.

To scale it, do not edit the sizes: print it again with `csnn show pd14 --scale 0.1`, or write
  builtin = "pd14"
  scale = 0.1
(or n_scale and k_scale for neurons and in-degrees apart). Weights then grow by 1/sqrt(k_scale)
and a direct current restores the mean input (van Albada et al. 2015, PLoS Comput. Biol.
11:e1004490). Firing rates are kept; correlations are not.""",
    ),
    "columns": Builtin(
        name="columns",
        summary="microcircuits on a ring with lateral projections, 77,169 neurons each",
        has=has_columns,
        make=_scaled(columns),
        options={
            "columns": "number of microcircuits (default 4)",
            "lateral": "lateral synapses as a part of the background ones (default 0.05)",
            **_SCALING,
        },
        about="""\
Cortical microcircuits of Potjans & Diesmann (2014) side by side on a ring (`csnn show pd14` says
more of each). L23E projects to L23E and L23I of both neighbouring columns, L5E to L5E and L5I:
the layers with most horizontal axons. At full scale four columns have 308,676 neurons and
1,206,237,336 synapses.

  lateral synapses      5 % of the background in-degree of the pd14 population (80 for L23E)
  their weight          that of a background synapse, PSP of 0.15 mV; SD 10 %
  their delay           3.5 ms, 1 mm of axon at 0.5 m/s more than within a column; SD 0.75 ms
  Poisson rate          less by the spikes that lateral synapses bring at the expected rates

The numbers of the lateral projections are choices of this example, no measurements. As in the
multi-area model (Schmidt et al. 2018, PLoS Comput. Biol. 14:e1006359) synapses from other columns
take the place of background ones.

To change it, do not edit the sizes: print it again, or write
  builtin = "columns"
  columns = 8
  lateral = 0.1
and scale, n_scale, k_scale or inhibition as for pd14.""",
    ),
    "brunel": Builtin(
        name="brunel",
        summary="sparse random network of Brunel (2000), 12,500 neurons",
        has=("E", "I").__eq__,
        make=brunel,
        options={
            "order": "number of inhibitory neurons; four times as many are excitatory",
            "g": "inhibitory over excitatory weight (default 5)",
            "eta": "background rate over the rate that just reaches threshold (default 2)",
            "psp_mV": "amplitude of an excitatory PSP (default 0.1)",
        },
        about="""\
The sparse random network of Brunel (2000) J. Comput. Neurosci. 8:183: 80 % excitatory and 20 %
inhibitory neurons, each with fixed in-degrees of 10 % of both populations.

Inhibitory weights are -g times the excitatory one, which evokes a PSP of 0.1 mV; the Poisson
rate is eta times the rate whose mean current just reaches threshold. Brunel's synapses are
delta pulses; here an exponential current of 0.5 ms evokes a PSP of the same amplitude.

To change it, edit the numbers or write
  builtin = "brunel"
  order = 2500    # inhibitory neurons
  g = 5.0         # below about 4 excitation dominates
  eta = 2.0""",
    ),
}


def nearest(word: str, choices: tuple[str, ...]) -> str:
    """Return a hint naming the nearest of `choices`, or all of them if none is near."""
    close = difflib.get_close_matches(word[:64], choices, n=1)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(choices) or 'none'}"


def build(name: str, options: Mapping[str, Any] | None = None) -> Network:
    """Build the built-in network `name`.

    Parameters
    ----------
    name : str
        A key of `BUILTINS`.
    options : mapping of str to value, optional
        Options of that network (see `Builtin.options`).

    Returns
    -------
    Network

    Raises
    ------
    InvalidInputError
        If there is no such network or option, or an option's value breaks its rule.
    """
    if not isinstance(name, str) or name not in BUILTINS:
        raise reject("builtin", name, f"is no built-in network; {nearest(str(name), _NAMES)}")
    builtin = BUILTINS[name]
    options = options or {}
    for option, value in options.items():
        if option not in builtin.options:
            hint = nearest(option, tuple(builtin.options))
            raise reject(f"{name}.{option}", value, f"is no option of {name}; {hint}")
    return builtin.make(**options)


def about(network: Network) -> str:
    """Return the text about the built-in network that `network` is or was edited from, or ""."""
    builtin = BUILTINS.get(network.name)
    names = tuple(population.name for population in network.populations)
    return builtin.about if builtin is not None and builtin.has(names) else ""


_NAMES = tuple(BUILTINS)
