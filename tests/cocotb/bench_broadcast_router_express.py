"""Bench of the broadcast router with express links along X and Y."""

from __future__ import annotations

import broadcast_scenarios

from csnn.hardware.mesh import RouterConfig

BENCH = broadcast_scenarios.bench(RouterConfig(express=(3, 3, 0), branch_buffer=4))
