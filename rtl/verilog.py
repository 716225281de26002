"""Verilog text of components."""

from __future__ import annotations

from amaranth.back import verilog
from amaranth.lib.wiring import Component


def to_verilog(component: Component, name: str = "top") -> str:
    """Return a component as Verilog; its ports are those of its signature, `clk` and `rst`.

    Parameters
    ----------
    component : Component
    name : str
        Name of the module.
    """
    # Source locations would make the text, and what is built from it, depend on where it was made.
    return verilog.convert(component, name=name, emit_src=False, strip_internal_attrs=True)
