"""Write descriptions as commented TOML that reads back to an equal description."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

from csnn.spec import builtin, checks
from csnn.spec.description import Description
from csnn.spec.distributions import DISTRIBUTIONS, Constant
from csnn.spec.network import LifNeuron, Network, Neuron, Population, Projection
from csnn.spec.neuron import SHARED_COMMENTS, grid_key, weight_key
from csnn.spec.rules import RULES, FixedTotalNumber

_TAGS = {kind: ("distribution", name) for name, kind in DISTRIBUTIONS.items()} | {
    kind: ("name", name) for name, kind in RULES.items()
}
_RULER = "# " + "-" * 78

_MACHINE_COMMENTS = {
    "neurons_per_node": "1 to 256, of one population",
    "partition": '"equal" sizes, or "load": equal numbers of synaptic events over n_nodes nodes',
    "n_nodes": 'nodes that "load" may use',
    "delay_slots": "length of the circular buffer: delays of 1 to this many steps",
    "ext_lanes": "generators of Poisson input per node",
    "row_layout": '"dense", "sparse" or "auto"',
    "weight_grid": "a power of two; without it the finest that fits",
    "random_delay_buffer": "start with random input under way",
}
_EDGE_COMMENTS = {
    "path": "columns source, target, {weight}, delay_ms",
    "representation": '"stored" (edge by edge, weights rounded to the grid) or "fitted" tables',
    "sha256": "if given, that of the file",
}
_RUN_COMMENTS = {
    "time_ms": "recorded model time",
    "warmup_ms": "simulated before it and left out of every statistic",
    "seed": "of connectivity, initial state and input",
    "threads": "results do not depend on it",
    "record": "neurons whose V, currents and input are recorded",
}
_POPULATION_TEXT = """\
Populations, in the order of their neuron numbers. Every distribution is a number or one of
  { distribution = "normal", mu = 0.0, sigma = 1.0, minimum = -inf, maximum = inf }
  { distribution = "lognormal", mu_log = 0.0, sigma_log = 1.0 }
  { distribution = "uniform", low = 0.0, high = 1.0 }
poisson.rate_hz is the summed rate per neuron; dc.current_pA a constant current. Either may have
changes = [[time_ms, value], ...]. expected_rate_hz only balances the load of the machine.
neuron = { ... } overrides [neuron] in one population."""
_PROJECTION_TEXT = """\
Projections. Rules: { name = "fixed_total_number", count = .. }, { name = "fixed_indegree",
indegree = .. }, { name = "fixed_outdegree", outdegree = .. }, { name = "pairwise_bernoulli",
p = .. }, { name = "all_to_all" }, { name = "one_to_one" }. A negative weight is inhibitory.
allow_autapses and allow_multapses are true unless given."""


def _string(text: str) -> str:
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return (
        '"'
        + "".join(escapes.get(c) or (c if c.isprintable() else f"\\U{ord(c):08x}") for c in text)
        + '"'
    )


def _value(value: Any) -> str:
    """Return `value` as a TOML value; floats with all the digits that distinguish them."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(float(value))
    if isinstance(value, tuple):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, Constant):
        return repr(float(value.value))
    tag = _TAGS.get(type(value))
    items = [(tag[0], _string(tag[1]))] if tag else []
    items += [(key, _value(item)) for key, item in _changed(value)]
    return "{ " + ", ".join(f"{key} = {text}" for key, text in items) + " }"


def _changed(record: Any, reference: Any = None) -> list[tuple[str, Any]]:
    """Return the fields that differ from `reference`, or from their defaults."""
    found = []
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        usual = field.default if reference is None else getattr(reference, field.name)
        if value != usual:
            found.append((field.name, value))
    return found


def _lines(items: list[tuple[str, str, str]]) -> list[str]:
    """Align `key = value  # comment` lines."""
    wide = max((len(key) for key, _, _ in items), default=0)
    values = max((len(text) for _, text, comment in items if comment), default=0)
    return [
        f"{key:<{wide}} = {text:<{values}}  # {comment}" if comment else f"{key:<{wide}} = {text}"
        for key, text, comment in items
    ]


def _commented(text: str) -> list[str]:
    return [f"# {line}".rstrip() for line in text.splitlines()]


def _float(value: Any, annotation: str) -> Any:
    return float(value) if annotation.startswith("float") and value is not None else value


def _whole_table(title: str, record: Any, comments: dict[str, str], unit: str) -> list[str]:
    """Write every field of `record`, those without a value as a comment; `unit` is of weights."""
    items = []
    for field in dataclasses.fields(record):
        value = _float(getattr(record, field.name), checks.annotation(field))
        name = grid_key(unit) if field.name == "weight_grid" else field.name
        key = name if value is not None else f"# {name}"
        comment = comments[field.name].format(weight=weight_key(unit))
        items.append((key, "..." if value is None else _value(value), comment))
    return [f"[{title}]", *_lines(items)]


