"""Bench of the core of a node; see `node_scenarios`."""

from __future__ import annotations

from node_links import CoreLink
from node_scenarios import node_bench

from rtl.node_core import NodeCore

BENCH = node_bench(
    NodeCore,
    CoreLink,
    {
        "flush: waiting | halted => waiting ^ halted": "the control is in one state",
        "$: { 1'h0, (setting_n_neurons[8:0] - 1'h1) [7:1] } => { 1'd1, $ [7:1] }": (
            "the bit is none of those of a group"
        ),
        "external$.access__select$: states__select => states__select ^ states__select": (
            "the states of the generators are registers, read without being selected"
        ),
    },
)
