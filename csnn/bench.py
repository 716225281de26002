"""Figures of merit: generation time, image size, speed and memory, beside NEST's where it is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from csnn.errors import InvalidInputError
from csnn.image.store import Image
from csnn.memory import peak_mb
from csnn.oracle.experiment import require_lif
from csnn.oracle.nest import expected_synapses, is_installed, run_network
from csnn.progress import Progress, progress
from csnn.simulator.session import simulate
from csnn.spec.description import Description
from csnn.spec.machine import Run
from csnn.spec.network import Network


def bench(
    description: Description,
    run: Run,
    make_image: Callable[[Description, int, Path, int], Image],
    folder: Path,
    *,
    nest_time_ms: float | None,
) -> dict[str, Any]:
    """Generate, simulate and measure.

    Parameters
    ----------
    description : Description
    run : Run
        Its times, seed and threads are used.
    make_image : callable
        `make_image(description, seed, path, threads)`.
    folder : Path
        Where the image goes.
    nest_time_ms : float or None
        Model time for NEST, after a warm-up of 50 ms; None leaves NEST out.

    Returns
    -------
    dict
        `generate_s`, `image_mb` (10^6 bytes of node files), `rtf` (wall seconds per model second
        after the warm-up), `peak_mb` (10^6 bytes resident, this process), `events_per_s`, what they
        were measured on, and the same under `nest` (None where NEST is absent, left out or without
        means for the network; `nest_note` says which). NEST keeps its network in memory only: its
        `image_mb` is the memory that building the network took, and its `generate_s` ends with the
        sorting of connections before the first step.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C: figures of a part of the run would mislead.
    """
    image = make_image(description, run.seed, folder, run.threads)
    session = simulate(image, time_ms=run.time_ms, warmup_ms=run.warmup_ms, threads=run.threads)
    if not session.complete:
        raise KeyboardInterrupt
    nest, note = _bench_nest(description.network, run, nest_time_ms)
    return {
        "network": image.manifest["network"],
        "neurons": image.n_neurons,
        "synapses": image.manifest["synapses"],
        "threads": run.threads,
        "time_ms": run.time_ms,
        "warmup_ms": run.warmup_ms,
        "generate_s": image.manifest["generate_s"],
        "image_mb": image.node_bytes / 1e6,
        "load_s": session.load_s,
        "rtf": session.simulate_s / (run.time_ms * 1e-3),
        "peak_mb": peak_mb(),
        "events_per_s": session.recording.events / session.simulate_s,
        "nest": nest,
        "nest_note": note,
    }


def _bench_nest(
    network: Network, run: Run, time_ms: float | None
) -> tuple[dict[str, Any] | None, str]:
    """Return NEST's figures, or None and why there are none."""
    if time_ms is None:
        return None, ""
    if not is_installed():
        return None, "NEST is not installed: pip install 'csnn[nest]' adds its figures"
    if network.edges is not None:
        return None, "no figures of NEST: networks from edge lists are left out"
    try:
        # Before NEST's own process starts, where a refusal would be a failure of NEST.
        for population in network.populations:
            require_lif(f"population {population.name}.neuron", population.neuron)
        with ExitStack() as bars:
            outcome = run_network(
                network,
                time_ms=time_ms,
                warmup_ms=50.0,
                seed=1 + run.seed % (2**32 - 1),
                threads=run.threads,
                progress=_stages(bars),
            )
    except InvalidInputError as error:
        return None, f"no figures of NEST: {error}"
    sizes = [population.size for population in network.populations]
    spikes = np.histogram(outcome.source, np.cumsum([0, *sizes]))[0]
    events = sum(
        count * _outdegree(network, population.name)
        for count, population in zip(spikes, network.populations, strict=True)
    )
    figures = {
        "version": outcome.version,
        "threads": outcome.threads,
        "time_ms": time_ms,
        "generate_s": outcome.create_s + outcome.connect_s + outcome.prepare_s,
        "image_mb": outcome.network_mb,
        "rtf": outcome.simulate_s / (time_ms * 1e-3),
        "peak_mb": outcome.peak_mb,
        "events_per_s": float(events) / outcome.simulate_s,
    }
    return figures, ""


def _stages(bars: ExitStack) -> Callable[[str, float], None]:
    """Return a callback that shows one bar per stage."""
    now: dict[str, tuple[Progress, int]] = {}

    def show(stage: str, fraction: float) -> None:
        if stage not in now:
            bars.close()
            now[stage] = bars.enter_context(progress(100, f"NEST {stage}", "%")), 0
        bar, shown = now[stage]
        now[stage] = bar, round(100 * fraction)
        bar.update(now[stage][1] - shown)

    return show


def _outdegree(network: Network, source: str) -> float:
    """Return the mean number of synapses that leave a neuron of `source`."""
    total = sum(
        expected_synapses(network, projection)
        for projection in network.projections
        if projection.source == source
    )
    return float(total) / network.population(source).size
