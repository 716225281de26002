"""What the ranks of a test's MPI job run: `python tests/mpi_program.py WHAT IMAGE OUT`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from csnn.cli.program import _main
from csnn.errors import InvalidInputError
from csnn.image import store
from csnn.image.store import open_image
from csnn.mpi import team as teams
from csnn.progress import set_quiet
from csnn.simulator.divided import DividedSimulator
from csnn.simulator.division import open_divided
from csnn.simulator.exchange import Exchange
from csnn.simulator.fast import CompiledNodes
from csnn.simulator.recording import Recording, join
from csnn.simulator.session import simulate, simulate_parts
from csnn.simulator.state import MachineState

STEPS = 90
LEG = 33
FAULT_STEP = 41
FAULTS = ("lost", "late", "wrong source", "twice")


def recorded(n_neurons: int) -> list[int]:
    """Return neurons of several ranks, out of order."""
    return [int(part * n_neurons) for part in (0.99, 0.0, 0.5, 0.33)]


def save(path: Path, recording: Recording, state: MachineState) -> None:
    words = {field.name: np.asarray(getattr(state, field.name)) for field in fields(state)}
    words["n"] = words.pop("step")
    np.savez(
        path,
        step=recording.step,
        source=recording.source,
        traces=recording.traces,
        events=recording.events,
        **words,
    )


def equal(team: teams.Team, image: Path, out: Path) -> int:
    """Run images with several numbers of threads and rooms, in two simulators each."""
    for threads, places in ((1, None), (2, 1)):
        for path in sorted(image.iterdir()):
            opened = open_divided(path, team)
            options: dict[str, Any] = {
                "threads": threads,
                "places": places,
                "record": recorded(opened.n_neurons),
            }
            first = DividedSimulator(opened, team, **options)
            before = first.run(LEG)
            longer = first.longer_exchanges()
            second = DividedSimulator(opened, team, state=first.state(), **options)
            recording = join([before, second.run(STEPS - LEG)])
            save(out / f"{path.name}-{threads}.npz", recording, second.state())
            # The second collective took place, on all ranks at once.
            assert len(set(longer)) == 1
            assert (longer[0] > 0) == (places == 1)
    return 0


def plant(team: teams.Team, fault: str) -> None:
    """Spoil what this rank, the last one, receives."""
    if team.rank != team.size - 1:
        return
    honest = Exchange._call
    stale = {}

    def spoilt(self: Exchange, stage: int) -> int:
        code = honest(self, stage)
        full = np.flatnonzero(self.received[: team.rank, 0])
        spoilt_before = "done" in stale
        if fault == "late":
            now = self.received.copy()
            self.received[: team.rank] = stale.get("words", 0 * now)[: team.rank]
            stale["words"] = now
        elif len(full) and not spoilt_before:
            row = self.received[full[0]]
            if fault == "lost":
                row[0] -= 1
            elif fault == "twice":
                row[0] += 1
                row[row[0]] = row[1]
            else:
                row[1] += 1
            stale["done"] = True
        return code

    Exchange._call = spoilt  # type: ignore[method-assign]


def faults(team: teams.Team, image: Path, out: Path) -> int:
    """Run an image once for every planted fault."""
    honest = Exchange._call
    for fault in FAULTS:
        team.call(plant, fault)
        opened = open_divided(image, team)
        simulator = DividedSimulator(opened, team, record=recorded(opened.n_neurons))
        save(out / f"{fault}.npz", simulator.run(STEPS), simulator.state())
        team.call(restore)
    assert Exchange._call is honest
    return 0


HONEST = Exchange._call


def restore(team: teams.Team) -> None:
    Exchange._call = HONEST  # type: ignore[method-assign]


def strike(team: teams.Team, blow: str) -> None:
    """Let the last rank break in its fortieth exchange."""
    if team.rank != team.size - 1:
        return
    calls = [0]

    def broken(self: Exchange, stage: int) -> int:
        calls[0] += 1
        if calls[0] == 40:
            if blow == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            elif blow == "exit":
                os._exit(7)
            self.error = InvalidInputError("no words left")
            return 1
        return HONEST(self, stage)

    Exchange._call = broken  # type: ignore[method-assign]


def struck(blow: str) -> Callable[[teams.Team, Path, Path], int]:
    def program(team: teams.Team, image: Path, out: Path) -> int:
        opened = open_divided(image, team)
        team.call(strike, blow)
        simulator = DividedSimulator(opened, team)
        (out / "started").touch()
        simulator.run(STEPS)
        (out / "finished").touch()
        return 0

    return program


def press(team: teams.Team, number: int, where: str) -> None:
    """Let every rank feel a signal in its fortieth exchange, or as it first tells its state."""
    calls = [0]

    def feel(at: int) -> None:
        calls[0] += 1
        if calls[0] == at:
            os.kill(os.getpid(), number)

    def exchanging(self: Exchange, stage: int) -> int:
        feel(40)
        return HONEST(self, stage)

    tell = CompiledNodes.state

    def telling(self: CompiledNodes) -> MachineState:
        feel(1)
        return tell(self)

    if where == "step":
        Exchange._call = exchanging  # type: ignore[method-assign]
    else:
        CompiledNodes.state = telling  # type: ignore[method-assign]


def interrupted(number: int, where: str) -> Callable[[teams.Team, Path, Path], int]:
    def program(team: teams.Team, image: Path, out: Path) -> int:
        """Run a session that is interrupted, then another from where it stopped."""
        opened = open_divided(image, team)
        set_quiet(True)
        options: dict[str, Any] = {"time_ms": STEPS * 0.1, "record": recorded(opened.n_neurons)}
        team.call(press, number, where)
        parts = list(simulate_parts(opened, team=team, period_steps=50, **options))
        last = parts[-1]
        assert not last.complete
        assert 40 <= last.last_step < STEPS
        rest = simulate(opened, team=team, start=last.state, **options)
        assert rest.complete
        whole = join([part.recording for part in (*parts, rest)])
        save(out / "whole.npz", whole, rest.state)
        return 0

    return program


def watch(team: teams.Team) -> None:
    """Note every node file that this rank maps or checks."""
    opened = team.kept["opened"] = []
    checked = team.kept["checked"] = []
    reads, checks = store.read_node, store.sha256

    def read(path: Path) -> Any:
        opened.append(path.name)
        return reads(path)

    def check(path: Path) -> str:
        checked.append(Path(path).name)
        return checks(path)

    store.read_node, store.sha256 = read, check


def opened_files(team: teams.Team) -> tuple[set[str], set[str]]:
    """Return the node files that this rank has mapped, and those that it has checked."""
    opened, checked = (
        {name for name in team.kept[what] if name.startswith("node_")}
        for what in ("opened", "checked")
    )
    return opened, checked


def reading(team: teams.Team, image: Path, out: Path) -> int:
    """Require that a rank reads and checks the files of its own nodes, and no other rank's."""
    team.call(watch)
    opened = open_divided(image, team)
    simulator = DividedSimulator(opened, team)
    simulator.run(5)
    simulator.state()
    require_own(team, opened.n_nodes)
    return 0


