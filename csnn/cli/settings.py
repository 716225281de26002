"""What options say, as descriptions and settings of a run."""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from csnn.errors import InvalidInputError, located, reject
from csnn.integer_lists import parse_integers
from csnn.spec.builtin import BUILTINS, build, nearest
from csnn.spec.description import Description
from csnn.spec.machine import Run
from csnn.spec.network import Network
from csnn.spec.toml import load


def _given(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    values = {name: getattr(options, name, None) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def read_description(options: argparse.Namespace) -> Description:
    """Build the description from NETWORK and the options of network and machine.

    Its run is the file's own: an image does not depend on how it is to be run.
    """
    scaling = _given(options, "scale", "n_scale", "k_scale", "columns")
    name = options.network
    if name in BUILTINS:
        description = Description(network=build(name, scaling))
    else:
        path = Path(name)
        if not path.exists():
            hint = nearest(name, tuple(BUILTINS))
            raise InvalidInputError(f"{name}: no such file or built-in network; {hint}")
        if scaling:
            raise reject(f"--{next(iter(scaling)).replace('_', '-')}", next(iter(scaling.values())),
                         "is for built-in networks only; set it in the file")  # fmt: skip
        description = load(path)
    machine = _given(options, "partition", "n_nodes", "row_layout")
    if not machine:
        return description
    return dataclasses.replace(
        description, machine=dataclasses.replace(description.machine, **machine)
    )


def read_run(options: argparse.Namespace, settings: Run) -> Run:
    """Return `settings` with what the options say otherwise."""
    run = _given(options, "time_ms", "warmup_ms", "seed", "threads")
    record = getattr(options, "record", None)
    if record is not None:
        run["record"] = parse_integers("--record", record)
    return dataclasses.replace(settings, **run)


@contextmanager
def blamed(options: argparse.Namespace) -> Iterator[None]:
    """Name the description file in errors about what it describes."""
    try:
        yield
    except InvalidInputError as error:
        field = re.match(
            r"(?:population|projection) \w|(?:network|machine|run|edges)\.(\w+)", str(error)
        )
        on_command_line = field is not None and getattr(options, field[1] or "", None) is not None
        if field is None or on_command_line or options.network in BUILTINS:
            raise
        raise located(options.network, error) from None


def check_run(run: Run, network: Network) -> None:
    """Refuse times and recorded neurons that do not fit the network, before anything is made."""
    from csnn.simulator.recording import check_recorded
    from csnn.simulator.session import run_steps

    run_steps(run.time_ms, run.warmup_ms, network.dt_ms)
    check_recorded(run.record, network.size)
