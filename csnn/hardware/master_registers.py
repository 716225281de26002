"""Registers of the master node: declared once for RTL, host and documentation."""

from __future__ import annotations

from csnn.hardware.registers import Bit, Register

MASTER_ID = int.from_bytes(b"CSNM", "big")
MASTER_VERSION = 1

_READ_ONLY = (
    Register("id", False, 'the bytes "CSNM", most significant first'),
    Register("version", False, "version of this interface, 1"),
    Register("capacity", False, "numbers of nodes that the master can serve"),
    Register("answers", False, "requests that a host may have under way"),
    Register("status", False, "see the bits of `status`"),
    Register("errors", False, "sticky; see the bits of `errors`"),
    Register("missing", False, "nodes whose barrier message of the step has not come"),
    Register("count", False, "spikes broadcast in the step"),
    Register("sum", False, "sum of their hashes"),
    Register("barrier_count", False, "spikes of the step that the barrier messages tell"),
    Register("barrier_sum", False, "sum of hashes that they tell"),
    Register("last_step_cycles", False, "cycles of the last step, sync message to last barrier"),
    Register("longest_step_cycles", False, "the most of any step since `control.clear`"),
    Register("shortest_step_cycles", False, "the least of any step; 2^32 - 1: none has ended"),
)
_SETTINGS = (
    Register("control", True, "see the bits of `control`"),
    Register("step", True, "the step computed last, or being computed"),
    Register("stop_step", True, "the machine halts when this step is complete"),
    Register("timeout", True, "cycles that a step may take; 0: any number"),
    Register("host", True, "mesh coordinates X, Y, Z of the place that gets answers, 8 bits each"),
)
_COUNTERS = (
    Register("steps", False, "sync messages sent since `control.clear`"),
    Register("spikes", False, "spikes broadcast"),
    Register("dropped", False, "spikes not broadcast: wrong, or after an error"),
    Register("cycles", False, "cycles while running"),
    Register("cycles_wait", False, "cycles between the first and the last barrier of a step"),
    Register("cycles_stalled", False, "cycles in which the network did not take a broadcast"),
)
MASTER_REGISTERS = (*_READ_ONLY, *_SETTINGS, *_COUNTERS)
MASTER_COUNTERS = tuple(register.name for register in _COUNTERS)
MASTER_SETTINGS = tuple(register.name for register in _SETTINGS)
MASTER_OFFSETS = {register.name: offset for offset, register in enumerate(MASTER_REGISTERS)}

MASTER_CONTROL_BITS = (
    Bit("run", 0, "0 halts the machine when the step is complete"),
    Bit("clear", 1, "write 1, while halted: errors, counters, sums and arrivals begin anew"),
)
MASTER_STATUS_BITS = (
    Bit("halted", 0, "no step is under way: ACTIVE and settings can be written"),
    Bit("failed", 1, "some error sticks: no sync message leaves"),
    Bit("collecting", 2, "a step is under way: barrier messages are awaited"),
)
MASTER_ERROR_BITS = (
    Bit("count", 0, "the barrier messages told another number of spikes than were broadcast"),
    Bit("sum", 1, "they told another sum of hashes"),
    Bit("spike_step", 2, "a spike of another step, or while no barrier message is missing"),
    Bit("barrier_step", 3, "a barrier message of another step, or while no step is under way"),
    Bit("unknown_node", 4, "a barrier message of a node that is not active"),
    Bit("duplicate", 5, "a second barrier message of a node in the step"),
    Bit("timeout", 6, "the step took more than `timeout` cycles; MISSING tells who is late"),
    Bit("packet", 7, "a packet of a kind that the master does not take"),
    Bit("address", 8, "a configuration packet to an address that is not there, or while running"),
    Bit("empty", 9, "run without an active node"),
)