def resuming(team: teams.Team, network: Path, out: Path) -> int:
    """Require the same of `csnn run --resume`, for which the image is checked."""
    team.call(watch)
    code = _main(
        ["run", str(network), "--record", "104,0,50", "--resume", "--mpi", "--out", str(out)], team
    )
    require_own(team, open_image(out / "image", nodes=()).n_nodes)
    return code


def require_own(team: teams.Team, n_nodes: int) -> None:
    """Require of every rank that it has mapped and checked its nodes' files, and no others."""
    found = team.call(opened_files)
    for rank, (opened, checked) in enumerate(found):
        wanted = {store.node_file(k) for k in range(rank, n_nodes, team.size)}
        assert opened == checked == wanted, (rank, opened, checked)


def altered(team: teams.Team, image: Path, out: Path) -> int:
    """Open an image of which a file that rank 0 does not read is damaged."""
    DividedSimulator(open_divided(image, team), team)
    return 0


PROGRAMS: dict[str, Callable[[teams.Team, Path, Path], int]] = {
    "equal": equal,
    "faults": faults,
    "killed": struck("killed"),
    "exit": struck("exit"),
    "error": struck("error"),
    **{
        f"{number.name} in a {where}": interrupted(number, where)
        for number in (signal.SIGINT, signal.SIGTERM)
        for where in ("step", "state")
    },
    "reading": reading,
    "resuming": resuming,
    "altered": altered,
}

if __name__ == "__main__":
    # Functions that are called travel by name: as those of a module that every rank can import.
    import mpi_program

    # A background job of a script is started to ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    chosen = mpi_program.PROGRAMS[sys.argv[1]]
    places = [Path(argument) for argument in sys.argv[2:]]
    sys.exit(teams.run(lambda team: chosen(team, *places)))
