"""The scenarios of each bench tell automatic faults of the Verilog from the component."""

from __future__ import annotations

import numpy as np
import pytest
from bench import Bench, Coverage, VerilatedDut, run_now
from catalogue import BENCHES
from mutation import Mutant, mutate

SOME = 40


@pytest.fixture(params=[SOME, pytest.param(10_000, marks=pytest.mark.slow)], ids=["some", "more"])
def count(request: pytest.FixtureRequest) -> int:
    """Largest number of mutants."""
    return int(request.param)


def differs(bench: Bench, dut: VerilatedDut) -> bool:
    """Return whether some scenario fails."""
    for place, scenario in enumerate(bench.scenarios):
        try:
            run_now(dut.run({"rst": [1]}))
            run_now(scenario(dut, np.random.default_rng(place), Coverage(bench.bins)))
        except (AssertionError, ValueError, IndexError, KeyError, StopIteration):
            return True
    return False


@pytest.mark.parametrize("name", BENCHES)
def test_mutants(name: str, count: int) -> None:
    bench = BENCHES[name]
    mutants: list[Mutant] = []

    def change(verilog: str) -> str:
        text, chosen = mutate(bench.change(verilog), count, module=bench.mutated)
        mutants.extend(chosen)
        return text

    dut = VerilatedDut(bench.make(), change=change, added=("mutant",))
    assert not differs(bench, dut), "the component without a mutant is wrong"
    assert len(mutants) >= 20
    killed, survivors = [], []
    for number, mutant in enumerate(mutants, 1):
        dut.always["mutant"] = number
        (killed if differs(bench, dut) else survivors).append(mutant)
    dut.always["mutant"] = 0
    assert not differs(bench, dut), "a mutant has left something behind"
    assert not [mutant.key for mutant in survivors if not mutant.is_in(bench.equivalent)]
    # A key may speak of several places: what is said of it must hold at each.
    whole = set(bench.equivalent) - set(bench.partly)
    assert not [mutant.key for mutant in killed if mutant.is_in(whole)]
    if len(mutants) < count:
        spoken_of = {key for key in bench.equivalent if any(m.is_in((key,)) for m in survivors)}
        assert set(bench.equivalent) == spoken_of, "a reason that nothing needs"
    assert len(survivors) <= 0.05 * len(mutants), survivors
