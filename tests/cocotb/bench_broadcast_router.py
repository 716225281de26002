"""Bench of the broadcast router with nearest links only."""

from __future__ import annotations

import broadcast_scenarios

from csnn.hardware.mesh import RouterConfig

BENCH = broadcast_scenarios.bench(RouterConfig(branch_buffer=4))
