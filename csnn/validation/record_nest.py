"""Makes recordings of the microcircuit in NEST for `csnn validate --protocol pd14 --nest`."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from csnn.errors import CsnnError, reject
from csnn.files import atomic_file
from csnn.oracle.nest import NetworkRun, run_network
from csnn.simulator.session import run_steps
from csnn.spec.pd14 import DT_MS, pd14

SHORTEST_MS = 2000.0
INTERRUPTED = 130


def record(
    path: Path,
    *,
    seed: int,
    time_ms: float,
    warmup_ms: float = 500.0,
    threads: int = 4,
    scale: float = 1.0,
) -> NetworkRun:
    """Simulate the microcircuit in NEST and write its spikes.

    Parameters
    ----------
    path : Path
        File to write: arrays `sender` (neuron from 0) and `step` (NEST's time over 0.1 ms, warm-up
        counted), uint32, and `timing`, a JSON text.
    seed : int
        NEST's, from 1 to 2^32 - 1.
    time_ms, warmup_ms : float
        Recorded time, and discarded time before it.
    threads : int
        Of NEST; the realisation depends on them.
    scale : float
        Of numbers of neurons and in-degrees.

    Returns
    -------
    NetworkRun

    Raises
    ------
    InvalidInputError
        If an argument is out of range, or the file cannot be written.
    ToolMissingError, ToolFailedError
        If NEST is not installed, or fails.
    """
    if not time_ms >= SHORTEST_MS:
        raise reject("--time-ms", time_ms, f"must be {SHORTEST_MS:g} or more, as the protocol asks")
    run_steps(time_ms, warmup_ms, DT_MS)

    def tell(stage: str, fraction: float) -> None:
        print(f"\r{stage}: {fraction:4.0%}", end="", file=sys.stderr, flush=True)

    # Whether the file can be written is known before hours of work.
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        run = run_network(
            pd14(n_scale=scale, k_scale=scale),
            time_ms=time_ms,
            warmup_ms=warmup_ms,
            seed=seed,
            threads=threads,
            progress=tell if sys.stderr.isatty() else None,
        )
        told = asdict(run)
        timing = {
            "seed": seed,
            "T_ms": time_ms,
            "warmup_ms": warmup_ms,
            "scale": scale,
            "bg": "poisson",
            "threads": run.threads,
            "nest": run.version,
            "nsyn": run.n_synapses,
            "sim_s": run.simulate_s,
            "rtf": run.simulate_s / (time_ms / 1000),
            **{name: told[name] for name in ("create_s", "connect_s", "warmup_s", "peak_mb")},
        }
        np.savez_compressed(
            file, step=run.step, sender=run.source, timing=np.array(json.dumps(timing))
        )
    return run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m csnn.validation.record_nest",
        description="Simulate the cortical microcircuit in NEST and record its spikes.",
    )
    parser.add_argument("out", type=Path, metavar="FILE", help="recording to write (npz)")
    parser.add_argument("--seed", type=int, required=True, metavar="N", help="seed of NEST")
    parser.add_argument("--time-ms", type=float, default=10_000.0, metavar="MS",
                        help="recorded time (10000)")  # fmt: skip
    parser.add_argument("--warmup-ms", type=float, default=500.0, metavar="MS",
                        help="time before it (500)")  # fmt: skip
    parser.add_argument("--threads", type=int, default=4, metavar="N", help="of NEST (4)")
    parser.add_argument("--scale", type=float, default=1.0, metavar="X",
                        help="of neurons and in-degrees (1, what is judged)")  # fmt: skip
    options = parser.parse_args(arguments)
    # As Ctrl-C does, a request to end takes NEST and the half-written file along.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        run = record(
            options.out,
            seed=options.seed,
            time_ms=options.time_ms,
            warmup_ms=options.warmup_ms,
            threads=options.threads,
            scale=options.scale,
        )
    except CsnnError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted; nothing is kept", file=sys.stderr)
        return INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)
    print(f"{options.out}: {run.step.size} spikes of {run.n_synapses} synapses, "
          f"{run.connect_s:.0f} s to connect, {run.simulate_s:.0f} s to simulate, "
          f"{run.peak_mb:,.0f} MB")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
