"""The figures of `csnn bench`, from measurements of round numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from commands import network_file, succeed

import csnn.bench
import csnn.oracle._nest_network
import csnn.run
import netgen.build
from csnn.image.store import Image
from csnn.oracle.nest import NetworkRun
from csnn.simulator.session import Session

# 30 spikes of E, 10 of I, 5 of P.
NEST_SOURCES = [*range(30), *range(80, 90), *range(100, 105)]
NEST_RUN = NetworkRun(
    step=np.arange(1, 46, dtype=np.uint32),
    source=np.array(NEST_SOURCES, dtype=np.uint32),
    n_synapses=1360,
    threads=3,
    create_s=1.0,
    connect_s=20.0,
    prepare_s=300.0,
    warmup_s=4000.0,
    simulate_s=0.5,
    network_mb=34.5678,
    peak_mb=1234.56,
    version="3.10.0",
)
# Synapses that leave a neuron of E: indegree 10, and a tenth of the 20 neurons of I; then of I.
NEST_EVENTS = 30 * (10 * 80 + 160) / 80 + 10 * 400 / 20
assert NEST_EVENTS == 560.0

TABLE = """\
small: 105 neurons, {synapses} synapses, 1 threads
                                  csnn     NEST 3.10.0
generation, s                  1,234.5           321.0
image, MB *           {image:>16}          34.568
wall s per model s               12.50           25.00
peak memory, MB                  256.0         1,234.6
synaptic events / s         12,000,000           1,120
* NEST has no image: memory that building the network took
"""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Replace what measures; return what NEST is asked for, and the images, as they come."""
    asked: list[dict[str, Any]] = []
    generate, simulate = netgen.build.generate, csnn.bench.simulate

    def generated(*arguments: Any, **options: Any) -> Image:
        image = generate(*arguments, **options)
        image.manifest["generate_s"] = 1234.5
        asked.append({"image": image})
        return image

    def simulated(*arguments: Any, **options: Any) -> Session:
        done = simulate(*arguments, **options)
        recording = replace(done.recording, events=9_000_000)
        return replace(done, recording=recording, load_s=7.0, warmup_s=9.0, simulate_s=0.75)

    def run_network(network: Any, **options: Any) -> NetworkRun:
        asked.append({name: options[name] for name in ("time_ms", "warmup_ms", "seed", "threads")})
        options["progress"]("simulate", 1.0)
        return NEST_RUN

    monkeypatch.setattr("netgen.build.generate", generated)
    monkeypatch.setattr("csnn.bench.simulate", simulated)
    monkeypatch.setattr("csnn.bench.run_network", run_network)
    monkeypatch.setattr("csnn.bench.is_installed", lambda: True)
    monkeypatch.setattr("csnn.bench.peak_mb", lambda: 256.0)
    return asked


def test_every_figure_follows_from_what_was_measured(
    network: Path, asked: list[dict[str, Any]]
) -> None:
    figures = succeed("bench", network, "--nest-time-ms", "20", "--json").json
    image, request = asked
    # NEST's seeds begin with 1.
    assert request == {"time_ms": 20.0, "warmup_ms": 50.0, "seed": 4, "threads": 1}
    files = image["image"].manifest["files"]
    node_bytes = sum(file["bytes"] for name, file in files.items() if name.startswith("node_"))
    assert figures == {
        "network": "small",
        "neurons": 105,
        "synapses": image["image"].manifest["synapses"],
        "threads": 1,
        "time_ms": 60.0,
        "warmup_ms": 20.0,
        "generate_s": 1234.5,
        "image_mb": node_bytes / 1e6,
        "load_s": 7.0,
        "rtf": 12.5,
        "peak_mb": 256.0,
        "events_per_s": 12e6,
        "nest": {
            "version": "3.10.0",
            "threads": 3,
            "time_ms": 20.0,
            "generate_s": 321.0,
            "image_mb": 34.5678,
            "rtf": 25.0,
            "peak_mb": 1234.56,
            "events_per_s": 1120.0,
        },
        "nest_note": "",
    }


def test_the_table_prints_the_figures(network: Path, asked: list[dict[str, Any]]) -> None:
    outcome = succeed("bench", network, "--nest-time-ms", "20", "--quiet")
    manifest = asked[0]["image"].manifest
    image_mb = f"{manifest['node_bytes'] / 1e6:.3f}"
    table = TABLE.format(synapses=f"{manifest['synapses']:,}", image=image_mb)
    assert outcome.out == table
    # Without NEST there is one column, and nothing to explain.
    rows = [line[:38] for line in table.splitlines()[1:-1]]
    own = succeed("bench", network, "--no-nest", "--quiet").out
    assert own.splitlines()[1:] == [row.replace("MB *", "MB  ") for row in rows]


def test_memory_of_nest_is_in_millions_of_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = tmp_path / "status"
    status.write_text("Name:\tnest\nVmHWM:\t  500000 kB\nVmRSS:\t  250000 kB\n")
    monkeypatch.setattr("csnn.oracle._nest_network.Path", lambda path: status)
    memory_mb = csnn.oracle._nest_network._memory_mb
    assert (memory_mb("VmRSS"), memory_mb("VmHWM")) == (256.0, 512.0)
    status.unlink()
    usage = SimpleNamespace(ru_maxrss=250_000)
    monkeypatch.setattr("csnn.oracle._nest_network.resource.getrusage", lambda who: usage)
    assert memory_mb("VmHWM") == 256.0


@pytest.mark.parametrize(
    ("neuron", "found"),
    [
        ('model = "adex"', "adex with exp kernels, cuba"),
        ('kernel = "alpha"', "lif with alpha kernels, cuba"),
    ],
)
def test_models_that_nest_is_not_asked_for(
    neuron: str, found: str, tmp_path: Path, asked: list[dict[str, Any]]
) -> None:
    """Our figures are told all the same, and why there are none of NEST's."""
    path = network_file(tmp_path, ("[machine]", f"[neuron]\n{neuron}\n\n[machine]"))
    arguments = ("bench", path, "--nest-time-ms", "20")
    figures = succeed(*arguments, "--json").json
    assert [list(entry) for entry in asked] == [["image"]]
    assert figures["rtf"] == 12.5
    assert figures["nest"] is None
    assert figures["nest_note"] == (
        f"no figures of NEST: population E.neuron = '{found}': the oracle knows only LIF with "
        "exponential currents"
    )
    lines = succeed(*arguments, "--quiet").out.splitlines()
    assert "csnn" in lines[1]
    assert "NEST" not in lines[1]
    assert " ".join(lines[-2:]) == figures["nest_note"]
