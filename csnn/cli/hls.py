"""The command that writes neuron models as C++ for high-level synthesis."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from csnn.cli.console import MISMATCH, OK, answer
from csnn.cli.options import add_command


def add_emit_hls(kinds: Any) -> None:
    """Add `csnn emit hls`."""
    hls = add_command(
        kinds, "hls", _emit_hls, "write a neuron model as C++ for Vitis HLS, with a test bench",
        """
  csnn emit hls lif --check --out out/lif""",
    )  # fmt: skip
    hls.add_argument("model", metavar="MODEL", help="name of a neuron model, such as lif")
    hls.add_argument("--neurons", type=int, default=256, metavar="N",
                     help="most neurons of a block (default 256)")  # fmt: skip
    hls.add_argument("--pipelines", type=int, default=1, metavar="N",
                     help="neurons that enter in one cycle (default 1; a node has 8)")  # fmt: skip
    hls.add_argument("--steps", type=int, default=10_000, metavar="N",
                     help="steps of spike-driven neurons in the test bench "
                     "(default 10000: 1 s of model time)")  # fmt: skip
    hls.add_argument("--seed", type=int, default=1, metavar="N",
                     help="of the test bench's vectors (default 1)")  # fmt: skip
    hls.add_argument("--check", action="store_true",
                     help="build the test bench with the C++ compiler and run it")  # fmt: skip
    hls.add_argument("--out", required=True, metavar="DIR", help="output directory")


def _emit_hls(options: argparse.Namespace) -> int:
    from csnn.neurons.registry import named
    from hls_models import artifact, build
    from hls_models.emit_cpp import Block

    model = named(options.model, "MODEL")
    block = Block(model=model, neurons=options.neurons, pipelines=options.pipelines)
    if options.check:
        # Without a compiler nothing is written.
        build.compiler()
    out = Path(options.out)
    manifest = artifact.emit(block, out, steps=options.steps, seed=options.seed)
    lines = [
        f"{out}: {model.name} as C++, {block.top} for up to {block.neurons} neurons",
        f"vectors: {artifact.described(manifest['vectors'])}",
    ]
    content = {"out": str(out), **manifest}
    is_equal = True
    if options.check:
        is_equal, said = build.run_bench(out)
        content["check"] = {"equal": is_equal, "said": said}
        lines.append(f"{Path(build.compiler()).name}: {said}")
    answer(options, content, lines)
    return OK if is_equal else MISMATCH
