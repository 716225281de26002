"""From the tables of a parsed TOML document to the dataclasses of a description."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from csnn.errors import InvalidInputError, reject
from csnn.neurons.registry import DESCRIPTIONS
from csnn.spec import builtin
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
from csnn.spec.neuron import weight_key
from csnn.spec.rules import RULES, Rule

# How the dataclasses call themselves in their own messages; replaced by the place in the file.
_OWNERS: dict[type, str] = {
    PoissonInput: "poisson",
    DcInput: "dc",
    Population: "population",
    Projection: "projection",
    EdgeList: "edges",
    **{kind: name for name, kind in DISTRIBUTIONS.items()},
    **{kind: name for name, kind in RULES.items()},
    **{description.parameters: "neuron" for description in DESCRIPTIONS.values()},
}
_MODEL = "model"
_NEURONS = {name: description.parameters for name, description in DESCRIPTIONS.items()}
_NETWORK_KEYS = ("name", "dt_ms", "notes", "neuron", "population", "projection", "edges")
_COMMON_KEYS = ("machine", "run")


def shown(key: str) -> str:
    """Return `key` as messages show it, cut at 60 characters."""
    return key if len(key) <= 60 else key[:57] + "..."


def _reject_key(place: str, key: str, value: Any, known: tuple[str, ...]) -> InvalidInputError:
    field = f"{place}.{shown(key)}" if place else shown(key)
    return reject(field, value, f"is not a key here; {nearest(key, known)}")


def _record(kind: type, value: Any, place: str, **extra: Any) -> Any:
    """Build the dataclass `kind` from a table; `extra` are fields that the table cannot hold."""
    if not isinstance(value, dict):
        raise reject(place, value, "must be a table")
    fields = {f.name: f for f in dataclasses.fields(kind) if f.name not in extra}
    for key, item in value.items():
        if key not in fields:
            raise _reject_key(place, key, item, tuple(fields))
    for name, field in fields.items():
        optional = field.default is not dataclasses.MISSING
        if name not in value and not optional:
            raise InvalidInputError(f"{place}.{name}: missing; the table needs this key")
    arguments = {
        key: _CONVERTERS[str(fields[key].type)](item, f"{place}.{key}")
        for key, item in value.items()
    }
    return _located(kind, place, lambda: kind(**arguments, **extra))


def _located(kind: type, place: str, make: Callable[[], Any]) -> Any:
    try:
        return make()
    except InvalidInputError as error:
        message, owner = str(error), _OWNERS.get(kind)
        if owner is not None and message.startswith(f"{owner}."):
            raise InvalidInputError(place + message[len(owner) :]) from None
        raise


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
    "PoissonInput | None": lambda value, place: _record(PoissonInput, value, place),
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
    neuron: Neuron = _tagged(named, _MODEL, _NEURONS, place)
    return neuron


def _weights(table: Any, unit: str, place: str) -> Any:
    """Turn the key of a weight, which has its unit, into the field of the description."""
    key, wanted = "weight_pA", weight_key(unit)
    if not isinstance(table, dict) or key == wanted:
        return table
    if key in table:
        rule = f"weights of this neuron are not in pA; write {wanted}"
        raise reject(f"{place}.{key}", table[key], rule)
    return {key if name == wanted else name: value for name, value in table.items()}


def _population(table: Any, index: int, defaults: dict[str, Any]) -> Population:
    name = table.get("name") if isinstance(table, dict) else None
    place = f"population {shown(name)}" if isinstance(name, str) else f"population {index}"
    own = table.get("neuron", {}) if isinstance(table, dict) else {}
    if not isinstance(own, dict):
        raise reject(f"{place}.neuron", own, "must be a table")
    # Another model shares no defaults.
    is_other = own.get(_MODEL, defaults.get(_MODEL)) != defaults.get(_MODEL)
    neuron = _neuron(own if is_other else {**defaults, **own}, f"{place}.neuron")
    rest = {k: v for k, v in table.items() if k != "neuron"} if isinstance(table, dict) else table
    if isinstance(rest, dict) and "poisson" in rest:
        poisson = _weights(rest["poisson"], neuron.weight_unit, f"{place}.poisson")
        rest = {**rest, "poisson": poisson}
    population: Population = _record(Population, rest, place, neuron=neuron)
    return population


def _projection(table: Any, index: int, units: Mapping[str, str]) -> Projection:
    place = f"projection {index}"
    if isinstance(table, dict) and all(isinstance(table.get(k), str) for k in ("source", "target")):
        place = f"projection {shown(table['source'])}->{shown(table['target'])}"
        table = _weights(table, units.get(table["target"], "pA"), place)
    projection: Projection = _record(Projection, table, place)
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
    machine = _record(Machine, document.pop("machine", {}), "machine")
    run = _record(Run, document.pop("run", {}), "run")
    network = _builtin(document) if "builtin" in document else _network(document, folder)
    return Description(network=network, machine=machine, run=run)
