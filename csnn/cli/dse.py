"""The command that explores the hardware of neuron models: initiation intervals, blocks, speed."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from csnn.cli.console import OK, answer, wrap
from csnn.cli.options import add_command
from csnn.errors import reject
from csnn.spec import checks

if TYPE_CHECKING:
    from hls_models.survey import Entry, Speeds


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
    speed = dse.add_argument_group(
        "speed of the machine by the performance model, beside that by the paper's mean step"
    )
    speed.add_argument("--image", metavar="IMAGE", help="image directory")
    speed.add_argument("--run", metavar="DIR", help="of a run of the image, whose spikes it has")
    speed.add_argument("--mesh", metavar="X,Y,Z", help="places of the mesh")
    dse.add_argument("--processes", type=int, default=os.cpu_count() or 1, metavar="N",
                     help="processes (default: as many as processors)")  # fmt: skip
    dse.add_argument("--out", required=True, metavar="DIR", help="output directory")


def _dse(options: argparse.Namespace) -> int:
    from csnn.files import require_apart
    from csnn.integer_lists import parse_integers
    from csnn.neurons.registry import named
    from csnn.progress import progress
    from hls_models import survey_report
    from hls_models.dse import INTERVALS, SIZES, Limits
    from hls_models.schedule import MAX_II
    from hls_models.survey import REFERENCE, legal_models, survey

    for name in options.models:
        named(name, "MODEL")
    models = legal_models(options.models)
    checks.integer("dse", "luts", options.luts, 1, 10**9)
    checks.integer("dse", "dsps", options.dsps, 1, 10**6)
    checks.integer("dse", "processes", options.processes, 1, 256)
    limits = Limits(luts=options.luts, dsps=options.dsps)
    intervals: Sequence[int] = INTERVALS
    if options.intervals is not None:
        intervals = sorted(set(parse_integers("--intervals", options.intervals)))
    for interval in intervals:
        checks.integer("dse", "intervals", interval, 1, MAX_II)
    out = Path(options.out)
    require_apart(out, survey_report.SCHEMA, image=options.image, run=options.run)
    modelled = _modelled(options)
    entries = []
    operators = list(dict.fromkeys(options.operators))
    total = len(models) * len(operators)
    with progress(total, "explore", "models") as bar:
        for entry in survey(
            models, libraries=operators, limits=limits, intervals=intervals,
            processes=options.processes,
        ):  # fmt: skip
            entries.append(entry)
            bar.update(1)
    fitting = {e.library for e in entries if e.combination == REFERENCE and e.best}
    judged = [entry for entry in entries if entry.library in fitting]
    speeds = _speeds(judged, modelled, options.image, max(SIZES)) if judged else []
    manifest = survey_report.write_survey(
        out, entries, speeds, sizes=SIZES, projected_for=max(SIZES), limits=limits,
        command=options.command_line,
    )  # fmt: skip
    lines: list[str] = []
    none = [entry for entry in entries if not entry.best]
    lines += [f"{e.combination.name} by operators {e.library}: {e.refusal}" for e in none]
    lines += survey_report.answers(speeds, entries)
    page = f"{out / 'dse.html'}: {len(models)} models"
    answer(options, {"out": str(out), **manifest}, [page, *wrap(lines)])
    return OK


def _modelled(
    options: argparse.Namespace,
) -> tuple[Callable[[Sequence[int]], list[float]], float] | None:
    """Return the performance model, and the image's step in ms; None if it is not wanted.

    The model gives mean steps in us by lengths of the ODE unit.
    """
    if options.image is None:
        for name in ("run", "mesh"):
            if (value := getattr(options, name)) is not None:
                raise reject(f"--{name}", value, "needs --image")
        return None
    from csnn.image.store import open_image
    from csnn.neurons.lif import LIF
    from csnn.perf.arguments import add_perf_options
    from csnn.perf.command import step_by_ode
    from hls_models.survey import REFERENCE

    image = open_image(options.image)
    model = image.manifest["model"]
    if model not in (LIF.name, REFERENCE.name):
        rule = f"an image of {model}: what models add is added to {LIF.name} or {REFERENCE.name}"
        raise reject("--image", options.image, rule)
    parser = argparse.ArgumentParser()
    add_perf_options(parser)
    arguments = [options.image]
    for name in ("run", "mesh"):
        if (value := getattr(options, name)) is not None:
            arguments += [f"--{name}", value]
    return step_by_ode(parser.parse_args(arguments)), image.dt_ms


def _speeds(
    entries: Sequence[Entry],
    modelled: tuple[Callable[[Sequence[int]], list[float]], float] | None,
    image: str | None,
    neurons: int,
) -> list[Speeds]:
    """Return what the models do to the speed, by each account that there is."""
    from hls_models import survey

    def account(
        name: str, step_us: Callable[[float], float], rests_on: str, dt_ms: float
    ) -> Speeds:
        found = survey.projected(entries, step_us, neurons=neurons, dt_ms=dt_ms)
        return survey.Speeds(account=name, rests_on=rests_on, of=found)

    cycles, mhz = survey.PAPER_STEP_CYCLES, survey.PAPER_CLOCK_MHZ
    rests_on = f"{cycles:,.0f} cycles per step with LIF at {mhz:g} MHz, Heittmann et al. (2022)"
    found = [account("paper", survey.paper_step_us, rests_on, survey.PAPER_DT_MS)]
    if modelled is not None:
        extras = survey.extra_cycles(entries, neurons)
        lengths = survey.modelled_lengths(extras.values())
        step_by_ode, dt_ms = modelled
        steps_us = step_by_ode(lengths)
        rests_on = (
            f"performance model of this machine with the spikes of {image}, "
            f"{steps_us[lengths.index(0)]:.3f} us per step with LIF; ODE unit longer by "
            f"{', '.join(map(str, lengths))} cycles, linear from each to the next, as T_{neurons} "
            "is longer than LIF's whatever the image's nodes hold"
        )
        found.append(account("model", survey.interpolated(lengths, steps_us), rests_on, dt_ms))
    return found
