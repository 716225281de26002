"""Verilog for simulation whose registers are left alone while an enable stops them."""

from __future__ import annotations

import re

_MODULE = re.compile(r"^(?=module )", re.MULTILINE)
_REGISTER = re.compile(r"^  always @\(posedge clk\)\n    (.+?) <= (.+?) ?;\n", re.MULTILINE)


def gate_clock(verilog: str, enable: str) -> str:
    """Return a design in which clock edges wake registers only while the enable is high.

    In modules with the input `enable`, every register waits for it already: naming it at the clock
    edge, too, changes nothing but what a simulator has to look at. Verilator leaves out all logic
    between such registers; most of a node rests most of the time.

    Parameters
    ----------
    verilog : str
        From `rtl.verilog.to_verilog`.
    enable : str
        Name of a signal, given to `EnableInserter`.

    Raises
    ------
    ValueError
        If a register of such a module changes without the enable, or there is no such module.
    """
    modules = _MODULE.split(verilog)
    gated = [_gated(module, enable) for module in modules]
    if gated == modules:
        raise ValueError(f"no module waits for {enable}")
    return "".join(gated)


def _gated(module: str, enable: str) -> str:
    if not re.search(rf"^  input {enable} ?;", module, re.MULTILINE):
        return module
    if len(_REGISTER.findall(module)) != module.count("posedge"):
        raise ValueError(f"not every edge is one of a register that could wait for {enable}")

    def edge(found: re.Match[str]) -> str:
        register, following = found.groups()
        waits = re.compile(
            rf"^    {re.escape(following)} +?= {re.escape(register)} ?;\n"
            rf"    if \({enable} ?\) begin\n(?:      .*\n)+    end\n  end\n",
            re.MULTILINE,
        )
        if not waits.search(module):
            raise ValueError(f"register {register} does not wait for {enable}")
        return found.group(0).replace("(posedge clk)", f"(posedge clk iff {enable})")

    return _REGISTER.sub(edge, module)
