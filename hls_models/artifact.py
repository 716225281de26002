"""Writing a neuron model as a directory of C++ for HLS with its test bench and scripts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from csnn.files import MANIFEST_NAME, atomic_directory, require_apart, sha256
from csnn.image.store import tool_versions
from csnn.neurons.registry import default_parameters, resting_state
from csnn.spec import checks
from hls_models import scripts
from hls_models.cpp_library import cpp_library
from hls_models.emit_cpp import Block, header, source
from hls_models.stimulus import DT_MS, WEIGHT_GRID, sections
from hls_models.vectors import DRIVEN, RANDOM, Section, file_content, packed

SCHEMA = "csnn-hls"
VERSION = 1
MAX_STEPS = 100_000
VECTORS = "vectors.bin"


def emit(block: Block, out: Path, *, steps: int = 10_000, seed: int = 1) -> dict[str, Any]:
    """Write a model for HLS.

    Parameters
    ----------
    block : Block
        The model and how many neurons at once.
    out : Path
        Folder, made or replaced as a whole; another kind of artifact is not replaced.
    steps : int
        Steps of the neurons driven by spikes in the test bench; 0 leaves them out.
    seed : int
        Of the vectors.

    Returns
    -------
    dict
        The manifest.

    Raises
    ------
    InvalidInputError
        If a number is out of its range, or `out` cannot be replaced.
    """
    checks.integer("emit", "steps", steps, 0, MAX_STEPS)
    checks.integer("emit", "seed", seed, 0, 2**63 - 1)
    require_apart(out, SCHEMA)
    model = block.model
    neuron = default_parameters(model.name)
    constants = model.constants(neuron, dt_ms=DT_MS, weight_grid=WEIGHT_GRID)
    initial = resting_state(neuron)
    parts = sections(block, packed(model, constants), initial, steps=steps, seed=seed)
    with atomic_directory(out) as folder:
        for name, text in texts(block, parts).items():
            (folder / name).write_text(text, encoding="utf-8")
        (folder / VECTORS).write_bytes(file_content(block, parts))
        manifest = {
            "schema": SCHEMA,
            "version": VERSION,
            "model": model.name,
            "graph_sha256": model.graph.digest(),
            "top": block.top,
            "neurons": block.neurons,
            "pipelines": block.pipelines,
            "operators": {op.value: n for op, n in model.graph.operator_counts().items()},
            "constants": {name: _plain(constants[name]) for name in block.constant_words},
            "states": list(block.state_words),
            "dt_ms": DT_MS,
            "weight_grid": WEIGHT_GRID,
            "seed": seed,
            "vectors": compared(parts),
            "tools": tool_versions(),
        }
        manifest["files"] = {
            path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)}
            for path in sorted(folder.iterdir())
        }
        (folder / MANIFEST_NAME).write_text(json.dumps(manifest, indent=1) + "\n")
    return manifest


def texts(block: Block, parts: list[Section]) -> dict[str, str]:
    """Return the text files of a directory by name."""
    name = block.model.name
    return {
        **cpp_library(),
        f"{name}.h": header(block),
        f"{name}.cpp": source(block, f"{name}.h"),
        "bench.cpp": scripts.bench(block),
        "Makefile": scripts.makefile(block),
        "csynth.tcl": scripts.vitis(block),
        "README.md": scripts.readme(block, described(compared(parts))),
    }


def compared(parts: list[Section]) -> dict[str, int]:
    """Return how much the sections of a test bench hold."""
    random = [part for part in parts if part.kind == RANDOM]
    driven = [part for part in parts if part.kind == DRIVEN]
    return {
        "random_neuron_steps": sum(part.spikes.size for part in random),
        "random_spikes": sum(int(part.spikes.sum()) for part in random),
        "driven_steps": sum(len(part.spikes) for part in driven),
        "driven_neurons": max((part.spikes.shape[1] for part in driven), default=0),
        "driven_spikes": sum(int(part.spikes.sum()) for part in driven),
    }


def described(vectors: dict[str, int]) -> str:
    """Return the same for people."""
    text = f"{vectors['random_neuron_steps']:,} steps from random words"
    if vectors["driven_steps"]:
        text += (
            f", {vectors['driven_steps']:,} steps of {vectors['driven_neurons']} neurons driven "
            f"by spikes, in which they spiked {vectors['driven_spikes']:,} times"
        )
    return text


def _plain(value: np.float32 | np.int32) -> float | int:
    return float(value) if isinstance(value, np.float32) else int(value)
