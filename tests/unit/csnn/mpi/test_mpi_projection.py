"""The projection to many ranks: its sums, by hand, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest

from csnn.errors import InvalidInputError
from csnn.mpi.projection import Machine, main, project
from csnn.simulator.exchange import message_places

SETTINGS: dict[str, float] = {
    "step_us": 250.0,
    "spike_ns": 100.0,
    "latency_us": 1.5,
    "bandwidth_GBs": 10.0,
}


def machine(**changes: Any) -> Machine:
    return Machine(**{**SETTINGS, "neurons": 40_000, "rate_hz": 5.0, **changes})


def test_one_rank_takes_what_was_measured() -> None:
    found = project(machine(), 1)
    assert (found.step_us, found.efficiency, found.rtf) == (250.0, 1.0, 2.5)
    assert (found.lookup_us, found.latency_us, found.transfer_us) == (0.0, 0.0, 0.0)


def test_the_parts_of_a_step_on_a_hundred_ranks() -> None:
    # 40,000 neurons x 5 per s x 0.1 ms = 20 spikes of each rank in a step.
    found = project(machine(), 100)
    assert found.lookup_us == pytest.approx(99 * 20 * 0.1)
    # 2^7 is the first power that is not below 100.
    assert found.latency_us == pytest.approx(7 * 1.5)
    words = 1 + message_places(40_000)
    assert found.transfer_us == pytest.approx(99 * words * 4 / 10e9 * 1e6)
    parts = found.compute_us + found.lookup_us + found.latency_us + found.transfer_us
    assert found.step_us == pytest.approx(parts)
    assert found.efficiency == pytest.approx(250.0 / parts)
    assert found.neurons == 4_000_000


def test_spikes_that_do_not_fit_take_a_second_collective() -> None:
    usual, lively = project(machine(), 8), project(machine(rate_hz=50.0), 8)
    assert message_places(40_000) < 200
    assert lively.latency_us == pytest.approx(2 * usual.latency_us)
    assert lively.transfer_us == pytest.approx(7 * 201 * 4 / 10e9 * 1e6)


@pytest.mark.parametrize("field", ["neurons", *SETTINGS])
@pytest.mark.parametrize(
    "value",
    [0, -1.0, float("nan"), float("inf"), 1e-320, 1e13, pytest.param(10**400, id="no float")],
)
def test_no_machine_has_such_parts(field: str, value: float) -> None:
    with pytest.raises(InvalidInputError, match=field.replace("_", "-")):
        machine(**{field: value})


def test_the_largest_and_the_smallest_numbers_make_no_infinities() -> None:
    for least, most in ((1e-9, 1e12), (1e12, 1e-9)):
        odd = dict.fromkeys(("step_us", "spike_ns", "latency_us", "rate_hz", "dt_ms"), least)
        found = project(machine(**odd, neurons=10**12, bandwidth_GBs=most), 999_999_999)
        assert all(0 <= value < float("inf") for value in asdict(found).values())


ARGUMENTS = [
    "--step-us",
    "250",
    "--spike-ns",
    "100",
    "--latency-us",
    "1.5",
    "--bandwidth-GBs",
    "10",
]


def test_the_program_prints_a_table_that_fits_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(ARGUMENTS) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[-2].split()[0] == "4096"
    assert "not a measurement" in lines[-1]
    assert main([*ARGUMENTS, "--ranks", "1,3", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert [step["ranks"] for step in content["steps"]] == [1, 3]
    assert content["machine"]["step_us"] == 250.0


@pytest.mark.parametrize("ranks", ["0", "1,", "x", "-1", "1.5", "9" * 20])
def test_bad_ranks_are_refused(capsys: pytest.CaptureFixture[str], ranks: str) -> None:
    assert main([*ARGUMENTS, f"--ranks={ranks}"]) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("csnn: --ranks = ")
    assert captured.err.count("\n") == 1
