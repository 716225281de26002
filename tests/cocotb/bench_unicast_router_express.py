"""Bench of the unicast router with express links along X and Y."""

from __future__ import annotations

import unicast_scenarios

from csnn.hardware.mesh import RouterConfig

BENCH = unicast_scenarios.bench(RouterConfig(express=(3, 3, 0)))
