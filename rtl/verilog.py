"""Verilog text of components."""

from __future__ import annotations

import re

from amaranth.back import verilog
from amaranth.lib.wiring import Component

_ZERO_WORD = re.compile(r"^    \S+\[\d+\] = \d+'h0+;\n", re.MULTILINE)
_EMPTY_BLOCK = re.compile(r"^  initial begin\n  end\n", re.MULTILINE)


def to_verilog(component: Component, name: str = "top") -> str:
    """Return a component as Verilog; its ports are those of its signature, `clk` and `rst`.

    Memories are not initialised with zeros, word by word: a node's would fill a hundred thousand
    lines, and nothing reads a word before it was written.

    Parameters
    ----------
    component : Component
    name : str
        Name of the module.
    """
    # Source locations would make the text, and what is built from it, depend on where it was made.
    text = verilog.convert(component, name=name, emit_src=False, strip_internal_attrs=True)
    return _EMPTY_BLOCK.sub("", _ZERO_WORD.sub("", text))
