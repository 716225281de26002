"""docs/rtl.md and its pictures are what the design gives."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from csnn import packets
from csnn.hardware.latency import EXTERNAL, ode_cycles
from csnn.packets import Kind
from rtl import documentation
from rtl.block_diagram import connections
from rtl.timing_diagram import EXAMPLE, NEURONS, timing_diagram, trace

DOCS = Path(__file__).parents[3] / "docs"


def test_files_are_up_to_date() -> None:
    for name, text in documentation.documents().items():
        written = (DOCS / name).read_text(encoding="utf-8")
        assert written == text, f"{name}: run python -m rtl.documentation"


def test_changed_field_changes_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    first, *others = packets.PAYLOAD_FIELDS[Kind.SYNC]
    wider = dataclasses.replace(first, width=first.width - 1)
    monkeypatch.setitem(packets.PAYLOAD_FIELDS, Kind.SYNC, (wider, *others))
    assert documentation.page() != (DOCS / documentation.PAGE).read_text(encoding="utf-8")


def test_connections_follow_the_design() -> None:
    units, wires = connections(EXAMPLE)
    assert wires["ode", "output"]
    assert wires["router", "circular_buffer"]
    assert ("output", "ode") not in wires
    assert len(set(units)) == len(units)


def test_picture_shows_the_cycles_of_the_simulation() -> None:
    traces = trace()
    computing = traces["ODE groups"]
    assert traces["start"].index(True) + EXTERNAL + 1 == computing.index(True)
    assert sum(computing) == 2 * (ode_cycles(EXAMPLE, NEURONS) - 1)
    late = {**traces, "ODE groups": [False, *computing[:-1]]}
    assert timing_diagram(late) != timing_diagram(traces)
