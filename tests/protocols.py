"""Protocols of a small network, whose "NEST" are runs of the machine with other seeds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from csnn.protocol.command import run_protocol
from csnn.protocol.nest import read_recordings
from csnn.protocol.reference import recorded_reference
from csnn.protocol.settings import Settings
from csnn.simulator.session import simulate
from csnn.spec.description import Description
from csnn.spec.pd14 import pd14
from netgen.build import generate

SCALE, TIME_MS = 0.05, 2000.0


def network(**changes) -> Description:
    return Description(network=pd14(n_scale=SCALE, k_scale=SCALE, **changes))


def record(path: Path, seed: int, scratch: Path, time_ms: float = TIME_MS, **changes) -> None:
    """Write a run of the machine as if NEST had made it."""
    image = generate(network(), seed, scratch / "image", threads=1)
    run = simulate(image, time_ms=time_ms, warmup_ms=500.0, threads=1).recording
    timing = {"seed": seed, "T_ms": time_ms, "scale": SCALE, "bg": "poisson", **changes}
    np.savez(path, sender=run.source, step=run.step, timing=np.array(json.dumps(timing)))


def settings(*seeds: int, **changes) -> Settings:
    return Settings(**{"seeds": seeds, "time_ms": TIME_MS, "threads": 1, **changes})


def run(recordings, out, chosen, description=None, make=generate, **options):
    description = network() if description is None else description
    populations = [(p.name, p.size) for p in description.network.populations]

    def reference(cache):
        found = read_recordings(recordings, scale=SCALE)
        return recorded_reference(found, chosen, populations=populations, cache=cache)

    return run_protocol(chosen, out, description, reference, make, **options)


def never(*arguments, **options):
    raise AssertionError("an image was made that was there")


def less_one_spike(path: Path, folder: Path) -> Path:
    """Return a copy of a recording with one spike less."""
    with np.load(path) as data:
        arrays = {name: data[name] for name in data.files}
    np.savez(folder / path.name, **(arrays | {n: arrays[n][1:] for n in ("step", "sender")}))
    return folder / path.name
