"""Pipelines that never stall: what leaves is what a model makes of what entered cycles ago."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from bench import Arrays, Coverage, Dut, Scenario

Model = Callable[[Arrays], Arrays]


class Pipelined:
    """Compares all outputs of a pipeline with its model, from run to run.

    Parameters
    ----------
    dut : Dut
    latency : int
    model : callable
        Returns the outputs that the inputs of each cycle lead to.
    """

    def __init__(self, dut: Dut, latency: int, model: Model) -> None:
        self._dut, self._latency, self._model = dut, latency, model
        self._under_way: Arrays = {}

    async def run(self, inputs: Mapping[str, Any]) -> Arrays:
        """Drive the inputs and return them with the outputs that they lead to."""
        found = await self._dut.run(inputs)
        wanted = self._model(found)
        for name, values in wanted.items():
            expected = np.concatenate([self._under_way.get(name, values[:0]), values])
            # Of what was inside before the first run nothing is known.
            unknown = self._latency + len(values) - len(expected)
            left = len(expected) - self._latency
            assert np.array_equal(found[name][unknown:], expected[: len(values) - unknown]), name
            self._under_way[name] = expected[max(0, left) :]
        return {**found, **wanted}


def scenarios(
    latency: int,
    model: Model,
    vectors: Callable[[int, np.random.Generator], Mapping[str, Any]],
    directed: Callable[[], Mapping[str, Any]],
    count: int,
    note: Callable[[Arrays, Coverage], None],
) -> tuple[Scenario, ...]:
    """Return the scenarios of an arithmetic unit.

    Parameters
    ----------
    latency : int
    model : callable
    vectors : callable
        Draws a number of operands.
    directed : callable
        Returns operands that are always tried.
    count : int
        Operands of scenario `random`.
    note : callable
        Tells the bins that operands, and the results that they lead to, hit.
    """

    def held(operands: Mapping[str, Any], cycles: Any) -> dict[str, Any]:
        return {name: np.repeat(values, cycles) for name, values in operands.items()}

    async def idle(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
        """Operands that stay, and change once in a while."""
        pipeline = Pipelined(dut, latency, model)
        await pipeline.run(held(vectors(20, rng), 3 * latency))
        await pipeline.run(held(vectors(4, rng), [latency + 1, latency, 1, 2 * latency]))

    async def back_pressure(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
        """New operands in every cycle."""
        note(await Pipelined(dut, latency, model).run(directed()), cover)

    async def reset_in_flight(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
        """Registers of data have no reset: what is under way is not disturbed."""
        pipeline = Pipelined(dut, latency, model)
        for share in (0.02, 0.5):
            operands = vectors(300, rng)
            reset = rng.random(300) < share
            reset[100 : 100 + 2 * latency] = True
            await pipeline.run({**operands, "rst": reset})

    async def random(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
        """Operands of all kinds, most of them for one cycle."""
        pipeline = Pipelined(dut, latency, model)
        for _ in range(4):
            operands = vectors(count // 4, rng)
            note(await pipeline.run(operands), cover)
            await pipeline.run(held(vectors(10, rng), rng.integers(1, 3 * latency, 10)))

    return idle, back_pressure, reset_in_flight, random
