"""When look-up and unrolling do what, cycle by cycle, and which of their mutants do the same."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from bench import Dut
from row_directory import I64, PER_READ, PORTS, Directory, Row

READ_ONE = "the words that are not asked for give zero"
ALWAYS_ON = "nothing stops the memories of the unroller"
# Mutants that no stimulus can tell, of the look-up and of the unroller.
LOOKUP_EQUIVALENT = {
    "$: ($) | ($ ? access__read_data$: 32'd0) => $ ^ $": READ_ONE,
    "$: ($ | $) | ($ ? access__read_data$: 32'd0) => $ ^ $": READ_ONE,
    "blocks__read_data: ($ | $) | ($ ? access__read_data$: 32'd0) => $ ^ $": READ_ONE,
    "$: | { only[3], only[1] } => | { only[1], only[3] }": "whether any bit is set",
}
UNROLLER_EQUIVALENT = {
    "H: if: go => 1'h1": ALWAYS_ON,
    "outcomes: if: go => 1'h1": ALWAYS_ON,
    "synapses: if: go => 1'h1": ALWAYS_ON,
    "row__ready: (~ $signal) | $signal$ => $ ^ $signal$": "the last draw is a draw",
    "$: (entered_3_q & $) | (candidate_3_q == previous) => $ ^ $": "the number that was entered "
    "last was not in the map before",
    f"$: (first_0_q_q_q_q ? 256'h{0:064}: used) | (1'h1 << inserted_4[7:0]) => $ ^ $": "no number "
    "is entered twice",
    "if: (load | draw) => 1'h1": "the state of the generator is loaded before it is asked for",
    # Halves that are both inverted have the same exclusive or.
    **{
        f"product_{k + 1}_q <=: (one_{k}_q * other_{k}_q) [31:0] => ~($ [31:0])": "folded"
        for k in range(0, 30, 5)
    },
}


async def load(
    dut: Dut, rng: np.random.Generator, directory: Directory, ports: Iterable[str] = PORTS
) -> None:
    """Write the memories at these ports."""
    await dut.run(directory.writing(rng, ports))


async def compare(
    dut: Dut, rng: np.random.Generator, directory: Directory, ports: Iterable[str] = PORTS
) -> None:
    """Read the memories at these ports back."""
    for name in ports:
        inputs, words = directory.reading(rng, name)
        found = await dut.run(inputs)
        data = found[f"{name}__read_data"][PER_READ - 1 :: PER_READ]
        assert np.array_equal(data, words), name


class LookupModel:
    """Look-up of rows, cycle by cycle: rows go through a pipeline that stops while one waits."""

    # An absent row is dropped after so many steps, an empty one after so many.
    ABSENT, EMPTY = 7, 11

    def __init__(self, latency: int) -> None:
        self.latency = latency
        self.reset()

    def reset(self) -> None:
        self.waiting: list[Row] = []  # rows of the present source, the first one in step 0
        self.steps: list[Row | None] = [None] * (self.latency - 1)

    @property
    def row(self) -> Row | None:
        """The row that is offered."""
        return self.steps[-1]

    @property
    def busy(self) -> bool:
        return bool(self.waiting) or any(self.steps)

    def goes_on(self, ready: bool) -> bool:
        return self.row is None or ready

    def takes(self, ready: bool) -> bool:
        """Return whether a source is taken."""
        return self.goes_on(ready) and len(self.waiting) <= 1

    def cycle(self, arriving: list[Row] | None, ready: bool) -> None:
        """End a cycle; `arriving` are the rows of the source that is taken."""
        if not self.goes_on(ready):
            return
        steps = self.steps
        for place, is_dropped in (
            (self.ABSENT - 2, lambda row: not row.is_present),
            (self.EMPTY - 2, lambda row: not row.length),
        ):
            row = steps[place]
            if row is not None and is_dropped(row):
                steps[place] = None
        steps.pop()
        steps.insert(0, self.waiting.pop(0) if self.waiting else None)
        if arriving is not None:
            self.waiting = list(arriving)


class UnrollerModel:
    """Unrolling, cycle by cycle: one draw per cycle, each a synapse `latency` - 1 cycles later."""

    def __init__(self, latency: int) -> None:
        self.latency = latency
        self.reset()

    def reset(self) -> None:
        self.left = 0  # draws that the present row still makes
        self.row: Row | None = None
        self.steps: list[I64 | None] = [None] * (self.latency - 1)

    @property
    def ready(self) -> bool:
        return self.left <= 1

    @property
    def synapse(self) -> I64 | None:
        return self.steps[-1]

    @property
    def busy(self) -> bool:
        return self.left > 0 or any(step is not None for step in self.steps)

    def cycle(self, arriving: Row | None) -> None:
        """End a cycle."""
        self.steps.pop()
        row, left = self.row, self.left
        self.steps.insert(0, None if row is None or not left else row.synapses[row.length - left])
        self.left = max(0, left - 1)
        if arriving is not None:
            self.row, self.left = arriving, arriving.length
