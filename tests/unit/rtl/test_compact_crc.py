"""The CRC that is built in less time is the same function."""

from __future__ import annotations

import pytest
from compact_crc import compact_crc
from test_frame_crc import BASIS, Registered, found

from csnn.hardware.frames import crc
from rtl.verilate import Verilated


def test_is_the_crc_of_frames() -> None:
    bench = Verilated(Registered(), change=compact_crc)
    assert found(bench, BASIS) == [crc(body) for body in BASIS]


def test_a_design_without_it_is_refused() -> None:
    with pytest.raises(ValueError, match="no module of a CRC"):
        compact_crc("module top(clk);\nendmodule\n")
