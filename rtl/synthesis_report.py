"""Resources and clocks of a node's components on a device, beside the paper's."""

from __future__ import annotations

import dataclasses
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from csnn.hardware.config import MICROCIRCUIT, SMALL, NodeConfig
from csnn.hardware.devices import DEVICES, Device
from csnn.progress import progress
from rtl.synthesis import ECP5_NODE_ROUTING, Resources, components, route_ecp5, synthesise

# Heittmann et al. (2022), Figure 8A: shares of an XC7Z045.
PAPER = {"luts": 0.49, "registers": 0.27, "dsps": 0.12, "blocks": 0.74}
_TITLES = {"luts": "LUT", "registers": "FF", "dsps": "DSP", "blocks": "block RAM"}
# What placement aims at, in MHz, and further options: for most above what is wanted.
_AIM: tuple[float, tuple[str, ...]] = (180.0, ())
_AIM_OF_NODE = (150.0, ECP5_NODE_ROUTING)
_ROUTED = ("neuron pipeline", "node")


@dataclass(frozen=True)
class Target:
    """A device, and the node that is synthesised for it."""

    device: Device
    config: NodeConfig


TARGETS = {
    "xc7": Target(DEVICES["xc7z045"], MICROCIRCUIT),
    "xcup": Target(DEVICES["xczu9eg"], MICROCIRCUIT),
    "ecp5": Target(DEVICES["lfe5u-85f"], SMALL),
}


@dataclass(frozen=True)
class Synthesised:
    """A component: its resources, and the clock that each seed of the placement reached.

    Attributes
    ----------
    name : str
    resources : Resources
    clocks_MHz : tuple of float
        Empty if it was not routed.
    """

    name: str
    resources: Resources
    clocks_MHz: tuple[float, ...] = ()


@dataclass(frozen=True)
class Report:
    """What synthesis for a target gave."""

    target: str
    components: tuple[Synthesised, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values; shares are those of the device."""
        device = TARGETS[self.target].device
        return {
            "target": self.target,
            "device": device.name,
            "yosys": version("pyosys"),
            "components": {
                one.name: {
                    **dataclasses.asdict(one.resources),
                    "shares": shares(one.resources, device),
                    "clocks_MHz": list(one.clocks_MHz),
                }
                for one in self.components
            },
            "paper_shares": PAPER if self.target == "xc7" else None,
            "notes": list(self.notes()),
        }

    def lines(self) -> Iterator[str]:
        """Yield the report for people, 80 columns wide."""
        target = TARGETS[self.target]
        config = target.config
        yield (
            f"{target.device.name}, Yosys {version('pyosys')}: {config.pipelines} pipelines of "
            f"{config.groups} neurons, {config.rows:,} rows"
        )
        yield ""
        yield f"{'component':<18}" + "".join(f"{title:>15}" for title in _TITLES.values())
        for one in self.components:
            part = shares(one.resources, target.device)
            cells = (f"{getattr(one.resources, name):,.10g}" for name in _TITLES)
            yield (
                f"{one.name:<18}"
                + "".join(
                    f"{cell:>7} {part[name]:>5.1%} "
                    for cell, name in zip(cells, _TITLES, strict=True)
                ).rstrip()
            )
        if self.target == "xc7":
            yield (
                f"{'paper, all of it':<18}"
                + "".join(f"{PAPER[name]:>13.0%}  " for name in _TITLES).rstrip()
            )
        for one in self.components:
            if one.clocks_MHz:
                clocks = ", ".join(f"{clock:.1f}" for clock in one.clocks_MHz)
                yield f"{one.name}: {max(one.clocks_MHz):.1f} MHz (by seed: {clocks})"
        for note in self.notes():
            yield ""
            yield from textwrap.wrap(note, 79)

    def notes(self) -> Iterator[str]:
        """Yield what the figures rest on."""
        if self.target == "ecp5":
            yield (
                "Resources are those of Yosys; clocks are nextpnr's after placement and routing of "
                "the component alone, speed grade 8, worst corner. No board was used."
            )
            return
        yield (
            "Estimates of synthesis by Yosys, without placement and routing. No timing was "
            "measured: open tools have none for this device, and 150 MHz is not demonstrated."
        )
        if self.target == "xc7":
            yield (
                "The paper's figures (Heittmann et al. 2022, Figure 8A) are after placement and "
                "routing and include the router of the mesh, which this node leaves out."
            )


def shares(resources: Resources, device: Device) -> dict[str, float]:
    """Return what part of a device's resources is taken."""
    return {name: getattr(resources, name) / getattr(device, name) for name in _TITLES}


def synthesise_components(target: str, names: Sequence[str], seeds: int) -> Report:
    """Synthesise components for a target, and place and route them on an ECP5.

    Parameters
    ----------
    target : str
        Key of `TARGETS`.
    names : sequence of str
        Keys of `components`; all of them if empty, of which few are routed.
    seeds : int
        Placements of each component that is routed.

    Raises
    ------
    ToolMissingError, ToolFailedError
        If a tool is not there, or fails.
    """
    makers = components(TARGETS[target].config)
    found = []
    with tempfile.TemporaryDirectory(prefix="csnn-synth-") as temporary:
        netlist = Path(temporary) / "netlist.json"
        for name in names or makers:
            is_routed = target == "ecp5" and name in (names or _ROUTED)
            with progress(None, f"synthesise {name}"):
                resources = synthesise(makers[name](), target, netlist if is_routed else None)
            clocks = []
            aim, routing = _AIM_OF_NODE if name == "node" else _AIM
            for seed in range(1, seeds + 1) if is_routed else ():
                with progress(None, f"place and route {name}, seed {seed}"):
                    clocks.append(route_ecp5(netlist, aim, seed, routing))
            reached = tuple(clock for clock in clocks if clock is not None)
            found.append(Synthesised(name, resources, reached))
    return Report(target, tuple(found))
