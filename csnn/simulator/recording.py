"""What a simulation yields: spikes, and traces of chosen neurons."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from csnn.errors import reject

U32 = npt.NDArray[np.uint32]


@dataclass(frozen=True, eq=False)
class Recording:
    """Spikes and traces of consecutive steps.

    Attributes
    ----------
    step, source : ndarray of uint32, shape (spikes,)
        Step (from 1) and global neuron number of each spike, in order of steps, then neurons.
    traces : ndarray of uint32, shape (steps, words, recorded neurons)
        For each step: the state words after it (binary32), then the synaptic input of the step
        (excitatory with external spikes, inhibitory; grid units).
    events : int
        Synaptic events that were delivered.
    """

    step: U32
    source: U32
    traces: U32
    events: int

    def first_difference(self, other: Recording) -> str | None:
        """Describe the first spike or traced word that differs from `other`; None if none does."""
        n = min(len(self.step), len(other.step))
        differs = (self.step[:n] != other.step[:n]) | (self.source[:n] != other.source[:n])
        at = int(differs.argmax()) if differs.any() else n
        if at < n or len(self.step) != len(other.step):
            mine, theirs = _spike(self, at), _spike(other, at)
            return f"spike {at}: {mine} and {theirs}"
        if self.traces.shape != other.traces.shape:
            return f"traces: shapes {self.traces.shape} and {other.traces.shape}"
        if not np.array_equal(self.traces, other.traces):
            step, word, neuron = (int(i) for i in np.argwhere(self.traces != other.traces)[0])
            a, b = self.traces[step, word, neuron], other.traces[step, word, neuron]
            return f"trace at step offset {step}, word {word}, neuron {neuron}: {a:#x} and {b:#x}"
        return None


def _spike(recording: Recording, at: int) -> str:
    if at >= len(recording.step):
        return "no spike"
    return f"neuron {recording.source[at]} at step {recording.step[at]}"


def join(parts: list[Recording]) -> Recording:
    """Concatenate recordings of consecutive steps."""
    if not parts:
        raise ValueError("nothing to join")
    return Recording(
        np.concatenate([part.step for part in parts]),
        np.concatenate([part.source for part in parts]),
        np.concatenate([part.traces for part in parts]),
        sum(part.events for part in parts),
    )


def check_recorded(neurons: npt.ArrayLike, n_neurons: int) -> npt.NDArray[np.int64]:
    """Return the neurons to trace as an array, after checking that they exist."""
    chosen = np.atleast_1d(np.asarray(neurons, dtype=np.int64))
    if chosen.size and (chosen.min() < 0 or chosen.max() >= n_neurons):
        bad = chosen[(chosen < 0) | (chosen >= n_neurons)][0]
        raise reject("run.record", int(bad), f"must be a neuron number below {n_neurons}")
    return chosen
