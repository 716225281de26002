"""The protocol from its settings to verdict, report and figures; partial results are kept."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from csnn import journal
from csnn.drawing import to_png
from csnn.files import atomic_file, reported
from csnn.journal import Warn
from csnn.output import encode_json
from csnn.protocol import course, figures, folder, page
from csnn.protocol.computer import describe_computer, describe_software
from csnn.protocol.distances import Distances, among, measure
from csnn.protocol.reference import Reference
from csnn.protocol.seeds import RUN, Candidate, Generate, is_finished, run_seed
from csnn.protocol.settings import Settings
from csnn.protocol.verdict import ProtocolVerdict, judge
from csnn.spec.description import Description
from csnn.validation.statistics import STATISTICS

RESULT_SCHEMA = "csnn-protocol-result"
Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """What a protocol found, and the content of its protocol.json."""

    verdict: ProtocolVerdict
    content: dict[str, Any]
    report: Path


def run_protocol(
    settings: Settings,
    out: str | Path,
    description: Description,
    reference: Callable[[Path], Reference],
    generate: Generate,
    *,
    keep_images: bool = False,
    command: str | None = None,
    tell: Tell = lambda line: None,
    warn: Warn = lambda notes: None,
) -> Outcome:
    """Simulate what is not simulated yet, judge, and write everything.

    Parameters
    ----------
    settings : Settings
    out : str or Path
        Directory; of an earlier, perhaps interrupted, command with the same settings or new.
    description : Description
        The network.
    reference : callable
        Takes a folder for what it wants to keep, and returns what candidates are judged by.
    generate : callable
        `netgen.build.generate`.
    keep_images : bool
        Keep the images of finished seeds.
    command : str, optional
        The command line, to be recorded.
    tell : callable
        Told in a line what is done and how long the rest takes.
    warn : callable
        Takes warnings about damaged files that are passed over.

    Returns
    -------
    Outcome

    Raises
    ------
    InvalidInputError
        If the directory cannot be used, or a stage in it is damaged.
    Unfinished
        If Ctrl-C ended a simulation; what is finished is kept.
    """
    with folder.claimed(out, settings.fixed()) as directory:
        with reported(directory / folder.NEST):
            (directory / folder.NEST).mkdir(exist_ok=True)
        nest = reference(directory / folder.NEST)
        seed_folder = partial(folder.seed_folder, directory)
        windows = [settings.window(nest.duration_ms)]
        if nest.duration_ms < settings.time_ms:
            windows.append(settings.window())
        populations = [(p.name, p.size) for p in description.network.populations]
        done: list[Candidate] = []
        courses: list[course.Course] = []
        for seed in settings.seeds:
            # A journal that is refused is so before anything is simulated.
            journal.is_there(seed_folder(seed) / RUN)
        for seed in settings.seeds:
            candidate = run_seed(
                seed,
                seed_folder(seed),
                settings,
                description,
                generate,
                windows,
                keep_image=keep_images,
                command=command,
                warn=warn,
            )
            done.append(candidate)
            followed = course.follow(
                seed,
                seed_folder(seed),
                candidate.facts["spikes_sha256"],
                settings,
                populations,
                nest,
            )
            if followed is not None:
                courses.append(followed)
            left = [s for s in settings.seeds[len(done) :] if not is_finished(seed_folder(s))]
            tell(_progress(done, len(settings.seeds), len(left)))
            if len(done) < len(settings.seeds):
                content = _content(done, courses, settings, nest, command)[0]
                folder.keep_partial(directory, content)
                folder.write_manifest(directory, settings.fixed())
        return _conclude(directory, done, courses, settings, nest, command)


def _progress(done: Sequence[Candidate], wanted: int, left: int) -> str:
    """Say how far a protocol is that has `left` of its `wanted` seeds to simulate."""
    last = done[-1]
    text = f"seed {last.seed}, {len(done)} of {wanted}: "
    text += "already simulated" if last.reused else f"done in {duration(last.spent_s)}"
    if left:
        text += f"; about {duration(left * sum(c.work_s for c in done) / len(done))} left"
    return text


def duration(seconds: float) -> str:
    """Return a time for people: its two largest units."""
    minutes, rest = divmod(math.ceil(seconds), 60)
    if minutes < 1:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _content(
    done: Sequence[Candidate],
    courses: Sequence[course.Course],
    settings: Settings,
    nest: Reference,
    command: str | None,
) -> tuple[dict[str, Any], ProtocolVerdict, Distances]:
    """Return what protocol.json holds of the seeds that are done, their verdict and distances."""
    distances = measure([c.windows[0] for c in done], nest)
    verdict = judge(distances, nest, tuple(c.seed for c in done))
    followed = course.summary(courses, nest)
    verdict = verdict.failed_for(course.reasons(followed))
    verdict = replace(verdict, notes=(*verdict.notes, *_mixed(done)))
    content = {
        "schema": RESULT_SCHEMA,
        "version": folder.VERSION,
        "complete": len(done) == len(settings.seeds),
        "command": command,
        "date": time.strftime("%Y-%m-%d"),
        "settings": {
            "variant": settings.variant,
            "seeds": list(settings.seeds),
            "threads": settings.threads,
            **settings.fixed(),
        },
        "machine": describe_computer(),
        "tools": describe_software(),
        "populations": [name for name, _ in nest.baseline.populations],
        "statistics": list(STATISTICS),
        "reference": {
            "recipe": settings.recipe.reference,
            "note": nest.note,
            "realisations": list(nest.origin),
            "windows": [int(seed) for seed in nest.baseline.window_seed],
        },
        "seeds": [{"seed": c.seed, **c.facts} for c in done],
        "distances": {
            "candidate_nest": distances.to_nest.tolist(),
            "candidate_candidate": distances.among.tolist(),
            "nest_nest": distances.nest.tolist(),
        },
        "whole": _whole(done, settings, nest),
        "course": followed,
        "verdict": verdict.to_dict(),
    }
    return content, verdict, distances


def _mixed(done: Sequence[Candidate]) -> tuple[str, ...]:
    """Return a note if seeds are known to come from more than one state of the code."""
    tools = [(c.facts["made"] or {}).get("tools") for c in done]
    # Whatever stands in these files: they have no digest.
    states = {f"{t.get('csnn')} {t.get('commit')}" for t in tools if isinstance(t, dict)}
    if len(states) < 2:
        return ()
    return (
        f"the seeds were simulated by {len(states)} versions of csnn; which, says `made` of each "
        "seed in protocol.json",
    )


def _whole(done: Sequence[Candidate], settings: Settings, nest: Reference) -> dict[str, Any] | None:
    """Return the distances of candidates over all of their runs, if NEST covers a part only."""
    if len(done[0].windows) < 2:
        return None
    names = [name for name, _ in nest.baseline.populations]
    found = None
    if len(done) > 1:
        pairs = among([c.windows[1] for c in done], names)
        i, j = np.triu_indices(len(done), 1)
        each = pairs[:, :, i, j]
        found = {
            statistic: [each[s].min(axis=1).tolist(), each[s].max(axis=1).tolist()]
            for s, statistic in enumerate(STATISTICS)
        }
    return {"duration_ms": settings.time_ms, "candidate_candidate": found}


def _conclude(
    directory: Path,
    done: Sequence[Candidate],
    courses: Sequence[course.Course],
    settings: Settings,
    nest: Reference,
    command: str | None,
) -> Outcome:
    content, verdict, distances = _content(done, courses, settings, nest, command)
    images = {
        "distances": to_png(figures.distance_overview(verdict, distances)),
        "distributions": to_png(figures.distributions([c.windows[0] for c in done], nest)),
    }
    if content["course"] is not None:
        images["course"] = to_png(figures.course(content["course"]))
    with reported(directory / folder.FIGURES):
        (directory / folder.FIGURES).mkdir(exist_ok=True)
    files = {f"{folder.FIGURES}/{name}.png": png for name, png in images.items()}
    files[folder.RESULT] = encode_json(content)
    files[folder.REPORT] = page.render(content, verdict, images).encode()
    with ExitStack() as stack:
        for name, written in files.items():
            stack.enter_context(atomic_file(directory / name)).write_bytes(written)
    folder.write_manifest(directory, settings.fixed())
    return Outcome(verdict=verdict, content=content, report=directory / folder.REPORT)
