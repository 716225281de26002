"""Sizes and latencies of a compute node."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import ClassVar

from csnn.errors import InvalidInputError
from csnn.image.node import NodeImage
from csnn.neurons.model import NeuronModel
from csnn.neurons.operators import ECP5_OPERATORS, Operators
from csnn.neurons.registry import MODELS, named
from csnn.rows import Sampler
from csnn.spec import checks
from csnn.spec.machine import MAX_NODE_NEURONS, SUM_LIMIT_UNITS

MAX_ROWS = 1 << 20
MAX_PIPELINES = 32


@dataclass(frozen=True, kw_only=True)
class NodeConfig:
    """What is fixed when a node is synthesised; the memories hold the rest.

    Attributes
    ----------
    model : str
        Name of the neuron model.
    operators : Operators
        Latencies of its operators.
    pipelines : int
        ODE pipelines, EXT lanes and banks of the buffers; a power of two.
    neurons : int
        Capacity; neuron n is the business of pipeline n mod pipelines.
    delay_slots : int
        Slots of the circular buffer, a power of two.
    samplers : tuple of Sampler
        How rows may choose their targets.
    blocks, selectors, ext_tables, epochs, rows : int
        Capacities of the row directory, of the tables and of the seed table.
    length_bits : int
        Width of L, 8 or 16.
    presence_words, synapses : int
        Capacities of the sparse-row directory and of the synapse memory; 0 leaves them out.
    event_fifo : int
        Packets that wait at the input; a power of two.
    sum_limit : int
        Words of the circular buffer saturate below it; only tests change it.
    """

    # Packets and tables of the hardware count no further; projections of other hardware may.
    max_neurons: ClassVar[int] = MAX_NODE_NEURONS

    model: str = "lif"
    operators: Operators = field(default_factory=Operators)
    pipelines: int = 8
    neurons: int = MAX_NODE_NEURONS
    delay_slots: int = 64
    samplers: tuple[Sampler, ...] = (Sampler.INDEPENDENT,)
    blocks: int = 8
    selectors: int = 8
    ext_tables: int = 1
    epochs: int = 1
    rows: int = 1024
    length_bits: int = 8
    presence_words: int = 0
    synapses: int = 0
    event_fifo: int = 512
    sum_limit: int = SUM_LIMIT_UNITS

    def __post_init__(self) -> None:
        limits = {
            "neurons": (1, self.max_neurons),
            "blocks": (1, 256),
            "selectors": (1, 1024),
            "ext_tables": (1, 1024),
            "epochs": (1, 1024),
            "rows": (1, MAX_ROWS),
            "presence_words": (0, MAX_ROWS),
            "synapses": (0, MAX_ROWS),
            "sum_limit": (1, SUM_LIMIT_UNITS),
        }
        for name, (low, high) in limits.items():
            checks.integer("node", name, getattr(self, name), low, high)
        for name, low, high in (
            ("pipelines", 1, MAX_PIPELINES),
            ("delay_slots", 2, 64),
            ("event_fifo", 2, 65536),
        ):
            value = getattr(self, name)
            checks.integer("node", name, value, low, high)
            if value & (value - 1):
                raise InvalidInputError(f"node.{name} = {value}: must be a power of two")
        named(self.model, "node.model")
        if self.length_bits not in (8, 16):
            raise InvalidInputError(f"node.length_bits = {self.length_bits}: must be 8 or 16")
        if not self.samplers:
            raise InvalidInputError("node.samplers = (): must name a sampler")
        if Sampler.STORED in self.samplers and not self.synapses:
            raise InvalidInputError("node.synapses = 0: stored rows need a synapse memory")

    @classmethod
    def for_nodes(
        cls, nodes: Iterable[NodeImage], operators: Operators | None = None
    ) -> NodeConfig:
        """Return the smallest configuration that serves all the given nodes.

        Raises
        ------
        InvalidInputError
            If no node can be built that serves them, naming what is too large.
        """
        nodes = list(nodes)
        used = {Sampler(int(s)) for node in nodes for s in node.blocks["sampler"]}
        sizes = {
            "blocks": max(len(node.blocks) for node in nodes),
            "selectors": max(len(node.weight_tables) for node in nodes),
            "ext_tables": max(len(node.ext_tables) for node in nodes),
            "epochs": max(len(node.schedule) for node in nodes),
            "rows": max(len(node.seed) for node in nodes),
        }
        first = nodes[0]
        return cls(
            model=first.model,
            operators=operators or Operators(),
            pipelines=first.ext_lanes,
            delay_slots=first.delay_slots,
            samplers=tuple(sorted(used)) or (Sampler.INDEPENDENT,),
            length_bits=8 * max(node.length.itemsize for node in nodes),
            presence_words=max(len(node.presence) for node in nodes),
            synapses=max(len(node.synapses) for node in nodes),
            **{name: max(1, size) for name, size in sizes.items()},
        )

    def misfit(self, node: NodeImage) -> str | None:
        """Return why an image's node cannot run on this hardware, None if it can."""
        needed = NodeConfig.for_nodes([node])
        for entry in fields(self):
            have, need = getattr(self, entry.name), getattr(needed, entry.name)
            if entry.name in ("model", "pipelines", "delay_slots"):
                if have != need:
                    return f"{entry.name} = {have}: the node needs {need}"
            elif entry.name == "samplers":
                # A node without rows needs none.
                used = {Sampler(int(sampler)) for sampler in node.blocks["sampler"]}
                missing = used - set(have)
                if missing:
                    return f"samplers: the node needs {', '.join(s.name for s in sorted(missing))}"
            elif isinstance(have, int) and entry.name not in ("event_fifo", "sum_limit"):
                need = node.n_neurons if entry.name == "neurons" else need
                if have < need:
                    return f"{entry.name} = {have}: the node needs {need}"
        return None

    @property
    def groups(self) -> int:
        """Neurons of one pipeline."""
        return -(-self.neurons // self.pipelines)

    @property
    def lane_bits(self) -> int:
        """Lowest bits of a neuron's number, which tell its pipeline."""
        return (self.pipelines - 1).bit_length()

    @property
    def group_bits(self) -> int:
        """Remaining bits of a neuron's number, which tell its turn; at least one."""
        return max(1, (self.groups - 1).bit_length())

    @property
    def slot_bits(self) -> int:
        """Width of a slot number."""
        return (self.delay_slots - 1).bit_length()

    @property
    def neuron_model(self) -> NeuronModel:
        """The neuron model."""
        return MODELS[self.model]

    @property
    def state_words(self) -> tuple[str, ...]:
        """Names of the words of a neuron's state, in the order of the memories."""
        return (*self.neuron_model.float_states, *self.neuron_model.int_states)


# Serves every node of the full-scale cortical microcircuit.
MICROCIRCUIT = NodeConfig(rows=77_169, presence_words=2_048)
# What an ECP5-85k has memory and multipliers for: half the pipelines, fewer rows.
SMALL = NodeConfig(
    rows=32_768, presence_words=1_024, pipelines=4, operators=ECP5_OPERATORS, event_fifo=256
)
