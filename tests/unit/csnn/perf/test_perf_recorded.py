"""Beginnings of steps that the hardware was seen to have; the slow tests run it anew.

Recorded by `tests/integration/test_perf_rtl.py`'s `measure` with `Physics(seed=1)`: PD14 at scale
0.0116 on 3 x 3 x 1, the first steps after 100 ms, with one spike in the 32nd.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from csnn.hardware.config import NodeConfig
from csnn.hardware.mesh import Mesh
from csnn.perf.model import simulate
from csnn.perf.parameters import Clocks, Machine
from csnn.perf.topology import mesh_topology
from csnn.perf.workload import Workload

FIRST_SYNC_NS = 54932.652041
SIZES = (240, 68, 254, 64, 56, 12, 167, 34)
# Rows of the one source: none by its presence bit, 27 synapses, 3, 6, none.
ROWS = (0, 0, 2, 0, 109, 13, 25, 2)
SPIKE_STEP, SPIKE_NODE = 31, 5
STEPS = 34
# fs, by step and node.
RECORDED = {
    0: (56000020408, 56000480843, 55999328041, 56000863087,
        56918498695, 56912113136, 56913303716, 56919200518),
    1: (60253735478, 60246746412, 60252622031, 60247343325,
        61165175129, 61165725488, 61166384614, 61166259152),
    2: (64500783283, 64499678018, 64499249416, 64500489937,
        65411851563, 65412670736, 65412799241, 65419985068),
    31: (187791847663, 187788032333, 187784775681, 187781744319,
         188705468471, 188707425008, 188698815115, 188698029248),
    32: (192038895468, 192040963939, 192038069671, 192034890931,
         193198812139, 193034375504, 193051890078, 192951755164),
    33: (196439290368, 196440548359, 196438028971, 196434697771,
         197352155025, 197354658896, 197351634873, 197352161284),
}  # fmt: skip


def recorded_workload() -> Workload:
    first = np.zeros(STEPS * len(SIZES) + 1, np.int64)
    first[SPIKE_STEP * len(SIZES) + SPIKE_NODE + 1 :] = 1
    return Workload(
        steps=STEPS,
        sizes=np.array(SIZES, np.int64),
        source=np.zeros(1, np.int64),
        local=np.zeros(1, np.int64),
        first=first,
        rows=np.array(ROWS, np.uint16).reshape(1, 1, -1),
    )


def differences(work: Workload, node: NodeConfig) -> dict[int, int]:
    """Return by step how much the model is off at most, in fs."""
    machine = Machine(node=node, clocks=Clocks(seed=1))
    topology = mesh_topology(Mesh(shape=(3, 3, 1), n_nodes=len(SIZES)))
    begins = simulate(machine, topology, work, first_sync_ns=FIRST_SYNC_NS).begins_fs
    return {step: int(np.abs(begins[step] - times).max()) for step, times in RECORDED.items()}


def test_steps_begin_when_they_did_in_hardware() -> None:
    assert set(differences(recorded_workload(), NodeConfig(presence_words=30)).values()) == {0}


def test_a_synapse_more_is_seen() -> None:
    work = recorded_workload()
    rows = work.rows.copy()
    rows[0, 0, 4] += 1 << 2
    found = differences(replace(work, rows=rows), NodeConfig(presence_words=30))
    assert [step for step, off in found.items() if off] == [32, 33]


def test_a_cycle_more_of_the_look_up_is_seen() -> None:
    # Without presence bits it has four cycles less.
    found = differences(recorded_workload(), NodeConfig())
    assert [step for step, off in found.items() if off] == [32, 33]
