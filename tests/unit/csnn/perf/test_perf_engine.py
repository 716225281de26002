"""Parts of the event loop by themselves; their cycles follow by hand from rules of the RTL."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from perf_machines import machine

from csnn.hardware.config import NodeConfig
from csnn.hardware.latency import FIFO, PACKET_DECODER, SPIKE_SUM
from csnn.hardware.mesh import LinkConfig
from csnn.perf.engine.broadcast import advance_broadcast
from csnn.perf.engine.links import serve_link
from csnn.perf.engine.memory import NEVER, Base
from csnn.perf.engine.nodes import _begin_step, take_broadcast
from csnn.perf.engine.unicast import serve_route
from csnn.perf.parameters import Clocks, Machine
from csnn.perf.setup import Memory, prepare
from csnn.perf.topology import Topology
from csnn.perf.workload import Workload

# The master node, below it place 1, below that places 2 to 4.
BELOW = ((1,), (2, 3, 4), (), (), ())
FORK = Topology(
    kind="tree", master=0, nodes=(1, 2, 3, 4), up=(-1, 0, 1, 1, 1), inputs=BELOW, down=BELOW
)


def prepared(made: Machine | None = None, *, spikes: int = 0) -> tuple[Memory, Workload]:
    """Return the fork; node 0 has so many spikes in the first step, which nobody unrolls."""
    first = np.full(2 * 4 + 1, spikes, np.int64)
    first[0] = 0
    work = Workload(
        steps=2,
        sizes=np.full(4, 64, np.int64),
        source=np.zeros(spikes, np.int64),
        local=np.arange(spikes),
        first=first,
        rows=np.zeros((1, 1, 4), np.uint16),
    )
    return prepare(made or machine(), FORK, work, first_sync_ns=0.0, echo=True), work


def ring(memory: Memory, base: Base, row: int) -> npt.NDArray[np.int64]:
    """Return a row of a ring."""
    size = int(memory.words[Base.RING])
    at = int(memory.words[base]) + row * size
    return memory.words[at : at + size]


def granted(waiting: dict[int, int]) -> list[int]:
    """Return the inputs of place 1 in the order in which they get its output.

    So many packets wait at each of its inputs: those of three links, and its node.
    """
    memory, _ = prepared()
    first = int(memory.places["FIRST_PORT"][1])
    assert memory.places["PORTS"][1] == 4
    for port, count in waiting.items():
        memory.ports["ARRIVED"][first + port] = count
        ring(memory, Base.PORT_CODE, first + port)[:count] = port
    order = []
    for cycle in range(3 * sum(waiting.values()) + 5):
        serve_route(memory.words, 1, cycle)
        if memory.places["OUT_FULL"][1]:
            order.append(int(memory.places["OUT_CODE"][1]))
            memory.places["OUT_FULL"][1] = 0
    return order


def test_inputs_of_a_router_get_its_output_in_turn() -> None:
    """`StreamArbiter`: the first that waits of those after the last choice; else of all."""
    assert granted({0: 3, 1: 3, 2: 3, 3: 3}) == [0, 1, 2, 3] * 3
    assert granted({1: 2, 3: 2}) == [1, 3, 1, 3]
    assert granted({0: 1, 2: 3}) == [0, 2, 2, 2]


def link_to_the_master(memory: Memory) -> int:
    return int(memory.places["UP"][1])


def test_channels_of_a_link_take_turns() -> None:
    """`LinkSender`: a broadcast packet gives way to a unicast one after a broadcast packet."""
    memory, work = prepared()
    link = link_to_the_master(memory)
    # No tree has a link of both; it gets the queue of the branch to place 2.
    branch = int(memory.places["FIRST_BRANCH"][1])
    memory.links["BRANCH"][link] = branch
    memory.places["COPIED"][1] = 4
    channels = []
    for cycle in range(0, 4 * 6, 4):
        memory.places["OUT_FULL"][1] = 1
        memory.places["OUT_SINCE"][1] = 0
        before = memory.links["SENT_UNICAST"][link], memory.links["SENT_BROADCAST"][link]
        serve_link(memory.words, work.rows, link, cycle)
        after = memory.links["SENT_UNICAST"][link], memory.links["SENT_BROADCAST"][link]
        channels.append("u" if after[0] > before[0] else "b")
        assert sum(after) == sum(before) + 1
    assert channels == ["b", "u", "b", "u", "b", "u"]


@pytest.mark.parametrize(
    ("offer", "begins"),
    [
        # A frame of 4 cycles began in cycle 0.
        (1, 4), (4, 4), (5, 5), (128, 128),
        # The next one, in cycle 128, had no packet; nor had that in cycle 256.
        (129, 132), (131, 132), (132, 132), (133, 133), (256, 256), (257, 260), (300, 300),
    ],
)  # fmt: skip
def test_frames_without_a_packet_keep_a_link_alive_and_busy(offer: int, begins: int) -> None:
    """`LinkSender`: a frame is due `keepalive` cycles after the last; none before it has ended."""
    memory, work = prepared(machine())
    link = link_to_the_master(memory)
    assert memory.links["KEEPALIVE"][link] == LinkConfig().keepalive == 128
    memory.links["LAST_BEGIN"][link] = 0
    memory.places["OUT_FULL"][1], memory.places["OUT_SINCE"][1] = 1, offer
    serve_link(memory.words, work.rows, link, offer)
    if memory.links["WAKE"][link] < NEVER and memory.places["OUT_FULL"][1]:
        serve_link(memory.words, work.rows, link, int(memory.links["WAKE"][link]))
    assert not memory.places["OUT_FULL"][1]
    assert memory.links["LAST_BEGIN"][link] == begins


def test_a_queue_has_room_in_the_cycle_after_a_packet_has_left() -> None:
    """`BroadcastRouter`: a packet waits in its register until all of its queues have room."""
    memory, work = prepared(machine(branch_buffer=2))
    first = int(memory.places["FIRST_BRANCH"][1])
    branches = range(first, first + 3)
    memory.places["ARRIVED"][1] = 4
    # Two packets fill the queues; the arbiter, the register, the queue: one cycle each.
    advance_broadcast(memory.words, work.rows, 1)
    assert memory.places["COPIED"][1] == 2
    pops = ring(memory, Base.PLACE_POP, 1)[:2]
    assert pops.tolist() == [0, 1]
    offers = ring(memory, Base.BRANCH_OFFER, first)[:2]
    assert offers.tolist() == [2 + FIFO, 3 + FIFO]
    for cycle, branch in zip((20, 30, 25), branches, strict=True):
        memory.branches["LEFT"][branch] = 1
        ring(memory, Base.BRANCH_LEFT, branch)[0] = cycle
        assert memory.places["COPIED"][1] == 2
        advance_broadcast(memory.words, work.rows, 1)
    # The last of the three queues that a packet leaves does so in cycle 30.
    assert memory.places["COPIED"][1] == 3
    assert memory.places["LAST_COPY"][1] == 31


def test_the_input_of_a_node_holds_what_waits_for_the_step() -> None:
    """`Node`: the decoder holds one packet, the FIFO as many as it has places.

    A place of the FIFO is free in the cycle after its packet went on, which it does in the cycle in
    which the core takes the one before.
    """
    node = NodeConfig(rows=64, event_fifo=2)
    memory, work = prepared(replace(machine(), node=node), spikes=5)
    memory.nodes["ACCEPT_FROM"][0] = 1000
    for number in range(5):
        take_broadcast(memory.words, work.rows, 0, number, number)
    stored = ring(memory, Base.NODE_STORED, 0)[:5].tolist()
    assert stored[0] < stored[1] < stored[2] < 100
    assert stored[3:] == [1001, 1002]
    # The first three are taken in cycles 1000 to 1002, the fourth when it has passed the FIFO.
    assert 1001 + FIFO + PACKET_DECODER == 1004
    assert memory.nodes["LAST_HANDLED"][0] == 1005
    assert memory.nodes["LARGEST_FIFO"][0] == 2


def test_a_full_input_has_room_when_its_first_packet_has_gone_on() -> None:
    """`PacketFifo`: what was written can go on FIFO cycles later, one cycle later there is room."""
    node = NodeConfig(rows=64, event_fifo=2)
    # Packets come faster than the node's clock.
    made = replace(machine(), node=node, clocks=Clocks(app_mhz=20.0, comm_mhz=200.0, seed=3))
    memory, work = prepared(made, spikes=3)
    for number in range(3):
        take_broadcast(memory.words, work.rows, 0, number, number)
    stored = ring(memory, Base.NODE_STORED, 0)[:3]
    assert (stored - stored[0]).tolist() == [0, 1, FIFO + 1]


def test_a_node_s_packet_takes_fifo_and_decoder() -> None:
    memory, work = prepared(spikes=1)
    take_broadcast(memory.words, work.rows, 0, 0, 50)
    stored = int(ring(memory, Base.NODE_STORED, 0)[0])
    assert memory.nodes["LAST_POPPED"][0] == stored + FIFO
    assert memory.nodes["LAST_HANDLED"][0] == stored + FIFO + PACKET_DECODER


@pytest.mark.parametrize("spikes", [1, 8, 9, 12])
def test_a_barrier_message_waits_for_the_sum_of_the_spikes(spikes: int) -> None:
    """`Control`: the message tells the sum, in which a spike is SPIKE_SUM cycles after its name."""
    memory, _ = prepared(spikes=spikes)
    _begin_step(memory.words, 0, 100)
    # They are named one after the other; groups come in every cycle, faster than their spikes go.
    named = 100 + int(memory.nodes["FIRST_SPIKE"][0]) + spikes - 1
    assert memory.nodes["LAST_NAMED"][0] == named
    assert memory.nodes["BARRIER"][0] == named + SPIKE_SUM + 1