def _neuron_table(neuron: Neuron) -> list[str]:
    """Write the parameters that mean something; LIF with exponential currents is not named."""
    combination = ("kernel", "coupling", "solver", "substeps")
    fields = {field.name: field for field in dataclasses.fields(neuron)}
    items = []
    if neuron.model != LifNeuron.model or any(
        getattr(neuron, name) != fields[name].default for name in combination
    ):
        items.append(("model", _string(neuron.model), ""))
        items += [(n, _value(getattr(neuron, n)), SHARED_COMMENTS[n]) for n in combination]
    for name in (*neuron.comments, *(n for n in SHARED_COMMENTS if n not in combination)):
        if neuron.means(name):
            comment = neuron.comments.get(name) or SHARED_COMMENTS[name]
            value = _float(getattr(neuron, name), checks.annotation(fields[name]))
            items.append((name, _value(value), comment))
    return ["[neuron]", *_lines(items)]


def _own_neuron(own: Neuron, shared: Neuron) -> str:
    """Write a population's neuron; another model shares no parameters with the others."""
    if type(own) is type(shared):
        changed = _changed(own, shared)
    else:
        changed = [("model", own.model), *_changed(own)]
    return "{ " + ", ".join(f"{key} = {_value(value)}" for key, value in changed) + " }"


def _poisson(population: Population) -> str:
    """Write the input, the weight with its unit."""
    poisson = population.poisson
    key = weight_key(population.neuron.weight_unit)
    items = [(key if n == "weight" else n, v) for n, v in _changed(poisson)]
    return "{ " + ", ".join(f"{name} = {_value(value)}" for name, value in items) + " }"


def _population(population: Population, neuron: Neuron) -> list[str]:
    items = [("name", _string(population.name), ""), ("size", str(population.size), "")]
    if population.neuron != neuron:
        items.append(("neuron", _own_neuron(population.neuron, neuron), ""))
    items.append(("V_init_mV", _value(population.V_init_mV), ""))
    shown = {"name", "size", "neuron", "V_init_mV"}
    for key, value in _changed(population):
        if key not in shown:
            text = _poisson(population) if key == "poisson" else _value(value)
            items.append((key, text, ""))
    return ["[[population]]", *_lines(items)]


def _projection(projection: Projection, network: Network) -> list[str]:
    items = []
    for field in dataclasses.fields(projection):
        value = getattr(projection, field.name)
        comment = ""
        if isinstance(value, FixedTotalNumber):
            indegree = value.count / network.population(projection.target).size
            comment = f"mean in-degree {indegree:.1f}"
        if field.default is dataclasses.MISSING or value != field.default:
            unit = network.population(projection.target).neuron.weight_unit
            key = weight_key(unit) if field.name == "weight" else field.name
            items.append((key, _value(value), comment))
    return ["[[projection]]", *_lines(items)]


def dumps(description: Description, *, about: str | None = None) -> str:
    """Write `description` as TOML.

    Parameters
    ----------
    description : Description
        What to write.
    about : str, optional
        Text for the comment at the head; by default that of the built-in network which this one
        is or was edited from, if any.

    Returns
    -------
    str
        A document of which `loads` makes an equal description.
    """
    network = description.network
    text = builtin.about(network) if about is None else about
    out = [*_commented(text), ""] if text else []
    header = [
        ("name", _string(network.name), ""),
        ("dt_ms", repr(float(network.dt_ms)), "time step"),
    ]
    out += _lines(header)
    if network.notes:
        out += ["notes = [", *(f"    {_string(note)}," for note in network.notes), "]"]
    # The neuron that most populations have becomes the shared table.
    neuron = Counter(population.neuron for population in network.populations).most_common(1)[0][0]
    out += ["", "# Shared by all populations.", *_neuron_table(neuron)]
    out += ["", _RULER, *_commented(_POPULATION_TEXT), _RULER]
    for population in network.populations:
        out += ["", *_population(population, neuron)]
    if network.projections:
        out += ["", _RULER, *_commented(_PROJECTION_TEXT), _RULER]
    for projection in network.projections:
        out += ["", *_projection(projection, network)]
    if network.edges is not None:
        out += [
            "",
            "# Synapses from a file.",
            *_whole_table("edges", network.edges, _EDGE_COMMENTS, network.weight_unit),
        ]
    out += ["", _RULER, "# The machine that the network is compiled for.", _RULER, ""]
    unit = network.weight_unit
    out += _whole_table("machine", description.machine, _MACHINE_COMMENTS, unit)
    out += ["", "# One simulation.", *_whole_table("run", description.run, _RUN_COMMENTS, unit)]
    return "\n".join(out) + "\n"
