"""Registers of a compute node: declared once for RTL, host and documentation."""

from __future__ import annotations

from dataclasses import dataclass

NODE_ID = int.from_bytes(b"CSNN", "big")
INTERFACE_VERSION = 1


@dataclass(frozen=True)
class Register:
    """A 32-bit register: name, whether the host may write it, meaning."""

    name: str
    is_writable: bool
    meaning: str


_READ_ONLY = (
    Register("id", False, 'the bytes "CSNN", most significant first'),
    Register("version", False, "version of this interface, 1"),
    Register("pipelines", False, "ODE pipelines"),
    Register("capacity", False, "neurons that the node can hold"),
    Register("slots", False, "slots of the circular buffer"),
    Register("rows", False, "capacity of the seed table"),
    Register("status", False, "see the bits of `status`"),
    Register("errors", False, "sticky; see the bits of `errors`"),
    Register("recorded", False, "records of spikes that the external memory holds"),
)
_SETTINGS = (
    Register("control", True, "see the bits of `control`"),
    Register("step", True, "the step that was computed last"),
    Register("node", True, "number of the node, 16 bits"),
    Register("n_neurons", True, "neurons of the node, 1 to `capacity`"),
    Register("first_neuron", True, "global number of neuron 0"),
    Register("node_key", True, "enters the row generators"),
    Register("ext_weight", True, "weight of one external spike, grid units"),
    Register("master", True, "mesh coordinates X, Y, Z of the master node, 8 bits each from bit 0"),
    Register("host", True, "mesh coordinates of the node that gets answers"),
    Register("recorder_page", True, "where spikes are recorded: byte address / 4096"),
    Register("recorder_size", True, "records of 8 bytes that there is room for; 0: none is kept"),
)
_COUNTERS = (
    Register("steps", False, "steps computed since `control.clear`"),
    Register("spikes_sent", False, "spikes of own neurons"),
    Register("spikes_handled", False, "spikes that the RTR took"),
    Register("synapses", False, "synapses that the RTR unrolled"),
    Register("cycles", False, "cycles while running"),
    Register("cycles_load", False, "cycles of EXT and of the slot transfer, which run together"),
    Register("cycles_ode", False, "cycles of the ODE unit"),
    Register("cycles_rtr", False, "cycles in which the RTR was busy"),
    Register("cycles_wait", False, "cycles at the barrier"),
)
REGISTERS = (*_READ_ONLY, *_SETTINGS, *_COUNTERS)
COUNTERS = tuple(register.name for register in _COUNTERS)
SETTINGS = tuple(register.name for register in _SETTINGS)
OFFSETS = {register.name: offset for offset, register in enumerate(REGISTERS)}


@dataclass(frozen=True)
class Bit:
    """A bit of a register: name, position, meaning."""

    name: str
    position: int
    meaning: str


CONTROL_BITS = (
    Bit("run", 0, "0 halts the node when it waits at the barrier"),
    Bit("clear", 1, "write 1, while halted: errors, counters and sums begin anew"),
)
STATUS_BITS = (
    Bit("halted", 0, "nothing is under way: memories and settings can be read and written"),
    Bit("waiting", 1, "at the barrier"),
    Bit("router_idle", 2, "no spike is being unrolled"),
    Bit("saturated", 3, "a word of the circular buffer reached the limit; sticky"),
)
ERROR_BITS = (
    Bit("count", 0, "a sync message told another number of spikes than were handled"),
    Bit("sum", 1, "a sync message told another sum of hashes"),
    Bit("sync_step", 2, "a sync message of another step"),
    Bit("spike_step", 3, "a spike of another step"),
    Bit("packet", 4, "a packet of a kind that a node does not take"),
    Bit(
        "address", 5, "a configuration packet to an address outside the memories, or while running"
    ),
    Bit("recorder", 6, "a spike was not recorded: no room, or the memory refused it"),
)
