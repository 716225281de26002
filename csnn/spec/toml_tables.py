"""From the tables of a parsed TOML document to the dataclasses of a description."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from csnn.errors import InvalidInputError, reject
from csnn.neurons.registry import DESCRIPTIONS
from csnn.spec import builtin, checks
from csnn.spec.builtin import nearest
from csnn.spec.description import Description
from csnn.spec.distributions import DISTRIBUTIONS, Constant, Distribution
from csnn.spec.machine import Machine, Run
from csnn.spec.network import (
    DcInput,
    EdgeList,
    LifNeuron,
    Network,
    Neuron,
    PoissonInput,
    Population,
    Projection,
)
from csnn.spec.neuron import WEIGHT_UNITS, grid_key, weight_key
from csnn.spec.rules import RULES, Rule

# How the dataclasses call themselves in their own messages; replaced by the place in the file.
_OWNERS: dict[type, str] = {
    PoissonInput: "poisson",
    DcInput: "dc",
    Population: "population",
    Projection: "projection",
    EdgeList: "edges",
    Machine: "machine",
    **{kind: name for name, kind in DISTRIBUTIONS.items()},
    **{kind: name for name, kind in RULES.items()},
}
_MODEL = "model"
_NETWORK_KEYS = ("name", "dt_ms", "notes", "neuron", "population", "projection", "edges")
_COMMON_KEYS = ("machine", "run")


def shown(key: str) -> str:
    """Return `key` as messages show it, cut at 60 characters."""
    return key if len(key) <= 60 else key[:57] + "..."


def _reject_key(
    place: str, key: str, value: Any, known: tuple[str, ...], meant: str | None = None
) -> InvalidInputError:
    field = f"{place}.{shown(key)}" if place else shown(key)
    return reject(field, value, f"is not a key here; {nearest(meant or key, known)}")


def _record(
    kind: type, value: Any, place: str, written: Mapping[str, str] | None = None, **extra: Any
) -> Any:
    """Build the dataclass `kind` from a table; `extra` are fields that the table cannot hold.

    `written` holds the keys of fields that have another name in the table.
    """
    if not isinstance(value, dict):
        raise reject(place, value, "must be a table")
    written = written or {}
    fields = {
        written.get(f.name, f.name): f for f in dataclasses.fields(kind) if f.name not in extra
    }
    for key, item in value.items():
        if key not in fields:
            meant = getattr(kind, "synonyms", {}).get(key)
            raise _reject_key(place, key, item, tuple(fields), meant)
    for name, field in fields.items():
        optional = field.default is not dataclasses.MISSING
        if name not in value and not optional:
            raise InvalidInputError(f"{place}.{name}: missing; the table needs this key")
    arguments = {
        fields[key].name: _CONVERTERS[checks.annotation(fields[key])](item, f"{place}.{key}")
        for key, item in value.items()
    }
    return _located(kind, place, written, lambda: kind(**arguments, **extra))


def _located(kind: type, place: str, written: Mapping[str, str], make: Callable[[], Any]) -> Any:
    try:
        return make()
    except InvalidInputError as error:
        message = str(error)
        owner = "neuron" if issubclass(kind, Neuron) else _OWNERS.get(kind)
        if owner is None or not message.startswith(f"{owner}."):
            raise
        rest = message[len(owner) + 1 :]
        for field, key in written.items():
            if rest.startswith(f"{field} "):
                rest = key + rest[len(field) :]
        raise InvalidInputError(f"{place}.{rest}") from None


def _tagged(value: Any, tag: str, kinds: Mapping[str, type], place: str) -> Any:
    """Build one of `kinds` from a table whose key `tag` chooses it."""
    if not isinstance(value, dict):
        raise reject(place, value, f'must be a table {{ {tag} = "...", ... }}')
    if tag not in value:
        raise InvalidInputError(f"{place}.{tag}: missing; one of {', '.join(kinds)}")
    chosen = value[tag]
    if not isinstance(chosen, str) or chosen not in kinds:
        raise reject(f"{place}.{tag}", chosen, nearest(str(chosen), tuple(kinds)))
    rest = {key: item for key, item in value.items() if key != tag}
    return _record(kinds[chosen], rest, place)


def _distribution(value: Any, place: str) -> Distribution:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return Constant(value=float(value))
        except InvalidInputError:
            raise reject(place, value, "must be a finite number or a distribution") from None
    if not isinstance(value, dict):
        raise reject(place, value, 'must be a number or a table { distribution = "...", ... }')
    distribution: Distribution = _tagged(value, "distribution", DISTRIBUTIONS, place)
    return distribution


def _rule(value: Any, place: str) -> Rule:
    table = {"name": value} if isinstance(value, str) else value
    rule: Rule = _tagged(table, "name", RULES, place)
    return rule


def _same(value: Any, place: str) -> Any:
    return value


def _number(value: Any, place: str) -> Any:
    """Make integers floats; what is no number at all is left for the dataclass to refuse."""
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _array(value: Any, place: str) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _pairs(value: Any, place: str) -> Any:
    if not isinstance(value, list):
        return value
    return tuple(
        tuple(_number(item, place) for item in pair) if isinstance(pair, list) else pair
        for pair in value
    )


# By the annotation of the field that is read.
_CONVERTERS: dict[str, Callable[[Any, str], Any]] = {
    "str": _same,
    "str | None": _same,
    "int": _same,
    "int | None": _same,
    "bool": _same,
    "float": _number,
    "float | None": _number,
    "Distribution": _distribution,
    "Rule": _rule,
    "tuple[int, ...]": _array,
    "tuple[str, ...]": _array,
    "tuple[tuple[float, float], ...]": _pairs,
    "DcInput": lambda value, place: _record(DcInput, value, place),
}


def _tables(document: dict[str, Any], key: str) -> list[Any]:
    value = document.get(key, [])
    if not isinstance(value, list):
        raise reject(key, value, f"must be a list of tables; write [[{key}]]")
    return value


def _neuron(table: dict[str, Any], place: str) -> Neuron:
    """Build the neuron of the model that the table names, LIF if it names none."""
    named = {_MODEL: LifNeuron.model, **table}
    kinds = {name: description.parameters for name, description in DESCRIPTIONS.items()}
    neuron: Neuron = _tagged(named, _MODEL, kinds, place)
    return neuron


def _record_of_unit(
    kind: type,
    table: Any,
    place: str,
    field: str,
    key_of: Callable[[str], str],
    unit: str | None,
    whose: str,
) -> Any:
    """Build a record of which one field has a key with the unit of weights.

    Without a unit nothing is known of the target, which is refused elsewhere, and any key will do.
    """
    keys = [key for key in map(key_of, WEIGHT_UNITS) if isinstance(table, dict) and key in table]
    wanted = key_of(unit) if unit is not None else next(iter(keys), key_of(WEIGHT_UNITS[0]))
    for key in keys:
        if unit is not None and key != wanted:
            what = "have no unit" if unit == "1" else f"are in {unit}"
            raise reject(f"{place}.{key}", table[key], f"weights of {whose} {what}; write {wanted}")
    return _record(kind, table, place, {field: wanted})


def _weighted(kind: type, table: Any, unit: str | None, place: str) -> Any:
    """Build a record with a weight, in the unit of weights of the target's neurons."""
    whose = "synapses onto these neurons"
    return _record_of_unit(kind, table, place, "weight", weight_key, unit, whose)


