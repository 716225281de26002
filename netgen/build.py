"""From a description to an image: nodes made in parallel, written, proved, and vouched for."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from csnn import edges as edge_files
from csnn.errors import InvalidInputError, located, reject
from csnn.files import atomic_directory, require_kind, sha256
from csnn.image.node import NodeImage
from csnn.image.node_file import write_node
from csnn.image.origin import identified
from csnn.image.store import (
    NETWORK_FILE,
    SCHEMA,
    Image,
    node_file,
    open_image,
    write_manifest,
)
from csnn.neurons.model import NeuronModel
from csnn.neurons.registry import model_of
from csnn.prng import ext_streams, node_key
from csnn.progress import progress
from csnn.rows import Sampler, synapse_word, weight_code
from csnn.spec.description import Description
from csnn.spec.distributions import Constant
from csnn.spec.machine import Machine
from csnn.spec.network import EdgeList, Network, Population, Projection
from csnn.spec.neuron import weight_key, with_unit
from csnn.spec.toml import dumps
from netgen import inputs
from netgen.connectivity import Connector, NodeRows
from netgen.discretise import Pmf, delay_pmf, rounded_delays, weight_pmf
from netgen.edge_rows import EdgeRows, FittedRows
from netgen.fidelity import compare_distribution, compare_pmf
from netgen.fit_report import FitReport, check_moments
from netgen.grid import (
    GridTooFineError,
    check_magnitudes,
    choose_exponent,
    ext_weight_units,
    prove_sums,
)
from netgen.partition import NodePlan, expected_indegree, node_loads_hz, partition
from netgen.row_memory import RowMemory
from netgen.sums import weight_sums
from netgen.tables import SelectorPool, delay_table, weight_table

# Bits of an explicit synapse in the paper's account: 32 for J, 6 for D, 8 for N.
EXPLICIT_SYNAPSE_BITS = 46
# Relative error of a stored weight that is worth a warning.
_WEIGHT_TOLERANCE = 1e-3
# Lengths have at most 16 bits.
MAX_ROW_SYNAPSES = 65535


@dataclass(frozen=True)
class _Tables:
    """The discretised distributions of a projection and their tables."""

    weight: Pmf
    delay: Pmf
    weight_record: npt.NDArray[np.void]
    delay_record: npt.NDArray[np.void]


@dataclass
class _NodeStatistics:
    """What is remembered of a node after it was written."""

    synapses: dict[str, int]
    samplers: dict[str, int]
    largest_sum: int


class Crew(Protocol):
    """The processes that make an image together, as `csnn.mpi.team.Team` has them."""

    rank: int
    size: int

    def call(
        self, function: Callable[..., Any], *arguments: Any, here: Callable[[], Any] | None = None
    ) -> list[Any]:
        """Run `function(crew, *arguments)` in every process, `here` in this one; return results."""


def generate(
    description: Description,
    seed: int,
    out: str | Path,
    *,
    threads: int = 2,
    crew: Crew | None = None,
) -> Image:
    """Compile a network into an image directory.

    Parameters
    ----------
    description : Description
        Network and machine.
    seed : int
        Seed of everything random in the image.
    out : str or Path
        Directory to write; replaced only if it is empty or an image.
    threads : int
        Nodes made at the same time (by each process). The image does not depend on it.
    crew : Crew, optional
        Processes over which the nodes are divided; they must all see the same files. The image
        does not depend on it either.

    Returns
    -------
    Image

    Raises
    ------
    InvalidInputError
        If the description cannot be represented, naming field, value and rule.
    """
    network, machine = description.network, description.machine
    require_kind(out, SCHEMA)
    edges = None
    if network.edges is not None:
        edges, record = _read_edges(network, machine)
        description = replace(description, network=replace(network, edges=record))
    check_magnitudes(network)
    if machine.weight_grid is not None:
        exponent = round(np.log2(machine.weight_grid))
    else:
        exponent = choose_exponent(
            network, edges.largest() if edges else 0.0, edges.sums() if edges else None
        )
    while True:
        try:
            with atomic_directory(out) as directory:
                _Build(description, edges, seed, exponent, threads).write(directory, crew)
            return open_image(out, verify=False)
        except GridTooFineError:
            # The choice rests on expected sums; a rare draw beyond them takes the next grid.
            if machine.weight_grid is not None:
                raise
            exponent += 1


def _read_edges(network: Network, machine: Machine) -> tuple[EdgeRows, EdgeList]:
    """Return the edge list of a network, and what identifies it wherever the image is opened."""
    listed = network.edges
    if listed is None:
        raise ValueError("the network has no edge list")
    with progress(None, "read edges"):
        weight = weight_key(network.weight_unit)
        listing = edge_files.read(listed.path, network.size, weight)
        edges = EdgeRows(listing, network, machine.delay_slots)
        digest = sha256(Path(listed.path))
    if listed.sha256 not in (None, digest):
        raise reject("edges.sha256", listed.sha256, f"{listed.path} has {digest}")
    return edges, identified(listed, digest)


# Statistics of nodes, and of edges fitted in them.
_Made = tuple[list[_NodeStatistics | None], dict[Any, Any] | None]


class _Build:
    def __init__(
        self,
        description: Description,
        edges: EdgeRows | None,
        seed: int,
        exponent: int,
        threads: int,
    ) -> None:
        self.started = time.perf_counter()
        self.description = description
        self.network: Network = description.network
        self.machine = description.machine
        self.edges = edges
        self.seed = seed
        self.exponent = exponent
        self.grid = 2.0**exponent
        self.unit = self.network.weight_unit
        self.weight_key = weight_key(self.unit)
        self.threads = threads
        self.plans = partition(
            self.network, self.machine, edge_events_hz=edges.events_hz() if edges else None
        )
        self.model = self._model()
        self.nodes_of = {
            p.name: [plan for plan in self.plans if plan.population == p.name]
            for p in self.network.populations
        }
        self.population_index = {p.name: i for i, p in enumerate(self.network.populations)}
        self.tables = [self._tables(projection) for projection in self.network.projections]
        self.connectors = [
            self._connector(index, projection)
            for index, projection in enumerate(self.network.projections)
        ]
        self.ext_weights = {
            p.name: ext_weight_units(
                p.poisson.weight,
                self.grid,
                f"population {p.name}.poisson.{self.weight_key}",
                self.unit,
            )
            if p.poisson
            else 0
            for p in self.network.populations
        }
        first = np.random.default_rng(self._sequence(3, 0)).integers(1, 2**32, 4)
        lanes = self.machine.ext_lanes
        self.ext_states = ext_streams(
            tuple(int(word) for word in first), len(self.plans) * lanes
        ).reshape(len(self.plans), lanes, 4)
        self.inputs = {p.name: self._inputs(p) for p in self.network.populations}
        self.constants = {p.name: self._constants(p) for p in self.network.populations}
        fitted = self.network.edges is not None and self.network.edges.representation == "fitted"
        self.fit = (
            FitReport([(p.name, p.size) for p in self.network.populations]) if fitted else None
        )
        self.statistics: list[_NodeStatistics | None] = [None] * len(self.plans)
        self.stop = threading.Event()

    def _model(self) -> NeuronModel:
        """Return the model of all populations."""
        first = self.network.populations[0]
        with _of_neuron(first):
            model = model_of(first.neuron)
        for population in self.network.populations:
            with _of_neuron(population):
                other = model_of(population.neuron)
            if other is not model:
                place = f"population {population.name}.neuron"
                raise InvalidInputError(
                    f"{place}: all populations must use one model; {first.name} has {model.name}, "
                    f"this one {other.name}"
                )
            for state in ("I_ex", "I_in"):
                field = f"{state}_init_pA"
                start = getattr(population, field)
                if state not in model.float_states and start != Constant(value=0.0):
                    rule = f"has no meaning: neurons of {model.name} have no {state}"
                    raise reject(f"population {population.name}.{field}", start, rule)
        return model

    def _sequence(self, purpose: int, index: int) -> np.random.SeedSequence:
        # Purposes: 0 connectivity, 1 row seeds, 2 initial state, 3 EXT, 4 delay buffer.
        return np.random.SeedSequence(self.seed, spawn_key=(purpose, index))

    def _tables(self, projection: Projection) -> _Tables:
        owner = f"projection {projection.label}"
        weight = weight_pmf(
            projection.weight, self.grid, field=f"{owner}.{self.weight_key}", unit=self.unit
        )
        delay = delay_pmf(
            projection.delay_ms,
            self.network.dt_ms,
            self.machine.delay_slots,
            field=f"{owner}.delay_ms",
        )
        return _Tables(weight, delay, weight_table(weight), delay_table(delay))

    def _inputs(self, population: Population) -> tuple[Any, Any]:
        with _of_neuron(population):
            return inputs.schedule(self.model, population, self.network.dt_ms, self.grid)

    def _constants(self, population: Population) -> npt.NDArray[np.uint32]:
        with _of_neuron(population):
            return inputs.model_constants(self.model, population, self.network.dt_ms, self.grid)

    def _initial_state(
        self, population: Population, n: int, rng: np.random.Generator
    ) -> npt.NDArray[np.uint32]:
        words = inputs.initial_state(self.model, population, n, self.grid, rng)
        for name, row in zip(self.model.float_states, words.view(np.float32), strict=True):
            if not np.isfinite(row).all():
                field = f"{name}_init_pA" if name in ("I_ex", "I_in") else "V_init_mV"
                found = getattr(population, field)
                what = "values" if name in ("V", "I_ex", "I_in") else f"values of the state {name}"
                rule = f"gives {what} that leave the range of binary32"
                shown = found.value if isinstance(found, Constant) else found
                raise reject(f"population {population.name}.{field}", shown, rule)
        return words

    def _connector(self, index: int, projection: Projection) -> Connector:
        return Connector(
            projection,
            self.network.population(projection.source).size,
            self.network.population(projection.target).size,
            self.network.first_ids[projection.source],
            self.nodes_of[projection.target],
            self._sequence(0, index),
        )

    def write(self, directory: Path, crew: Crew | None) -> None:
        """Write all nodes, of which others may make some, and the manifest."""
        if crew is None:
            self.make(directory, self.plans)
        else:
            arguments = (self.description, self.seed, self.exponent, self.threads, str(directory))
            results = crew.call(
                _make_part, *arguments, here=lambda: self.make(directory, self.plans[:: crew.size])
            )
            for rank, made in enumerate(results[1:], start=1):
                self.include(made, self.plans[rank :: crew.size])
        (directory / NETWORK_FILE).write_text(dumps(self.description), encoding="utf-8")
        write_manifest(directory, self._manifest(directory))

    def made(self, plans: Sequence[NodePlan]) -> _Made:
        """Return what is remembered of nodes that were made here."""
        fitted = self.fit.parts() if self.fit is not None else None
        return [self.statistics[plan.index] for plan in plans], fitted

    def include(self, made: _Made, plans: Sequence[NodePlan]) -> None:
        """Remember nodes that another process made."""
        for plan, statistics in zip(plans, made[0], strict=True):
            self.statistics[plan.index] = statistics
        if self.fit is not None:
            self.fit.include(made[1] or {})

    def make(self, directory: Path, plans: Sequence[NodePlan]) -> None:
        """Make nodes and write their files."""

        def task(plan: NodePlan) -> None:
            if not self.stop.is_set():
                self._write_node(directory, plan)
                bar.update()

        with (
            progress(len(plans), "generate", "nodes") as bar,
            ThreadPoolExecutor(self.threads) as pool,
        ):
            try:
                for _ in pool.map(task, plans):
                    pass
            except BaseException:
                self.stop.set()
                raise

    def _write_node(self, directory: Path, plan: NodePlan) -> None:
        population = self.network.population(plan.population)
        memory = RowMemory(self.machine.row_layout, plan.size)
        pool = SelectorPool()
        seeds = np.random.default_rng(self._sequence(1, plan.index))
        statistics = _NodeStatistics({}, {}, 0)
        local = plan.index - self.nodes_of[plan.population][0].index
        for connector, tables in zip(self.connectors, self.tables, strict=True):
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
            first = self.network.first_ids[projection.source]
            memory.add(rows, first, selector, seeds, words)
            _count(statistics, projection.label, rows)
        fits: list[FittedRows] = []
        if self.edges is not None:
            fits = self._add_edges(plan, memory, pool, seeds, statistics)
        weight_tables, delay_tables = pool.tables()
        epochs, ext_tables = self.inputs[plan.population]
        state_rng = np.random.default_rng(self._sequence(2, plan.index))
        sections: dict[str, Any] = memory.sections()
        node = NodeImage(
            node=plan.index,
            population=self.population_index[plan.population],
            first_neuron=plan.first_neuron,
            n_neurons=plan.size,
            n_sources=self.network.size,
            node_key=node_key(plan.index),
            ext_lanes=self.machine.ext_lanes,
            ext_weight=self.ext_weights[plan.population],
            delay_slots=self.machine.delay_slots,
            grid_exponent=self.exponent,
            dt_ms=self.network.dt_ms,
            model=self.model.name,
            weight_tables=weight_tables,
            delay_tables=delay_tables,
            ext_tables=ext_tables,
            ext_states=self.ext_states[plan.index],
            schedule=epochs,
            constants=self.constants[plan.population],
            state=self._initial_state(population, plan.size, state_rng),
            refractory=np.zeros(plan.size, dtype=np.uint32),
            source_ids=np.arange(plan.first_neuron, plan.first_neuron + plan.size, dtype=np.uint32),
            delay_buffer=np.empty(0, dtype=np.uint32),
            **sections,
        )
        if self.fit is not None:
            self.fit.measure(node, plan.population, fits)
        sums = weight_sums(node)
        if self.machine.random_delay_buffer:
            node, sums = self._fill_delay_buffer(plan, node, sums)
        prove_sums(sums, node.ext_weight, self.grid, plan.population, plan.first_neuron, self.unit)
        statistics.largest_sum = int(sums.max(initial=0))
        self.statistics[plan.index] = statistics
        write_node(directory / node_file(plan.index), node)

    def _add_edges(
        self,
        plan: NodePlan,
        memory: RowMemory,
        pool: SelectorPool,
        seeds: np.random.Generator,
        statistics: _NodeStatistics,
    ) -> list[FittedRows]:
        if self.edges is None:
            return []
        if self.fit is None:
            rows, words = self.edges.stored(plan, self.grid)
            _check_lengths(f"{self.edges.path}: edges of one source", rows)
            memory.add(rows, 0, 0, seeds, words)
            _count(statistics, "edges", rows)
            return []
        fits = list(self.edges.fitted(plan, self.grid))
        for fitted in fits:
            _check_lengths(f"{self.edges.path}: edges of one source", fitted.rows)
            selector = pool.selector(weight_table(fitted.weight), delay_table(fitted.delay))
            memory.add(fitted.rows, fitted.source_first, selector, seeds)
            _count(statistics, "edges", fitted.rows)
        return fits

    def _fill_delay_buffer(
        self, plan: NodePlan, node: NodeImage, sums: npt.NDArray[np.int64]
    ) -> tuple[NodeImage, npt.NDArray[np.int64]]:
        dt_s = self.network.dt_ms * 1e-3
        total, driven = np.zeros(2), np.zeros(2)
        if self.edges is not None:
            total, driven = self.edges.strength(plan)
        for projection, tables in zip(self.network.projections, self.tables, strict=True):
            if projection.target == plan.population:
                values, probabilities = tables.weight
                parts = [np.maximum(values, 0), np.maximum(-values, 0)]
                each = np.array([float(part @ probabilities) for part in parts]) * self.grid
                strength = plan.size * expected_indegree(self.network, projection) * each
                total += strength
                driven += strength * self.network.population(projection.source).expected_rate_hz
        share = dt_s * np.divide(driven, total, out=np.zeros(2), where=total > 0)
        rng = np.random.default_rng(self._sequence(4, plan.index))
        buffer = inputs.delay_buffer(sums, share.tolist(), node.delay_slots, plan.size, rng)
        filled = NodeImage(**{**node.__dict__, "delay_buffer": buffer})
        return filled, sums + buffer.max(axis=0).astype(np.int64)

    def _manifest(self, directory: Path) -> dict[str, Any]:
        statistics = [s for s in self.statistics if s is not None]
        synapses = _add_up(s.synapses for s in statistics)
        total = sum(synapses.values())
        node_bytes = sum(path.stat().st_size for path in directory.glob("node_*.bin"))
        text = (directory / NETWORK_FILE).read_bytes()
        loads = node_loads_hz(
            self.network,
            self.plans,
            edge_events_hz=self.edges.events_hz() if self.edges else None,
        )
        edge_fit = self._edge_fit()
        return {
            "network": self.network.name,
            "network_sha256": hashlib.sha256(text).hexdigest(),
            "notes": [*self.network.notes, *self._notes(edge_fit)],
            "seed": self.seed,
            "dt_ms": self.network.dt_ms,
            "model": self.model.name,
            "weight_grid": self.grid,
            "weight_unit": self.unit,
            "n_nodes": len(self.plans),
            "populations": [
                {
                    "name": p.name,
                    "size": p.size,
                    "first_neuron": self.network.first_ids[p.name],
                    "nodes": len(self.nodes_of[p.name]),
                    "expected_rate_hz": p.expected_rate_hz,
                }
                for p in self.network.populations
            ],
            "synapses": total,
            "synapses_by_projection": synapses,
            "synapses_by_sampler": _add_up(s.samplers for s in statistics),
            "largest_sum_units": max((s.largest_sum for s in statistics), default=0),
            "node_bytes": node_bytes,
            "explicit_bytes": total * EXPLICIT_SYNAPSE_BITS // 8,
            "expected_load_hz": {
                "mean": float(loads.mean()),
                "max": float(loads.max()),
            },
            "fidelity": self._fidelity(),
            **({"edge_fit": edge_fit} if edge_fit else {}),
            "generate_s": round(time.perf_counter() - self.started, 3),
        }

    def _notes(self, edge_fit: dict[str, Any]) -> list[str]:
        """Return what the user should know of the image, beside the network's own notes."""
        notes = []
        error = edge_fit.get("largest_relative_error", 0.0)
        if error > _WEIGHT_TOLERANCE:
            notes.append(
                f"rounding to the grid of {with_unit(self.grid, self.unit)} changes weights of the "
                f"edge list by up to {error:.2g} of their value"
            )
        machine = self.machine
        if machine.partition == "load" and machine.n_nodes is None and self.edges is None:
            notes.append(
                'partition = "load" has no node to spare without n_nodes: sizes are those of '
                '"equal"'
            )
        return notes

    def _edge_fit(self) -> dict[str, Any]:
        if self.edges is None:
            return {}
        if self.fit is None:
            rounding = self.edges.rounding(self.grid)
            return {"representation": "stored", "edges": len(self.edges.source), **rounding}
        report = self.fit.to_dict()
        check_moments(report, self.edges.path, self.grid, self.unit)
        return report

    def _fidelity(self) -> list[dict[str, Any]]:
        rows = []
        for projection, tables in zip(self.network.projections, self.tables, strict=True):
            weight = compare_distribution(*tables.weight, projection.weight, self.grid)
            # Delays are rounded to steps by definition; `delay_unrounded` counts that as an error.
            dt_ms = self.network.dt_ms
            steps = rounded_delays(projection.delay_ms, dt_ms, self.machine.delay_slots)
            delay = compare_pmf(*tables.delay, *steps, dt_ms)
            unrounded = compare_distribution(*tables.delay, projection.delay_ms, dt_ms)
            rows.append(
                {
                    "projection": projection.label,
                    "weight": weight.to_dict(),
                    "delay": delay.to_dict(),
                    "delay_unrounded": unrounded.to_dict(),
                }
            )
        return rows


