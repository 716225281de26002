"""One node of a network: its rows, tables, inputs and initial state, with the sums proved."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.errors import reject
from csnn.image.node import NodeImage
from csnn.prng import node_key
from csnn.rows import Sampler, synapse_word, weight_code
from netgen import inputs
from netgen.connectivity import NodeRows
from netgen.edge_rows import FittedRows
from netgen.fit_report import FitReport
from netgen.grid import prove_sums
from netgen.partition import NodePlan, expected_indegree
from netgen.prepared import PreparedNetwork, ProjectionTables
from netgen.row_memory import RowMemory
from netgen.sums import weight_sums
from netgen.tables import SelectorPool, delay_table, weight_table

# Lengths have at most 16 bits.
MAX_ROW_SYNAPSES = 65535


@dataclass
class NodeStatistics:
    """What is remembered of a node after it was written.

    Attributes
    ----------
    synapses, samplers : dict of str to int
        Numbers of synapses by projection ("edges" for those of an edge list) and by sampler.
    largest_sum : int
        Largest sum of |J| over one neuron's synapses of one type, grid units.
    """

    synapses: dict[str, int] = field(default_factory=dict)
    samplers: dict[str, int] = field(default_factory=dict)
    largest_sum: int = 0

    def count(self, label: str, rows: NodeRows) -> None:
        """Add the synapses of some rows."""
        n = int(rows.length.sum())
        sampler = rows.sampler.name.lower()
        self.synapses[label] = self.synapses.get(label, 0) + n
        self.samplers[sampler] = self.samplers.get(sampler, 0) + n


def build_node(
    network: PreparedNetwork, plan: NodePlan, fit: FitReport | None
) -> tuple[NodeImage, NodeStatistics]:
    """Make one node.

    Parameters
    ----------
    network : PreparedNetwork
    plan : NodePlan
    fit : FitReport, optional
        Gets what fitted edges unroll to.

    Raises
    ------
    InvalidInputError
        If something in it cannot be represented; `GridTooFineError` if only on a coarser grid.
    """
    population = network.network.population(plan.population)
    memory = RowMemory(network.machine.row_layout, plan.size)
    pool = SelectorPool()
    statistics = NodeStatistics()
    seeds = np.random.default_rng(network.sequence(1, plan.index))
    _add_projections(network, plan, memory, pool, seeds, statistics)
    fitted = _add_edges(network, plan, memory, pool, seeds, statistics)
    weight_tables, delay_tables = pool.tables()
    epochs, ext_tables = network.inputs[plan.population]
    state_rng = np.random.default_rng(network.sequence(2, plan.index))
    sections: dict[str, Any] = memory.sections()
    node = NodeImage(
        node=plan.index,
        population=network.population_index[plan.population],
        first_neuron=plan.first_neuron,
        n_neurons=plan.size,
        n_sources=network.network.size,
        node_key=node_key(plan.index),
        ext_lanes=network.machine.ext_lanes,
        ext_weight=network.ext_weights[plan.population],
        delay_slots=network.machine.delay_slots,
        grid_exponent=network.exponent,
        dt_ms=network.network.dt_ms,
        model=network.model.name,
        weight_tables=weight_tables,
        delay_tables=delay_tables,
        ext_tables=ext_tables,
        ext_states=network.ext_states[plan.index],
        schedule=epochs,
        constants=network.constants[plan.population],
        state=inputs.initial_state(network.model, population, plan.size, network.grid, state_rng),
        refractory=np.zeros(plan.size, dtype=np.uint32),
        source_ids=np.arange(plan.first_neuron, plan.first_neuron + plan.size, dtype=np.uint32),
        delay_buffer=np.empty(0, dtype=np.uint32),
        **sections,
    )
    if fit is not None:
        fit.measure(node, plan.population, fitted)
    sums = weight_sums(node)
    if network.machine.random_delay_buffer:
        buffer = _delay_buffer(network, plan, sums)
        node = replace(node, delay_buffer=buffer)
        sums = sums + buffer.max(axis=0).astype(np.int64)
    prove_sums(
        sums, node.ext_weight, network.grid, plan.population, plan.first_neuron, network.unit
    )
    statistics.largest_sum = int(sums.max(initial=0))
    return node, statistics


def _add_projections(
    network: PreparedNetwork,
    plan: NodePlan,
    memory: RowMemory,
    pool: SelectorPool,
    seeds: np.random.Generator,
    statistics: NodeStatistics,
) -> None:
    local = plan.index - network.nodes_of[plan.population][0].index
    for connector, tables in zip(network.connectors, network.tables, strict=True):
        projection = connector.projection
        if projection.target != plan.population:
            continue
        rows = connector.rows(local)
        _check_lengths(f"projection {projection.label}.rule", rows)
        selector = 0
        words = None
        if rows.sampler is Sampler.STORED:
            words = _draw_words(rows, tables, seeds)
        else:
            selector = pool.selector(tables.weight_record, tables.delay_record)
        first = network.network.first_ids[projection.source]
        memory.add(rows, first, selector, seeds, words)
        statistics.count(projection.label, rows)


def _add_edges(
    network: PreparedNetwork,
    plan: NodePlan,
    memory: RowMemory,
    pool: SelectorPool,
    seeds: np.random.Generator,
    statistics: NodeStatistics,
) -> list[FittedRows]:
    edges = network.edges
    if edges is None:
        return []
    owner = f"{edges.path}: edges of one source"
    if not network.is_fitted:
        rows, words = edges.stored(plan, network.grid)
        _check_lengths(owner, rows)
        memory.add(rows, 0, 0, seeds, words)
        statistics.count("edges", rows)
        return []
    fits = list(edges.fitted(plan, network.grid))
    for fitted in fits:
        _check_lengths(owner, fitted.rows)
        selector = pool.selector(weight_table(fitted.weight), delay_table(fitted.delay))
        memory.add(fitted.rows, fitted.source_first, selector, seeds)
        statistics.count("edges", fitted.rows)
    return fits


def _delay_buffer(
    network: PreparedNetwork, plan: NodePlan, sums: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint32]:
    dt_s = network.network.dt_ms * 1e-3
    total, driven = np.zeros(2), np.zeros(2)
    if network.edges is not None:
        total, driven = network.edges.strength(plan)
    for projection, tables in zip(network.network.projections, network.tables, strict=True):
        if projection.target == plan.population:
            values, probabilities = tables.weight
            parts = [np.maximum(values, 0), np.maximum(-values, 0)]
            each = np.array([float(part @ probabilities) for part in parts]) * network.grid
            strength = plan.size * expected_indegree(network.network, projection) * each
            total += strength
            driven += strength * network.network.population(projection.source).expected_rate_hz
    share = dt_s * np.divide(driven, total, out=np.zeros(2), where=total > 0)
    rng = np.random.default_rng(network.sequence(4, plan.index))
    return inputs.delay_buffer(sums, share.tolist(), network.machine.delay_slots, plan.size, rng)


def _draw_words(
    rows: NodeRows, tables: ProjectionTables, rng: np.random.Generator
) -> npt.NDArray[np.uint32]:
    if rows.target is None:
        raise ValueError("stored rows need their targets")
    n = len(rows.target)
    weight = rng.choice(tables.weight[0], n, p=tables.weight[1])
    delay = rng.choice(tables.delay[0], n, p=tables.delay[1])
    return synapse_word(rows.target, delay - 1, weight_code(weight))


def _check_lengths(field: str, rows: NodeRows) -> None:
    longest = int(rows.length.max(initial=0))
    if longest > MAX_ROW_SYNAPSES:
        rule = f"a source has at most {MAX_ROW_SYNAPSES} synapses in one node"
        raise reject(field, longest, rule)
