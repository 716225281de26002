"""What a bench of a component is: scenarios that run in cocotb and in a compiled array harness.

A bench is a module `bench_<component>.py` with an object `BENCH`. Its scenarios are coroutines

    async def scenario(dut: Dut, rng: numpy.random.Generator, cover: Coverage) -> None

that drive the component through `dut.run` and raise AssertionError where it differs from its model.
`test_cocotb.py` runs every scenario in cocotb, in a simulation of the component alone, and
demands that every bin of the bench is hit; `test_bench_mutants.py` runs the same scenarios in a
compiled harness against automatic mutants of the component. A scenario starts after a cycle of
reset with all inputs at zero; memories hold anything, so it writes what it reads.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from amaranth.hdl import Value
from amaranth.lib.wiring import Component, In

from rtl.verilate import Verilated

SCENARIOS = ("idle", "back_pressure", "reset_in_flight", "random")
Arrays = dict[str, npt.NDArray[np.uint64]]


class Dut(Protocol):
    """A component in some simulator."""

    async def run(
        self, inputs: Mapping[str, Any], streams: Mapping[str, Any] | None = None
    ) -> Arrays:
        """Drive the inputs and return all outputs before each clock edge.

        Parameters
        ----------
        inputs : mapping of port to array_like, shape (cycles,), or (cycles, words) above 64 bits
            What is left out is zero, `rst` among it. A scalar holds throughout. At least one is an
            array and gives the number of cycles.
        streams : mapping of stream to array_like, shape (items,) or (items, words)
            Payloads that an input stream offers in order; its `valid` says in which cycles a new
            one may be offered, and it stays until it is taken. What is not taken when a call ends
            is withdrawn.

        Returns
        -------
        dict of port to ndarray of uint64, shape (cycles,) or (cycles, words)
            All outputs, all inputs as they were driven.
        """
        ...


class Coverage:
    """Bins of functional coverage, declared ahead."""

    def __init__(self, bins: Iterable[str]) -> None:
        self.hits = dict.fromkeys(bins, 0)

    def hit(self, name: str, condition: Any = True) -> None:
        """Count a bin if the condition holds, or how often it holds in an array."""
        self.hits[name] += int(np.count_nonzero(condition))

    @property
    def missed(self) -> list[str]:
        """Names of the bins that were not hit."""
        return [name for name, count in self.hits.items() if not count]


Scenario = Callable[[Dut, np.random.Generator, Coverage], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A component with its scenarios.

    Attributes
    ----------
    make : callable
        Makes the component.
    scenarios : tuple of coroutine function
        Functions of the names in `SCENARIOS` at least. A component that cannot be stalled shows at
        `back_pressure` that it keeps up at its full rate.
    bins : tuple of str
        What the scenarios together must have met.
    equivalent : dict of str to str
        Mutants that no stimulus can tell from the component, by `Mutant.key`, and why. The name of
        the module may stand before a key, with a colon.
    partly : tuple of str
        Keys of these that speak of several places, of which a stimulus can tell some.
    mutated : str, optional
        Module of the Verilog that the mutants are in, and the connections of its parts; otherwise
        they are in all modules, and in no connection. For what puts together units that have
        benches of their own: how it connects them is what can be wrong there.
    change : callable
        Makes another Verilog of the same behaviour, that is built in less time.
    """

    make: Callable[[], Component]
    scenarios: tuple[Scenario, ...]
    bins: tuple[str, ...]
    equivalent: Mapping[str, str] = field(default_factory=dict)
    partly: tuple[str, ...] = ()
    mutated: str | None = None
    change: Callable[[str], str] = lambda verilog: verilog

    def __post_init__(self) -> None:
        missing = set(SCENARIOS) - {scenario.__name__ for scenario in self.scenarios}
        if missing:
            raise ValueError(f"a bench lacks the scenarios {sorted(missing)}")


def ports(component: Component) -> tuple[dict[str, int], dict[str, int]]:
    """Return the widths of a component's inputs and outputs, named as in the Verilog."""
    inputs: dict[str, int] = {}
    outputs: dict[str, int] = {}
    for path, member, value in component.signature.flatten(component):
        name = "__".join(str(part) for part in path)
        (inputs if member.flow is In else outputs)[name] = len(Value.cast(value))
    return inputs, outputs


def columns(inputs: Mapping[str, Any], widths: Mapping[str, int]) -> Arrays:
    """Return every input as an array of all cycles, zeros for what is not given."""
    unknown = set(inputs) - set(widths)
    if unknown:
        raise ValueError(f"no such inputs: {sorted(unknown)}")
    given = {name: np.asarray(value) for name, value in inputs.items()}
    cycles = next(len(value) for value in given.values() if value.ndim)
    filled = {}
    for name, width in widths.items():
        words = -(-width // 64)
        shape = (cycles,) if words == 1 else (cycles, words)
        value = given.get(name, np.zeros((), np.uint64)).astype(np.uint64)
        filled[name] = np.array(np.broadcast_to(value, shape), dtype=np.uint64)
    return filled


class VerilatedDut:
    """A component in the compiled array harness, perhaps with mutants."""

    def __init__(
        self,
        component: Component,
        *,
        change: Callable[[str], str] = lambda verilog: verilog,
        added: tuple[str, ...] = (),
    ) -> None:
        self._bench = Verilated(component, change=change, added=added)
        self._widths = {**ports(component)[0], "rst": 1, **dict.fromkeys(added, 1)}
        self.always: dict[str, int] = {}

    async def run(
        self, inputs: Mapping[str, Any], streams: Mapping[str, Any] | None = None
    ) -> Arrays:
        """See `Dut.run`; inputs in `always` are set besides."""
        driven = columns({**inputs, **self.always}, self._widths)
        return {**driven, **self._bench.run(driven, streams)}


def run_now(coroutine: Awaitable[None]) -> None:
    """Run a coroutine that never waits."""
    try:
        coroutine.__await__().send(None)  # type: ignore[attr-defined]
    except StopIteration:
        return
    raise RuntimeError("the scenario waits for something")


def transfers(
    found: Arrays, stream: str, part: slice = slice(None)
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.uint64]]:
    """Return cycles and payloads of a stream's transfers, reset cycles left out."""
    moved = found[f"{stream}__valid"] & found[f"{stream}__ready"] & ~found["rst"] & np.uint64(1)
    cycles = np.flatnonzero(moved[part]) + (part.start or 0)
    return cycles, found[f"{stream}__payload"][cycles]


def assert_held(found: Arrays, stream: str) -> None:
    """Demand that a stream holds what it offers until it is taken, or until a reset."""
    valid, ready, payload = (found[f"{stream}__{part}"] for part in ("valid", "ready", "payload"))
    waits = (valid[:-1] == 1) & (ready[:-1] == 0) & (found["rst"][:-1] == 0)
    assert valid[1:][waits].all(), f"{stream} withdrew what it offered"
    assert np.array_equal(payload[1:][waits], payload[:-1][waits]), f"{stream} changed its payload"
