"""Bench of a node; see `node_scenarios`."""

from __future__ import annotations

from node_links import NodeLink
from node_scenarios import node_bench

from rtl.node import Node

BENCH = node_bench(Node, NodeLink, {})
