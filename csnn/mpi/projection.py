"""What more ranks would cost: a projection from measured parts, not a measurement.

    python -m csnn.mpi.projection --step-us 300 --latency-us 2 --bandwidth-GBs 12

Every rank holds a network of its own size whose neurons have the same in-degree whatever the number
of ranks (weak scaling). A step of a rank then takes

    step_us                                     its own neurons and events, as measured on one rank
    + spikes of all ranks * spike_ns            looking each of them up, most of them in vain
    + ceil(log2 ranks) * latency                Allgather by recursive doubling (alpha)
    + (ranks - 1) * message / bandwidth         what one rank receives (beta)

The message has a fixed size. Where a rank's spikes would often not fit (mean + 4 standard
deviations of Poisson numbers), a second collective is counted in every step. Ranks are taken to be
equally loaded, the network to be free of contention, and nothing to be computed during the
exchange.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict, dataclass, fields

from csnn.errors import reject
from csnn.integer_lists import parse_integers
from csnn.mpi.options import program
from csnn.simulator.exchange import message_places

_WORD_BYTES = 4
# Of a source, a rank keeps where its rows begin, how many are vectors, and their events, for each
# shard (16 bytes), and room for its spike in three lists.
_SOURCE_BYTES = 28
# Products of what lies between have a meaning, and are no infinities.
_LEAST, _MOST = 1e-9, 1e12
DEFAULT_RANKS = (1, 2, 4, 8, 16, 64, 256, 1024, 4096)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a projection rests on.

    Attributes
    ----------
    neurons : int
        Neurons of each rank.
    rate_hz : float
        Their mean rate.
    dt_ms : float
        Duration of a step.
    step_us : float
        Wall time of a step on one rank, without any exchange.
    spike_ns : float
        Wall time to look up a spike that has next to no rows in the rank.
    latency_us : float
        Of a message of a few bytes between two ranks.
    bandwidth_GBs : float
        Of what a rank receives, 10^9 bytes per second.

    Raises
    ------
    InvalidInputError
        If one is not a number from 1e-9 to 1e12, or of neurons less than 1.
    """

    neurons: int = 77_169
    rate_hz: float = 3.5
    dt_ms: float = 0.1
    step_us: float
    spike_ns: float
    latency_us: float
    bandwidth_GBs: float

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            least = 1 if field.name == "neurons" else _LEAST
            if not least <= value <= _MOST:
                rule = f"must be from {least:g} to {_MOST:g}"
                raise reject(f"--{field.name.replace('_', '-')}", value, rule)


@dataclass(frozen=True)
class Projection:
    """The parts of a step on `ranks` ranks, in microseconds, and the memory of sources in MB."""

    ranks: int
    neurons: int
    compute_us: float
    lookup_us: float
    latency_us: float
    transfer_us: float
    step_us: float
    rtf: float
    efficiency: float
    sources_mb: float


def project(machine: Machine, ranks: int) -> Projection:
    """Return what a step takes on `ranks` ranks of a machine.

    Raises
    ------
    InvalidInputError
        If `ranks` is not positive.
    """
    if ranks < 1:
        raise reject("--ranks", ranks, "must be at least 1")
    spikes = machine.neurons * machine.rate_hz * machine.dt_ms * 1e-3
    places = message_places(machine.neurons)
    words = 1.0 + places
    collectives = 1
    if spikes + 4.0 * math.sqrt(spikes) > places:
        collectives = 2
        words += max(spikes - places, 0.0)
    others = ranks - 1
    lookup = others * spikes * machine.spike_ns * 1e-3
    latency = collectives * math.ceil(math.log2(ranks)) * machine.latency_us
    transfer = others * words * _WORD_BYTES / (machine.bandwidth_GBs * 1e3)
    step = machine.step_us + lookup + latency + transfer
    return Projection(
        ranks=ranks,
        neurons=ranks * machine.neurons,
        compute_us=machine.step_us,
        lookup_us=lookup,
        latency_us=latency,
        transfer_us=transfer,
        step_us=step,
        rtf=step / (machine.dt_ms * 1e3),
        efficiency=machine.step_us / step,
        sources_mb=ranks * machine.neurons * _SOURCE_BYTES / 1e6,
    )


def lines(projections: list[Projection]) -> list[str]:
    """Return a table."""
    rows = [f"{'ranks':>6}{'neurons':>14}{'own':>9}{'look up':>9}{'latency':>9}{'transfer':>10}"
            f"{'step':>9}{'rtf':>8}"]  # fmt: skip
    rows += [
        f"{p.ranks:>6}{p.neurons:>14,}{p.compute_us:>9.1f}{p.lookup_us:>9.1f}{p.latency_us:>9.1f}"
        f"{p.transfer_us:>10.1f}{p.step_us:>9.1f}{p.rtf:>8.2f}"
        for p in projections
    ]
    return [*rows, "microseconds per step; a projection, not a measurement"]


def main(arguments: list[str] | None = None) -> int:
    """Print a projection; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m csnn.mpi.projection",
        description="Project the time of a step to many ranks.",
        allow_abbrev=False,
    )
    parser.add_argument("--neurons", type=int, default=77_169, help="of each rank")
    parser.add_argument("--rate-hz", type=float, default=3.5, help="mean rate of a neuron")
    parser.add_argument("--dt-ms", type=float, default=0.1, help="duration of a step")
    parser.add_argument("--step-us", type=float, required=True, help="of one rank alone")
    parser.add_argument("--spike-ns", type=float, required=True, help="to look up a spike")
    parser.add_argument("--latency-us", type=float, required=True, help="between two ranks")
    parser.add_argument(
        "--bandwidth-GBs", dest="bandwidth_GBs", type=float, required=True, help="into a rank"
    )
    parser.add_argument(
        "--ranks", default=",".join(map(str, DEFAULT_RANKS)), help="list, such as 1,64,4096"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = vars(parser.parse_args(arguments))
    as_json = options.pop("json")

    def body() -> int:
        ranks = parse_integers("--ranks", options.pop("ranks"), least=1)
        machine = Machine(**options)
        projections = [project(machine, number) for number in ranks]
        if as_json:
            content = {"machine": asdict(machine), "steps": [asdict(p) for p in projections]}
            print(json.dumps(content, indent=1, allow_nan=False))
        else:
            print("\n".join(lines(projections)))
        return 0

    return program(body)


if __name__ == "__main__":
    raise SystemExit(main())
