"""cocotb tests of one bench: imported inside the simulation, one test per scenario."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import cocotb
import numpy as np
from amaranth.lib.wiring import Component
from bench import Arrays, Coverage, columns, ports
from catalogue import BENCH_VARIABLE, BENCHES, FAULT_VARIABLE
from cocotb.triggers import Timer


class CocotbDut:
    """A component as the top of a simulation."""

    def __init__(self, handle: Any, component: Component) -> None:
        self._clock = handle.clk
        inputs, outputs = ports(component)
        self._widths = {**inputs, "rst": 1}
        self._outputs = outputs
        self._ports = {port: getattr(handle, port) for port in (*self._widths, *outputs)}
        self._faulty = os.environ.get(FAULT_VARIABLE)
        self._driven: dict[str, int] = {}
        self._streams = [
            port.removesuffix("__valid")
            for port in inputs
            if port.endswith("__valid") and f"{port.removesuffix('__valid')}__ready" in outputs
        ]

    async def run(
        self, inputs: Mapping[str, Any], streams: Mapping[str, Any] | None = None
    ) -> Arrays:
        """See `Dut.run`."""
        driven = columns(inputs, self._widths)
        cycles = len(driven["rst"])
        offered = {
            name: np.asarray(items, dtype=np.uint64) for name, items in (streams or {}).items()
        }
        found = {
            port: np.zeros((cycles,) if width <= 64 else (cycles, -(-width // 64)), np.uint64)
            for port, width in self._outputs.items()
        }
        taken, held = dict.fromkeys(offered, 0), dict.fromkeys(offered, False)
        for t in range(cycles):
            for name, items in offered.items():
                valid, payload = driven[f"{name}__valid"], driven[f"{name}__payload"]
                held[name] = held[name] or bool(valid[t] and taken[name] < len(items))
                valid[t] = held[name]
                payload[t] = items[taken[name]] if held[name] else 0
            for port, column in driven.items():
                self._drive(port, _integer(column[t]))
            self._clock.value = 0
            await Timer(1, "ns")
            for port, column in found.items():
                value = int(self._ports[port].value) ^ (port == self._faulty)
                column[t] = _words(value, column.shape[1:])
            for name in offered:
                if held[name] and found[f"{name}__ready"][t]:
                    held[name], taken[name] = False, taken[name] + 1
            self._clock.value = 1
            await Timer(1, "ns")
        return {**driven, **found}

    def _drive(self, port: str, value: int) -> None:
        if self._driven.get(port) != value:
            self._ports[port].value = self._driven[port] = value


def _integer(words: Any) -> int:
    return (
        int(words) if not words.shape else int.from_bytes(words.astype("<u8").tobytes(), "little")
    )


def _words(value: int, shape: tuple[int, ...]) -> Any:
    if not shape:
        return value
    return np.frombuffer(value.to_bytes(8 * shape[0], "little"), "<u8")


def _tests(name: str) -> dict[str, Any]:
    """Return a cocotb test per scenario, and one that looks at the bins after them."""
    bench = BENCHES[name]
    cover = Coverage(bench.bins)
    tests = {}

    def add(test_name: str, function: Any, stage: int) -> None:
        function.__name__ = function.__qualname__ = test_name
        tests[test_name] = cocotb.test(stage=stage)(function)

    for place, scenario in enumerate(bench.scenarios):

        async def run(handle: Any, scenario: Any = scenario, place: int = place) -> None:
            dut = CocotbDut(handle, bench.make())
            await dut.run({"rst": [1]})
            await scenario(dut, np.random.default_rng(place), cover)

        add(scenario.__name__, run, 0)

    async def coverage(handle: Any) -> None:
        assert not cover.missed, f"{name}: bins not hit: {cover.missed}"

    add("coverage", coverage, 1)
    return tests


globals().update(_tests(os.environ[BENCH_VARIABLE]))
