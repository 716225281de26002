"""From an image back to an edge list: every synapse that its rows unroll to, or a part of them.

Order of the edges: by node, then source, target, delay and weight (excitatory before inhibitory,
then by magnitude). It depends on nothing but the image.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.edges import COLUMNS, Edges
from csnn.errors import InvalidInputError, reject
from csnn.image.node import NodeImage
from csnn.image.store import Image
from csnn.progress import progress
from csnn.rows import weight_units
from netgen.unrolling import unroll

# About 1.6 GB while the columns are joined.
MAX_EDGES = 50_000_000

# Fields of a sort key, lowest bit first: weight code, delay_steps - 1, local target, source.
_DELAY_SHIFT = np.uint64(16)
_TARGET_SHIFT = np.uint64(22)
_SOURCE_SHIFT = np.uint64(30)

Bool = npt.NDArray[np.bool_]
Selection = str | range | Sequence[str | range]


@dataclass(frozen=True)
class _Part:
    """What is exported: nodes, and masks over the neurons (None: all of them)."""

    nodes: list[NodeImage]
    targets: Bool | None
    sources: Bool | None


def iter_edges(
    image: Image,
    *,
    nodes: Iterable[int] | None = None,
    targets: Selection | None = None,
    sources: Selection | None = None,
) -> Iterator[Edges]:
    """Yield the edges of one node after the other; memory is that of the largest node.

    Parameters
    ----------
    image : Image
    nodes : iterable of int, optional
        Numbers of the nodes; all by default.
    targets, sources : selection, optional
        Populations by name, and neurons by their global numbers, as a range or as text
        "first:stop" (`stop` is left out); one of these or several. All neurons by default.

    Yields
    ------
    Edges
        Edges of a node with any, in the order of the module's description.

    Raises
    ------
    InvalidInputError
        If a node, population or neuron does not exist.
    """
    part = _part(image, nodes, targets, sources)
    return (edges for node in part.nodes if len(edges := _edges_of(node, part)))


def export_edges(
    image: Image,
    *,
    nodes: Iterable[int] | None = None,
    targets: Selection | None = None,
    sources: Selection | None = None,
    limit: int = MAX_EDGES,
) -> Edges:
    """Return the edges of an image, or of a part of it.

    Parameters
    ----------
    image, nodes, targets, sources
        As for `iter_edges`.
    limit : int
        Largest number of edges.

    Returns
    -------
    Edges
        Global neuron numbers from 0; signed weight in the unit of the image's weights, a
        multiple of the grid; delay in ms, the number of 12 digits next to steps x dt.

    Raises
    ------
    InvalidInputError
        As `iter_edges`, and if there are more than `limit` edges.
    """
    part = _part(image, nodes, targets, sources)
    whole = [node for node in part.nodes if _all_targets(node, part)]
    _refuse_more_than(limit, sum(_count(node, part) for node in whole))
    columns: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in COLUMNS}
    total = 0
    with progress(len(part.nodes), "export", "nodes") as bar:
        for node in part.nodes:
            edges = _edges_of(node, part)
            total += len(edges)
            _refuse_more_than(limit, total)
            for name in COLUMNS:
                columns[name].append(getattr(edges, name))
            bar.update()

    return Edges(
        source=_join(columns.pop("source"), np.uint32),
        target=_join(columns.pop("target"), np.uint32),
        weight=_join(columns.pop("weight"), np.float64),
        delay_ms=_join(columns.pop("delay_ms"), np.float64),
    )


def _join(parts: list[npt.NDArray[Any]], dtype: type) -> npt.NDArray[Any]:
    # Popped by the caller: a column's parts are freed before the next column is joined.
    return np.concatenate(parts) if parts else np.empty(0, dtype=dtype)


def _refuse_more_than(limit: int, edges: int) -> None:
    if edges > limit:
        raise InvalidInputError(
            f"export of {edges:,} edges or more: at most {limit:,} fit in one list; "
            "select a part by nodes, targets or sources"
        )


def _part(
    image: Image,
    nodes: Iterable[int] | None,
    targets: Selection | None,
    sources: Selection | None,
) -> _Part:
    chosen = range(image.n_nodes) if nodes is None else sorted(set(nodes))
    for number in chosen:
        if not 0 <= number < image.n_nodes:
            raise reject("nodes", number, f"must be a node number below {image.n_nodes}")
    wanted = _mask(image, "targets", targets)
    found = []
    for number in chosen:
        node = image.nodes[number]
        own = slice(node.first_neuron, node.first_neuron + node.n_neurons)
        if wanted is None or wanted[own].any():
            found.append(node)
    return _Part(found, wanted, _mask(image, "sources", sources))


def _mask(image: Image, field: str, selection: Selection | None) -> Bool | None:
    if selection is None:
        return None
    items = [selection] if isinstance(selection, str | range) else list(selection)
    firsts: dict[str, range] = {}
    first = 0
    for name, size in image.populations:
        firsts[name] = range(first, first + size)
        first += size
    mask = np.zeros(image.n_neurons, dtype=bool)
    for item in items:
        numbers = firsts.get(item) if isinstance(item, str) else item
        numbers = _from_text(item) if isinstance(item, str) and numbers is None else numbers
        # The ends of a range are its extremes; min() would walk through it.
        ends = (numbers[0], numbers[-1]) if numbers else (-1, -1)
        if min(ends) < 0 or max(ends) >= image.n_neurons:
            names = ", ".join(list(firsts)[:12])
            rule = f"must be a population ({names}) or neurons first:stop up to {image.n_neurons}"
            raise reject(field, item, rule)
        mask[np.array(numbers)] = True
    return mask


def _from_text(text: str) -> range | None:
    first, colon, stop = text.partition(":")
    if colon and all(re.fullmatch("[0-9]{1,18}", part) for part in (first, stop)):
        return range(int(first), int(stop))
    return None


def _all_targets(node: NodeImage, part: _Part) -> bool:
    own = slice(node.first_neuron, node.first_neuron + node.n_neurons)
    return part.targets is None or bool(part.targets[own].all())


def _count(node: NodeImage, part: _Part) -> int:
    """Return the number of edges from the selected sources to all neurons of a node."""
    total = 0
    for index in range(len(node.blocks)):
        source, _, length = node.rows(index)
        if part.sources is not None:
            length = length[part.sources[source]]
        total += int(length.sum(dtype=np.int64))
    return total


def _edges_of(node: NodeImage, part: _Part) -> Edges:
    keys = [np.empty(0, dtype=np.uint64)]
    for index in range(len(node.blocks)):
        source, seed, length = node.rows(index)
        if part.sources is not None:
            wanted = part.sources[source]
            source, seed, length = source[wanted], seed[wanted], length[wanted]
        synapses = unroll(node.block(index), source, seed, length)
        keys.append(
            source[synapses.row].astype(np.uint64) << _SOURCE_SHIFT
            | synapses.neuron.astype(np.uint64) << _TARGET_SHIFT
            | synapses.delay.astype(np.uint64) << _DELAY_SHIFT
            | synapses.code.astype(np.uint64)
        )
    key = np.concatenate(keys)
    key.sort()
    neuron = (key >> _TARGET_SHIFT & np.uint64(0xFF)).astype(np.uint32)
    if not _all_targets(node, part) and part.targets is not None:
        wanted = part.targets[node.first_neuron + neuron.astype(np.int64)]
        key, neuron = key[wanted], neuron[wanted]
    code = (key & np.uint64(0xFFFF)).astype(np.uint16)
    delay = (key >> _DELAY_SHIFT & np.uint64(63)).astype(np.intp)
    return Edges(
        source=(key >> _SOURCE_SHIFT).astype(np.uint32),
        target=neuron + np.uint32(node.first_neuron),
        weight=np.ldexp(weight_units(code).astype(np.float64), node.grid_exponent),
        delay_ms=delays_ms(node.dt_ms, node.delay_slots)[delay],
    )


def delays_ms(dt_ms: float, slots: int) -> npt.NDArray[np.float64]:
    """Return the delays of 1 to `slots` steps as a user would write them: 0.3, not 3 x 0.1."""
    return np.array([float(f"{steps * dt_ms:.12g}") for steps in range(1, slots + 1)])
