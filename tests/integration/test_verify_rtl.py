"""A node's RTL replays the traffic of its network, bit by bit; planted faults are found."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import networks
import numpy as np
import pytest
from commands import csnn

from csnn.hardware.config import NodeConfig
from csnn.image.store import Image
from csnn.rows import Sampler
from csnn.spec.rules import AllToAll
from csnn.verify import Traffic, open_replay, record_traffic, verify_node
from csnn.simulator.session import make_simulator
from rtl.node_simulation import NodeSimulation