def _machine(table: Any, unit: str) -> Machine:
    """Build the machine, whose grid is in the unit of the network's weights."""
    machine: Machine = _record_of_unit(
        Machine, table, "machine", "weight_grid", grid_key, unit, "this network"
    )
    return machine


def _population(table: Any, index: int, defaults: dict[str, Any]) -> Population:
    name = table.get("name") if isinstance(table, dict) else None
    place = f"population {shown(name)}" if isinstance(name, str) else f"population {index}"
    own = table.get("neuron", {}) if isinstance(table, dict) else {}
    if not isinstance(own, dict):
        raise reject(f"{place}.neuron", own, "must be a table")
    # Another model shares no defaults.
    shared = defaults.get(_MODEL, LifNeuron.model)
    is_other = own.get(_MODEL, shared) != shared
    neuron = _neuron(own if is_other else {**defaults, **own}, f"{place}.neuron")
    extra: dict[str, Any] = {"neuron": neuron}
    if isinstance(table, dict) and "poisson" in table:
        extra["poisson"] = _weighted(
            PoissonInput, table["poisson"], neuron.weight_unit, f"{place}.poisson"
        )
    rest = table
    if isinstance(table, dict):
        rest = {key: value for key, value in table.items() if key not in extra}
    population: Population = _record(Population, rest, place, **extra)
    return population


