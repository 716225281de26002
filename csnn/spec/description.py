"""What a description file holds: a network, the machine it is compiled for, and a run."""

from __future__ import annotations

from dataclasses import dataclass

from csnn.spec import checks
from csnn.spec.machine import Machine, Run
from csnn.spec.network import Network


@dataclass(frozen=True, kw_only=True)
class Description:
    """A network with its machine and run; the latter two have defaults for everything."""

    network: Network
    machine: Machine = Machine()
    run: Run = Run()

    def __post_init__(self) -> None:
        checks.instance("description", "network", self.network, Network)
        checks.instance("description", "machine", self.machine, Machine)
        checks.instance("description", "run", self.run, Run)
