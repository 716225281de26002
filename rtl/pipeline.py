"""Registers of a feed-forward datapath, placed evenly, with every value kept in step.

A datapath is written as a sequence of steps. `Pipeline` puts `latency` registers between them and
hands out each value as old as the step that asks for it, so that no delay is balanced by hand.
"""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Signal, Value, ValueLike


def registers_after(steps: int, latency: int) -> tuple[int, ...]:
    """Return how many registers follow each of `steps` steps; their sum is `latency`.

    They are spread evenly, and one follows the last step unless `latency` is 0: results come
    straight from registers.
    """
    ends = [(i + 1) * latency // steps for i in range(steps)]
    return tuple(end - begin for begin, end in zip([0, *ends], ends, strict=False))


@dataclass(eq=False)
class Staged:
    """A value and, behind it, its copies after 0, 1, ... registers since the level it was made."""

    level: int
    copies: list[Value]


class Pipeline:
    """Builds a datapath into a module.

    Parameters
    ----------
    m : Module
        Where registers go (domain sync). They have no reset: validity travels beside the data.
    steps : int
        Number of steps, that is of calls of `step`.
    latency : int
        Registers between input and result.
    """

    def __init__(self, m: Module, *, steps: int, latency: int) -> None:
        self.module = m
        self._after = registers_after(steps, latency)
        self._done = 0
        self._level = 0

    @property
    def level(self) -> int:
        """Registers before the present step."""
        return self._level

    def now(self, value: ValueLike, name: str) -> Value:
        """Name a value that this step uses more than once, so that it is built once."""
        return self.get(self.put(value, name))

    def put(self, value: ValueLike, name: str) -> Staged:
        """Give a value of the present step a name and keep it for this and later steps."""
        value = Value.cast(value)
        signal = Signal(value.shape(), name=f"{name}_{self._done}")
        self.module.d.comb += signal.eq(value)
        return Staged(self._level, [signal])

    def get(self, staged: Staged) -> Value:
        """Return a value of an earlier step, or of this one, as of now."""
        age = self._level - staged.level
        while len(staged.copies) <= age:
            last = staged.copies[-1]
            copy = Signal.like(last, name_suffix="_q", reset_less=True)
            self.module.d.sync += copy.eq(last)
            staged.copies.append(copy)
        return staged.copies[age]

    def step(self) -> None:
        """End the present step."""
        self._level += self._after[self._done]
        self._done += 1

    def finish(self, result: Staged) -> Value:
        """Return the result after the last step."""
        if self._done != len(self._after):
            raise ValueError(f"{self._done} of {len(self._after)} steps were made")
        return self.get(result)


class Validity:
    """Validity of what stands in each step of a pipeline; unlike the data it has a reset.

    Parameters
    ----------
    m : Module
    value : Value
        Whether the first step holds something.
    """

    def __init__(self, m: Module, value: Value) -> None:
        self._m = m
        self.value = value
        self._steps: list[Signal] = []

    def require(self, condition: Value) -> None:
        """Drop what does not meet the condition."""
        self.value = self.value & condition

    def step(self, p: Pipeline) -> None:
        """End the present step, of one register, of the pipeline."""
        signal = Signal(name=f"valid_{len(self._steps)}")
        self._m.d.sync += signal.eq(self.value)
        self._steps.append(signal)
        self.value = signal
        p.step()

    def any(self) -> Value:
        """Return whether any step holds something valid."""
        return Cat(*self._steps).any()