def _make_part(
    crew: Crew, description: Description, seed: int, exponent: int, threads: int, directory: str
) -> _Made:
    """Make this process's share of the nodes; what couples nodes is drawn alike everywhere."""
    listed = description.network.edges
    edges = None if listed is None else _read_edges(description.network, description.machine)[0]
    build = _Build(description, edges, seed, exponent, threads)
    plans = build.plans[crew.rank :: crew.size]
    build.make(Path(directory), plans)
    return build.made(plans)


@contextmanager
def _of_neuron(population: Population) -> Iterator[None]:
    """Name the population in errors about constants of its neurons."""
    try:
        yield
    except InvalidInputError as error:
        place, message = f"population {population.name}", str(error)
        if message.startswith("neuron constant "):
            raise located(f"{place}.neuron", error) from None
        if message.startswith("neuron."):
            raise InvalidInputError(f"{place}.{message}") from None
        raise


def _draw_words(
    rows: NodeRows, tables: _Tables, rng: np.random.Generator
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


def _count(statistics: _NodeStatistics, label: str, rows: NodeRows) -> None:
    n = int(rows.length.sum())
    sampler = rows.sampler.name.lower()
    statistics.synapses[label] = statistics.synapses.get(label, 0) + n
    statistics.samplers[sampler] = statistics.samplers.get(sampler, 0) + n


def _add_up(parts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in parts:
        for key, value in part.items():
            total[key] = total.get(key, 0) + value
    return total
