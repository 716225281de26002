"""Unbounded proofs of properties of components, by Yosys and ABC.

A harness is an Amaranth component around the component that is proven. Its inputs are free, `rst`
among them; a 1-bit output `violated` is what must never be high, each output `reached_<name>` what
must be reachable. Registers start as after power-up, memories with any contents.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from amaranth.hdl import Module, Signal, Value
from amaranth.lib.wiring import Component, Out

from rtl.synthesis import run_yosys
from rtl.verilog import to_verilog

_TO_AIGER = (
    "read_verilog harness.v",
    "hierarchy -top top",
    "proc",
    "flatten",
    # What nothing drives may be anything.
    "setundef -undriven -anyseq",
    "memory -nomap",
    "memory_map -formal",
    "opt -full",
    "techmap",
    "dffunmap",
    "formalff -clk2ff",
    "opt -full",
    "aigmap",
    "design -save whole",
)
# What ABC's commands say of an output that is never high, or not within the cycles asked for.
_NEVER = ("Property proved", "Networks are equivalent", "No output asserted")
VIOLATED = "violated"
REACHED = "reached_"


class Properties:
    """Collects assumptions and what follows from them, for a harness."""

    def __init__(self, m: Module, harness: Component) -> None:
        self._m, self._harness = m, harness
        self._assumed: list[Value] = []
        self._violations: list[Value] = []
        self._reached: dict[str, Value] = {}

    def assume(self, condition: Value) -> None:
        """Consider only what happens while the condition has held in every cycle."""
        self._assumed.append(condition)

    def never(self, condition: Value) -> None:
        """Demand that the condition never holds."""
        self._violations.append(condition)

    def cover(self, name: str, condition: Value) -> None:
        """Demand that the condition can hold."""
        self._reached[name] = condition

    def finish(self) -> None:
        """Drive the outputs of the harness."""
        m = self._m
        now, before = Signal(), Signal(init=1, reset_less=True)
        holds = Signal()
        m.d.comb += now.eq(1)
        for condition in self._assumed:
            narrowed = Signal()
            m.d.comb += narrowed.eq(now & condition)
            now = narrowed
        m.d.comb += holds.eq(now & before)
        m.d.sync += before.eq(holds)
        violation: Value = Signal()
        for condition in self._violations:
            violation = violation | condition.bool()
        m.d.comb += self._harness.violated.eq(violation & holds)
        for name, condition in self._reached.items():
            m.d.comb += getattr(self._harness, f"{REACHED}{name}").eq(condition & holds)


class Prover:
    """A harness as an AIG, and questions about its outputs.

    Parameters
    ----------
    harness : Component
    folder : Path
        Where the files go.
    fault : tuple of str, optional
        A fault to plant in the component, the submodule of the harness: a pattern that occurs in
        its Verilog, and what stands in its place.
    part : str, optional
        Name of the submodule in which the fault is, of several.
    """

    def __init__(
        self,
        harness: Component,
        folder: Path,
        fault: tuple[str, str] | None = None,
        part: str = "",
    ) -> None:
        verilog = to_verilog(harness)
        if fault is not None:
            verilog = _planted(verilog, part, *fault)
        self._folder = folder
        (folder / "harness.v").write_text(verilog, encoding="utf-8")
        outputs = [
            "__".join(map(str, path))
            for path, member, _ in harness.signature.flatten(harness)
            if member.flow is Out
        ]
        self.covers = [name for name in outputs if name.startswith(REACHED)]
        commands = list(_TO_AIGER)
        for name in (VIOLATED, *self.covers):
            others = " ".join(f"w:{other}" for other in outputs if other != name)
            commands += ["design -load whole", f"delete -output {others}", "opt_clean"]
            commands += [f"write_aiger {name}.aig"]
        run_yosys(folder, commands)

    def prove(self, *, by_equivalence: bool = False, seconds: int = 300) -> int | None:
        """Return a cycle, from 0, in which `violated` can be high, None if it never can.

        Parameters
        ----------
        by_equivalence : bool
            By signals that are equal in every cycle, for a model whose arithmetic is that of the
            component; else by property directed reachability.
        seconds : int
            Limit of the latter.
        """
        return self._ask(VIOLATED, "dprove" if by_equivalence else f"pdr -T {seconds}")

    def reach(self, name: str, *, cycles: int = 60, seconds: int = 120) -> int | None:
        """Return the first of so many cycles in which an output can be high, None if in none."""
        return self._ask(name, f"bmc3 -F {cycles} -T {seconds}")

    def _ask(self, name: str, command: str) -> int | None:
        import pyosys

        abc = Path(pyosys.__file__).with_name("yosys-abc")
        script = f"read_aiger {name}.aig; logic; undc; strash; scleanup; {command}"
        done = subprocess.run(
            [abc, "-c", script], cwd=self._folder, capture_output=True, text=True, check=False
        )
        asserted = re.search(r"was asserted in frame (\d+)", done.stdout)
        if asserted:
            return int(asserted[1])
        gave_up = "Resource limit reached" in done.stdout
        if any(text in done.stdout for text in _NEVER) and not gave_up:
            return None
        raise RuntimeError(f"{name}: undecided\n{done.stdout}{done.stderr}")


def _planted(verilog: str, part: str, pattern: str, replacement: str) -> str:
    """Return the text with the pattern replaced in the component's module and its parts."""
    # The component comes first, unless one of several is named.
    name = re.escape(verilog[verilog.index(f"module \\top.{part}") :].split()[1])
    places = 0

    def planted(module: re.Match[str]) -> str:
        nonlocal places
        text, count = re.subn(pattern, replacement, module[0])
        places += count
        return text

    modules = rf"^module {name}[ .(].*?^endmodule"
    changed = re.sub(modules, planted, verilog, flags=re.DOTALL | re.MULTILINE)
    if not places:
        raise ValueError(f"the component has no {pattern!r}")
    return changed
