"""What is settled before any node is made: partition, model, tables, connections, streams."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from csnn.prng import ext_streams
from csnn.spec.description import Description
from csnn.spec.network import Network, Projection
from csnn.spec.neuron import weight_key
from netgen import inputs
from netgen.common_model import common_model
from netgen.connectivity import Connector
from netgen.discretise import Pmf, delay_pmf, weight_pmf
from netgen.edge_rows import EdgeRows
from netgen.fit_report import FitReport
from netgen.grid import ext_weight_units
from netgen.partition import partition
from netgen.tables import delay_table, weight_table


@dataclass(frozen=True)
class ProjectionTables:
    """The discretised distributions of a projection and their tables."""

    weight: Pmf
    delay: Pmf
    weight_record: npt.NDArray[np.void]
    delay_record: npt.NDArray[np.void]


class PreparedNetwork:
    """A network on its grid; the same in every process that makes nodes of it.

    Parameters
    ----------
    description : Description
    edges : EdgeRows or None
        The edge list of the network.
    seed : int
        Seed of everything random in the image.
    exponent : int
        Of the weight grid 2^exponent.

    Attributes
    ----------
    grid : float
        Unit of weights, in `unit`.
    plans : list of NodePlan
        All nodes; `nodes_of` those of a population.
    model : NeuronModel
    tables, connectors : lists of ProjectionTables, Connector
        One for each projection.
    ext_weights : dict of str to int
        Weight of an external spike in grid units, by population.
    ext_states : ndarray of uint32, shape (nodes, lanes, 4)
    inputs : dict of str to (epochs, EXT tables)
    constants : dict of str to ndarray of uint32
    is_fitted : bool
        Whether tables stand for the edge list.

    Raises
    ------
    InvalidInputError
        If the description cannot be represented, naming field, value and rule.
    """

    def __init__(
        self, description: Description, edges: EdgeRows | None, seed: int, exponent: int
    ) -> None:
        self.description = description
        self.network: Network = description.network
        self.machine = description.machine
        self.edges = edges
        self.seed = seed
        self.exponent = exponent
        self.grid = 2.0**exponent
        self.unit = self.network.weight_unit
        self.weight_key = weight_key(self.unit)
        populations = self.network.populations
        self.plans = partition(
            self.network, self.machine, edge_events_hz=edges.events_hz() if edges else None
        )
        self.model = common_model(populations)
        self.nodes_of = {
            p.name: [plan for plan in self.plans if plan.population == p.name] for p in populations
        }
        self.population_index = {p.name: i for i, p in enumerate(populations)}
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
            for p in populations
        }
        first = np.random.default_rng(self.sequence(3, 0)).integers(1, 2**32, 4)
        lanes = self.machine.ext_lanes
        self.ext_states = ext_streams(
            tuple(int(word) for word in first), len(self.plans) * lanes
        ).reshape(len(self.plans), lanes, 4)
        dt_ms = self.network.dt_ms
        self.inputs = {
            p.name: inputs.schedule(self.model, p, dt_ms, self.grid) for p in populations
        }
        self.constants = {
            p.name: inputs.model_constants(self.model, p, dt_ms, self.grid) for p in populations
        }
        listed = self.network.edges
        self.is_fitted = listed is not None and listed.representation == "fitted"

    def fit_report(self) -> FitReport | None:
        """Return an empty report of fitted edges, None if there are no such edges."""
        populations = [(p.name, p.size) for p in self.network.populations]
        return FitReport(populations) if self.is_fitted else None

    def sequence(self, purpose: int, index: int) -> np.random.SeedSequence:
        """Return the seeds of one purpose, apart from all others.

        Purposes: 0 connectivity, 1 row seeds, 2 initial state, 3 EXT, 4 delay buffer. `index` is
        the number of a projection (0) or node (1, 2, 4).
        """
        return np.random.SeedSequence(self.seed, spawn_key=(purpose, index))

    def _tables(self, projection: Projection) -> ProjectionTables:
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
        return ProjectionTables(weight, delay, weight_table(weight), delay_table(delay))

    def _connector(self, index: int, projection: Projection) -> Connector:
        return Connector(
            projection,
            self.network.population(projection.source).size,
            self.network.population(projection.target).size,
            self.network.first_ids[projection.source],
            self.nodes_of[projection.target],
            self.sequence(0, index),
        )
