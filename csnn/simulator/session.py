"""Running an image for a given time: warm-up, progress, interruption, parts, resuming."""

from __future__ import annotations

import importlib
import signal
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from csnn.errors import ToolMissingError, reject
from csnn.image.store import Image
from csnn.progress import progress
from csnn.simulator.recording import Recording, join
from csnn.simulator.state import MachineState

if TYPE_CHECKING:
    from csnn.simulator.divided import Team

SIMULATORS = ("fast", "plain")
# Wall time between two looks at the keyboard, and the most steps in between.
_LOOK_S = 0.1
_MAX_CHUNK_STEPS = 512
# Steps are 32-bit numbers.
_MAX_STEPS = 2**32


class Simulator(Protocol):
    """What both simulators offer."""

    step: int

    def run(self, steps: int) -> Recording:
        """Simulate `steps` steps."""

    def state(self) -> MachineState:
        """Return every state word after the last step."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Session:
    """The outcome of one simulation, or of a part of it.

    Attributes
    ----------
    recording : Recording
        Spikes and traces after the warm-up (all of this session's part of it).
    first_traced_step : int
        Step of the first trace.
    last_step : int
        Last completed step.
    complete : bool
        Whether the requested time was reached; False after an interruption, and of all parts but
        the last.
    load_s, warmup_s, simulate_s : float
        Wall time to set up (compilation included), of the warm-up, and after it. What is done with
        a part counts into the one after it.
    state : MachineState
        State after the last step.
    """

    recording: Recording
    first_traced_step: int
    last_step: int
    complete: bool
    load_s: float
    warmup_s: float
    simulate_s: float
    state: MachineState


def whole_steps(owner: str, field: str, time_ms: float, dt_ms: float) -> int:
    """Return `time_ms` in steps; InvalidInputError if it is no multiple of `dt_ms`."""
    if not abs(time_ms) < _MAX_STEPS * dt_ms:
        raise reject(f"{owner}.{field}", time_ms, "must be below 2^32 steps")
    steps = round(time_ms / dt_ms)
    tolerance_ms = 1e-6 * dt_ms + 1e-12 * abs(time_ms) if steps else 0.0
    if abs(steps * dt_ms - time_ms) > tolerance_ms:
        raise reject(f"{owner}.{field}", time_ms, f"must be a multiple of dt_ms = {dt_ms:g}")
    return steps


def run_steps(time_ms: float, warmup_ms: float, dt_ms: float) -> tuple[int, int]:
    """Return the last step of the warm-up and of the run.

    Raises
    ------
    InvalidInputError
        If a time is no multiple of `dt_ms`, or the run has 2^32 steps or more.
    """
    warmup = whole_steps("run", "warmup_ms", warmup_ms, dt_ms)
    end = warmup + whole_steps("run", "time_ms", time_ms, dt_ms)
    if end >= _MAX_STEPS:
        raise reject("run.time_ms", time_ms, "must with the warm-up be below 2^32 steps")
    return warmup, end


def make_simulator(
    image: Image,
    *,
    kind: str = "fast",
    threads: int = 2,
    state: MachineState | None = None,
    record: npt.ArrayLike = (),
    team: Team | None = None,
) -> Simulator:
    """Return a simulator of `image`, divided over the ranks of `team` if there is one.

    Raises
    ------
    ToolMissingError
        If the fast one is asked for and numba cannot be imported.
    """
    if kind == "plain":
        from csnn.simulator.plain import PlainSimulator

        return PlainSimulator(image, state=state, record=record)
    require_simulator(kind)
    if team is not None:
        from csnn.simulator.divided import DividedSimulator

        return DividedSimulator(image, team, threads=threads, state=state, record=record)
    from csnn.simulator.fast import FastSimulator

    return FastSimulator(image, threads=threads, state=state, record=record)


def require_simulator(kind: str, *, divided: bool = False) -> None:
    """Raise ToolMissingError if the simulator `kind` is the fast one and numba is not there.

    InvalidInputError if it is the plain one and to be divided over ranks.
    """
    if kind == "plain":
        if divided:
            raise reject("--simulator", kind, "runs in one process only; --mpi needs fast")
        return
    try:
        importlib.import_module("csnn.simulator.fast")
    except ImportError as error:
        raise ToolMissingError(
            f"the fast simulator needs numba ({error}); install it or use --simulator plain"
        ) from None


@contextmanager
def _interruptible() -> Iterator[list[bool]]:
    """Turn Ctrl-C and SIGTERM into a flag; a second one acts at once.

    Does nothing outside the main thread, nor with what the process was started to ignore.
    """
    pressed = [False]

    def press(number: int, frame: object) -> None:
        if pressed[0]:
            raise KeyboardInterrupt
        pressed[0] = True

    before = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                with suppress(ValueError):
                    before[number] = signal.signal(number, press)
        yield pressed
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def simulate(
    image: Image,
    *,
    time_ms: float,
    warmup_ms: float = 0.0,
    kind: str = "fast",
    threads: int = 2,
    record: npt.ArrayLike = (),
    start: MachineState | None = None,
    team: Team | None = None,
) -> Session:
    """Simulate an image up to `warmup_ms` + `time_ms` of model time.

    Parameters
    ----------
    image : Image
    time_ms, warmup_ms : float
        Model time after the warm-up, and the warm-up, both counted from step 0.
    kind : str
        "fast" or "plain".
    threads : int
        Threads of the fast simulator.
    record : array_like of int
        Neurons to trace.
    start : MachineState, optional
        State to resume from.
    team : Team, optional
        Ranks over which the nodes are divided (`csnn.mpi`); rank 0 calls this, with an image that
        `csnn.simulator.division.open_divided` has opened.

    Returns
    -------
    Session
        Partial (`complete` False) after Ctrl-C or SIGTERM.

    Raises
    ------
    InvalidInputError
        If a time is not a whole number of steps or lies before `start`.
    """
    (session,) = simulate_parts(
        image,
        time_ms=time_ms,
        warmup_ms=warmup_ms,
        kind=kind,
        threads=threads,
        record=record,
        start=start,
        team=team,
    )
    return session


def simulate_parts(
    image: Image,
    *,
    time_ms: float,
    warmup_ms: float = 0.0,
    kind: str = "fast",
    threads: int = 2,
    record: npt.ArrayLike = (),
    start: MachineState | None = None,
    period_steps: int = _MAX_STEPS,
    team: Team | None = None,
) -> Generator[Session]:
    """Simulate as `simulate` does, in parts that end with multiples of `period_steps`.

    Yields
    ------
    Session
        What happened since the part before. The last part ends the run, or was interrupted; it is
        empty if nothing was left to do.
    """
    warmup, end = run_steps(time_ms, warmup_ms, image.dt_ms)
    began = time.perf_counter()
    with progress(None, "load and compile"):
        simulator = make_simulator(
            image, kind=kind, threads=threads, state=start, record=record, team=team
        )
        if simulator.step > end:
            raise reject("run.time_ms", time_ms, f"ends before step {simulator.step}, already done")
        parts = [simulator.run(0)]
    spent = {"load": time.perf_counter() - began, "warm-up": 0.0, "simulate": 0.0}
    first_traced = max(simulator.step, warmup) + 1

    def ended() -> Session:
        return Session(
            recording=join(parts),
            first_traced_step=first_traced,
            last_step=simulator.step,
            complete=simulator.step == end,
            load_s=spent["load"],
            warmup_s=spent["warm-up"],
            simulate_s=spent["simulate"],
            state=simulator.state(),
        )

    with _interruptible() as pressed:
        for label, until in (("warm-up", warmup), ("simulate", end)):
            remaining = until - simulator.step
            if remaining <= 0 or pressed[0]:
                continue
            began = time.perf_counter()
            chunk = 1
            with progress(remaining, label, "steps") as bar:
                while simulator.step < until and not pressed[0]:
                    part_end = simulator.step - simulator.step % period_steps + period_steps
                    n = min(chunk, until - simulator.step, part_end - simulator.step)
                    started = time.perf_counter()
                    recording = simulator.run(n)
                    now = time.perf_counter()
                    chunk = _next_chunk(n, now - started)
                    bar.update(n)
                    if label == "simulate":
                        parts.append(recording)
                    if simulator.step == part_end < end and not pressed[0]:
                        spent[label] += now - began
                        began = now
                        yield ended()
                        spent = dict.fromkeys(spent, 0.0)
                        first_traced = max(simulator.step, warmup) + 1
                        parts = [simulator.run(0)]
            spent[label] += time.perf_counter() - began
        yield ended()


def _next_chunk(steps: int, spent_s: float) -> int:
    """Return how many steps to make before the next look, after `steps` took `spent_s`."""
    if spent_s < 0.5 * _LOOK_S:
        return min(2 * steps, _MAX_CHUNK_STEPS)
    return max(1, steps // 2) if spent_s > 2.0 * _LOOK_S else steps


def mean_rates_hz(
    source: npt.NDArray[np.uint32], populations: list[tuple[str, int]], duration_s: float
) -> dict[str, float]:
    """Return the mean firing rate of each population."""
    sizes = [size for _, size in populations]
    edges = np.cumsum([0, *sizes])
    counts = np.histogram(source, edges)[0]
    return {
        name: float(count / (size * duration_s)) if duration_s > 0 else 0.0
        for (name, size), count in zip(populations, counts, strict=True)
    }