def _projection(table: Any, index: int, units: Mapping[str, str]) -> Projection:
    place, unit = f"projection {index}", None
    if isinstance(table, dict) and all(isinstance(table.get(k), str) for k in ("source", "target")):
        place = f"projection {shown(table['source'])}->{shown(table['target'])}"
        unit = units.get(table["target"])
    projection: Projection = _weighted(Projection, table, unit, place)
    return projection


def _edges(table: Any, folder: Path) -> EdgeList:
    edges: EdgeList = _record(EdgeList, table, "edges")
    return dataclasses.replace(edges, path=str(folder / edges.path))


def _network(document: dict[str, Any], folder: Path) -> Network:
    for key, value in document.items():
        if key not in _NETWORK_KEYS:
            raise _reject_key("", key, value, (*_NETWORK_KEYS, "builtin", *_COMMON_KEYS))
    if "population" not in document:
        raise InvalidInputError(
            'population: missing; give [[population]] tables or builtin = "..."'
        )
    if "name" not in document:
        raise InvalidInputError("name: missing; the network needs this key")
    defaults = document.get("neuron", {})
    if not isinstance(defaults, dict):
        raise reject("neuron", defaults, "must be a table")
    _neuron(defaults, "neuron")
    tables = _tables(document, "population")
    populations = tuple(_population(table, i, defaults) for i, table in enumerate(tables, 1))
    units = {population.name: population.neuron.weight_unit for population in populations}
    projections = _tables(document, "projection")
    header = {key: document[key] for key in ("name", "dt_ms", "notes") if key in document}
    network: Network = _record(
        Network,
        header,
        "network",
        populations=populations,
        projections=tuple(_projection(t, i, units) for i, t in enumerate(projections, 1)),
        edges=_edges(document["edges"], folder) if "edges" in document else None,
    )
    return network


def _builtin(document: dict[str, Any]) -> Network:
    name = document["builtin"]
    options = {key: value for key, value in document.items() if key != "builtin"}
    for key in _NETWORK_KEYS:
        if key in options:
            raise InvalidInputError(
                f"{key}: cannot stand beside builtin; edit what `csnn show {name}` prints instead"
            )
    return builtin.build(name, options)


def read_description(document: dict[str, Any], folder: Path) -> Description:
    """Build the description that a parsed TOML document holds.

    Parameters
    ----------
    document : dict
        The document as `tomllib` returns it.
    folder : Path
        Folder that relative file names start from.

    Returns
    -------
    Description

    Raises
    ------
    InvalidInputError
        If a key is unknown or missing, or a value has the wrong type or breaks a rule.
    """
    document = dict(document)
    machine_table, run_table = document.pop("machine", {}), document.pop("run", {})
    network = _builtin(document) if "builtin" in document else _network(document, folder)
    machine = _machine(machine_table, network.weight_unit)
    run = _record(Run, run_table, "run")
    return Description(network=network, machine=machine, run=run)
