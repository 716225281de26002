"""Bench of the unicast router with nearest links only."""

from __future__ import annotations

import unicast_scenarios

from csnn.hardware.mesh import RouterConfig

BENCH = unicast_scenarios.bench(RouterConfig())
