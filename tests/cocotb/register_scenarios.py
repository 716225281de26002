"""Scenarios of a register file: a dictionary of words is its model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from amaranth.lib.wiring import Component
from bench import Arrays, Bench, Coverage, Dut, Scenario

from csnn.hardware.registers import CONTROL_BITS, Register

RUN, CLEAR = (1 << bit.position for bit in CONTROL_BITS)
CYCLES = 900


@dataclass(frozen=True)
class Declared:
    """What is declared of a register file.

    Attributes
    ----------
    registers : tuple of Register
    fixed : dict of str to int
        Constants.
    inputs, counters : tuple of str
        Registers whose values come from outside, and those that count.
    errors, status : int
        Bits.
    """

    registers: tuple[Register, ...]
    fixed: dict[str, int]
    inputs: tuple[str, ...]
    counters: tuple[str, ...]
    errors: int
    status: int

    @property
    def settings(self) -> list[str]:
        """Registers that the host writes while halted."""
        return [r.name for r in self.registers if r.is_writable and r.name != "control"]

    def initial(self) -> dict[str, int]:
        """Return what a reset leaves."""
        return {register.name: self.fixed.get(register.name, 0) for register in self.registers}


def check(declared: Declared, found: Arrays, cover: Coverage) -> None:
    """Compare all outputs, cycle by cycle."""
    words = declared.initial()
    read: int | None = None
    names, settings = [*words], declared.settings
    for t in range(len(found["rst"])):
        inputs = {name: int(column[t]) for name, column in found.items()}
        if read is not None:
            assert inputs["access__read_data"] == read, t
        assert inputs["run"] == words["control"], t
        assert inputs["failed"] == (words["errors"] != 0), t
        for name in settings:
            assert inputs[f"setting_{name}"] == words[name], (t, name)
        place = inputs["access__address"]
        name = names[place] if place < len(names) else None
        writes = bool(inputs["access__write"])
        data = inputs["access__write_data"]
        clear = name == "control" and writes and bool(data & CLEAR) and bool(inputs["halted"])
        assert inputs["clear"] == clear, t
        words |= {other: inputs[other] for other in ("status", *declared.inputs)}
        read = words[name] if name is not None else 0
        cover.hit("no register", name is None)
        cover.hit(
            "setting refused while running", name in settings and writes and not inputs["halted"]
        )
        cover.hit(
            "clear refused while running",
            name == "control" and writes and data & CLEAR and not clear,
        )
        cover.hit(
            "started in spite of an error",
            name == "control" and writes and data & RUN and not clear and words["errors"],
        )
        cover.hit("clear and error at once", clear and inputs["errors"])
        cover.hit("error ends the run", inputs["errors"] and words["control"])
        cover.hit("read-only register written", writes and name in declared.fixed)
        had_errors = words["errors"] != 0
        if writes and name in settings and inputs["halted"]:
            words[name] = data
            cover.hit("step set as a step begins", name == "step" and inputs["next_step"])
        if inputs["next_step"]:
            words["step"] = (int(found["setting_step"][t]) + 1) % (1 << 32)
            cover.hit("step wraps", words["step"] == 0)
        if inputs["errors"] and not clear:
            words["control"] = 0
        elif writes and name == "control":
            words["control"] = int(bool(data & RUN) and (clear or not had_errors))
        words["errors"] = 0 if clear else words["errors"] | inputs["errors"]
        for counter in declared.counters:
            words[counter] = (
                0 if clear else (words[counter] + inputs[f"count_{counter}"]) % (1 << 32)
            )
        if inputs["rst"]:
            cover.hit("reset while running", words["control"])
            words, read = declared.initial(), 0


async def drive(
    declared: Declared, dut: Dut, rng: np.random.Generator, cover: Coverage,
    *, writes: float, errors: float = 0.02, halted: float = 0.6, resets: float = 0.0,
) -> None:  # fmt: skip
    n = CYCLES
    offsets = {name: offset for offset, name in enumerate(declared.initial())}
    address = rng.integers(0, 1 << (len(offsets) - 1).bit_length(), n)
    # Control and step are written often; a step near its end shows that it wraps.
    address = np.where(rng.random(n) < 0.3, offsets["control"], address)
    address = np.where(rng.random(n) < 0.1, offsets["step"], address)
    data = rng.integers(0, 2**32, n)
    data = np.where((address == offsets["step"]) & (rng.random(n) < 0.5), 2**32 - 1, data)
    resetting = rng.random(n) < resets
    # All models begin with what a reset leaves.
    resetting[-1] = True
    found = await dut.run(
        {
            "access__select": 1,
            "access__address": address,
            "access__write": rng.random(n) < writes,
            "access__write_data": data,
            "halted": np.repeat(rng.random(n // 10) < halted, 10),
            "next_step": rng.random(n) < 0.2,
            "status": rng.integers(0, 1 << declared.status, n),
            **{name: rng.integers(0, 2**32, n) for name in declared.inputs},
            "errors": np.where(rng.random(n) < errors, 1 << rng.integers(0, declared.errors, n), 0),
            **{f"count_{name}": rng.random(n) < 0.5 for name in declared.counters},
            "rst": resetting,
        }
    )
    check(declared, found, cover)


def register_bench(make: Callable[[], Component], declared: Declared) -> Bench:
    """Return the bench of a register file."""

    async def idle(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
        """Nothing is written; counters count."""
        await drive(declared, dut, rng, cover, writes=0.0, errors=0.0)

    async def back_pressure(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
        """A word in every cycle: the registers never stall."""
        await drive(declared, dut, rng, cover, writes=1.0, halted=1.0)

    async def reset_in_flight(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
        """A reset puts every register back."""
        await drive(declared, dut, rng, cover, writes=0.5, resets=0.05)

    async def random(dut: Dut, rng: np.random.Generator, cover: Coverage) -> None:
        """What halts, runs and fails."""
        for writes, errors in ((0.3, 0.0), (0.3, 0.01), (0.6, 0.1)):
            await drive(declared, dut, rng, cover, writes=writes, errors=errors)

    scenarios: tuple[Scenario, ...] = (idle, back_pressure, reset_in_flight, random)
    return Bench(
        make=make,
        scenarios=scenarios,
        bins=(
            "no register",
            "setting refused while running",
            "clear refused while running",
            "started in spite of an error",
            "clear and error at once",
            "error ends the run",
            "read-only register written",
            "step set as a step begins",
            "step wraps",
            "reset while running",
        ),
    )
