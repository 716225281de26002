"""The command that explores the hardware of neuron models: initiation intervals, blocks, speed."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from csnn.cli.console import OK, answer
from csnn.cli.options import add_command
from csnn.errors import reject
from csnn.spec import checks

# Lengths of the ODE unit that are modelled; between them the time of a step is interpolated.
_EXTRA_CYCLES = (-24, 0, 64, 128, 256, 512, 1024, 2048, 4096)


def add_dse(commands: Any) -> None:
    """Add `csnn dse`."""
    dse = add_command(
        commands, "dse", _dse, "explore the hardware of neuron models: operators, blocks, speed",
        """
  csnn dse lif adex_exp_coba_rk4 --out out/dse
  csnn dse --operators ours vendor --out out/dse""",
    )  # fmt: skip
    dse.add_argument("models", nargs="*", metavar="MODEL",
                     help="<neuron>_<kernel>_<coupling>_<solver>, such as adex_exp_coba_rk4 "
                     "(default: all, some minutes)")  # fmt: skip
    dse.add_argument("--operators", nargs="+", choices=("ours", "vendor"), default=["ours"],
                     help="whose sizes and latencies (default ours)")  # fmt: skip
    dse.add_argument("--intervals", metavar="LIST", help="initiation intervals to try, such as "
                     "1-8,12,16 (default 1 to 64, the larger ones in steps)")  # fmt: skip
    dse.add_argument("--luts", type=int, default=37_073, metavar="N",
                     help="look-up tables of all blocks (default 37073, the paper's)")  # fmt: skip
    dse.add_argument("--dsps", type=int, default=524, metavar="N",
                     help="multipliers of all blocks (default 524, the paper's)")  # fmt: skip
    speed = dse.add_argument_group("speed of the machine (default: from the paper's mean step)")
    speed.add_argument("--image", metavar="IMAGE", help="image directory: by the performance model")
    speed.add_argument("--run", metavar="DIR", help="of a run of the image, whose spikes it has")
    speed.add_argument("--mesh", metavar="X,Y,Z", help="places of the mesh")
    dse.add_argument("--processes", type=int, default=os.cpu_count() or 1, metavar="N",
                     help="processes (default: as many as processors)")  # fmt: skip
    dse.add_argument("--out", required=True, metavar="DIR", help="output directory")


def _dse(options: argparse.Namespace) -> int:
    from csnn.cli.settings import parse_integers
    from csnn.files import require_apart
    from csnn.neurons.registry import named
    from csnn.progress import progress
    from hls_models import survey_report
    from hls_models.dse import INTERVALS, SIZES, Limits
    from hls_models.survey import REFERENCE, legal_models, projected, survey

    for name in options.models:
        named(name, "MODEL")
    models = legal_models(options.models)
    checks.integer("dse", "luts", options.luts, 1, 10**9)
    checks.integer("dse", "dsps", options.dsps, 1, 10**6)
    checks.integer("dse", "processes", options.processes, 1, 256)
    limits = Limits(luts=options.luts, dsps=options.dsps)
    given = parse_integers("--intervals", options.intervals)
    intervals: Sequence[int] = INTERVALS if given is None else sorted(set(given))
    for interval in intervals:
        checks.integer("dse", "intervals", interval, 1, 4096)
    out = Path(options.out)
    require_apart(out, survey_report.SCHEMA, image=options.image, run=options.run)
    step_us, rests_on = _speed(options)
    entries = []
    total = len(models) * len(options.operators)
    with progress(total, "explore", "models") as bar:
        for entry in survey(
            models, libraries=options.operators, limits=limits, intervals=intervals,
            processes=options.processes,
        ):  # fmt: skip
            entries.append(entry)
            bar.update(1)
    fitting = {e.library for e in entries if e.combination == REFERENCE and e.best}
    judged = [entry for entry in entries if entry.library in fitting]
    projections = projected(judged, step_us, neurons=max(SIZES)) if judged else {}
    manifest = survey_report.write_survey(
        out, entries, projections, sizes=SIZES, projected_for=max(SIZES), limits=limits,
        rests_on=rests_on, command=options.command_line,
    )  # fmt: skip
    lines = [f"{out / 'dse.html'}: {len(models)} models"]
    none = [entry for entry in entries if not entry.best]
    lines += [f"{e.combination.name} by {e.library} operators: {e.refusal}" for e in none]
    lines += [survey_report.answer(name, found) for name, found in manifest["claim"].items()]
    lines.append(f"speed: {rests_on}")
    answer(options, {"out": str(out), **manifest}, lines)
    return OK


def _speed(options: argparse.Namespace) -> tuple[Callable[[float], float], str]:
    """Return the time of a step by the cycles that the ODE unit takes more, and its ground."""
    from hls_models.survey import PAPER_STEP_CYCLES, paper_step_us

    if options.image is None:
        for name in ("run", "mesh"):
            if (value := getattr(options, name)) is not None:
                raise reject(f"--{name}", value, "needs --image")
        said = f"{PAPER_STEP_CYCLES:,.0f} cycles per step with LIF, Heittmann et al. (2022)"
        return paper_step_us, said
    from csnn.perf.arguments import add_perf_options
    from csnn.perf.command import step_by_ode

    parser = argparse.ArgumentParser()
    add_perf_options(parser)
    arguments = [options.image]
    for name in ("run", "mesh"):
        if (value := getattr(options, name)) is not None:
            arguments += [f"--{name}", value]
    times = step_by_ode(parser.parse_args(arguments), _EXTRA_CYCLES)

    def step_us(extra: float) -> float:
        if extra > _EXTRA_CYCLES[-1]:
            # The unit is in the critical path.
            slope = (times[-1] - times[-2]) / (_EXTRA_CYCLES[-1] - _EXTRA_CYCLES[-2])
            return times[-1] + slope * (extra - _EXTRA_CYCLES[-1])
        return float(np.interp(extra, _EXTRA_CYCLES, times))

    return step_us, f"performance model of this machine with the spikes of {options.image}"
