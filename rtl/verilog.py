"""Verilog text of components."""

from __future__ import annotations

import hashlib
import importlib.metadata
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

from amaranth.back import verilog
from amaranth.lib.wiring import Component

from csnn.files import atomic_file

_ZERO_WORD = re.compile(r"^    \S+\[\d+\] = \d+'[hd]0+;\n", re.MULTILINE)
_EMPTY_BLOCK = re.compile(r"^  initial begin\n  end\n", re.MULTILINE)
_MODULE = re.compile(r"^(?=module )", re.MULTILINE)
_INSTANCE = re.compile(r"^  (\\\S+ |\w+) (\S+ *)\($", re.MULTILINE)
_UNIT_PORTS = re.compile(r"^module \\\S+ \([^)]*\);", re.MULTILINE)
# Yosys numbers these throughout a design.
_NUMBERED = re.compile(r"(\\\$auto\$[\w.]+:\d+:\w+)\$\d+")
_CLOCK = re.compile(r"(\w+_)?(clk|rst)")
_SOURCES = ("csnn", "rtl")


def to_verilog(component: Component, name: str = "top") -> str:
    """Return a component as Verilog; its ports are those of its signature, `clk` and `rst`.

    Of modules with the same content one is kept: a neuron pipeline, for instance, is there once.
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
    return _share_modules(_EMPTY_BLOCK.sub("", _ZERO_WORD.sub("", text)))


def _share_modules(text: str) -> str:
    """Return a design in which instances of equal modules are instances of the first of them."""
    head, *modules = _MODULE.split(text)
    contents: dict[str, str] = {}
    for module in modules:
        name, content = module.removeprefix("module ").split("(", 1)
        contents[name.strip()] = _renumbered(_ordered(content.rstrip()))
    while True:
        first: dict[str, str] = {}
        same = {
            name: first[content]
            for name, content in contents.items()
            if first.setdefault(content, name) != name
        }
        if not same:
            break

        # What contains equal modules may become equal by this.
        def instance(found: re.Match[str], same: dict[str, str] = same) -> str:
            name = found.group(1).strip()
            return f"  {_spelled(same.get(name, name))} {found.group(2)}("

        contents = {
            name: _INSTANCE.sub(instance, content)
            for name, content in contents.items()
            if name not in same
        }
    return head + "\n".join(
        f"module {_spelled(name)}({content}\n" for name, content in contents.items()
    )


def merge_units(text: str) -> str:
    """Return a design of one clock as it compiles fastest: each distinct unit once, as a function.

    The ports of units that are equal may be listed in different orders, which makes them differ in
    the text. Verilator copies a unit into everything that contains it unless it is told not to.

    Parameters
    ----------
    text : str
        From `to_verilog`; the first module is the top, whose ports stay in their order.

    Returns
    -------
    str
        A design that behaves the same.
    """
    head, *modules = _MODULE.split(text)
    top = [module for module in modules if not module.startswith("module \\")]
    units = [module for module in modules if module.startswith("module \\")]

    def sorted_ports(module: str) -> str:
        name, content = module.split("(", 1)
        ports, rest = content.split(");", 1)
        names = sorted(port.strip() for port in ports.split(","))
        return f"{name}({', '.join(map(_spelled, names))});{rest}"

    merged = _share_modules(head + "".join([*top, *map(sorted_ports, units)]))
    return _UNIT_PORTS.sub(r"\g<0>\n  /* verilator no_inline_module */", merged)


def _spelled(name: str) -> str:
    """Return a name as it stands in a text: a space ends one that is escaped."""
    return f"{name} " if name.startswith("\\") else name


def _ordered(content: str) -> str:
    """Return a module with several clocks in which these and the resets stand last, by name.

    Amaranth lists its clock domains in any order, another one in every process.
    """
    ports, rest = content.split(");", 1)
    names = [port.strip() for port in ports.split(",")]
    clocks = {name for name in names if _CLOCK.fullmatch(name)}
    if clocks <= {"clk", "rst"}:
        return content
    names = [*(name for name in names if name not in clocks), *sorted(clocks)]
    return f"{', '.join(map(_spelled, names))});{rest}"


def _renumbered(content: str) -> str:
    numbers: dict[str, int] = {}

    def renumber(found: re.Match[str]) -> str:
        number = numbers.setdefault(found.group(0), len(numbers) + 1)
        return f"{found.group(1)}${number}"

    return _NUMBERED.sub(renumber, content)


def cached_verilog(make: Callable[[], Component], key: str, folder: Path, name: str = "top") -> str:
    """Return the Verilog of a component that takes long to elaborate, from a cache if it is there.

    Parameters
    ----------
    make : callable
        Makes the component.
    key : str
        What the component depends on, apart from the sources of the project and Amaranth.
    folder : Path
        The cache.
    name : str
        Name of the module.
    """
    digest = hashlib.sha256(f"{name}\0{key}\0{_sources_digest()}".encode()).hexdigest()[:32]
    path = folder / f"{digest}.v"
    if path.exists():
        return path.read_text(encoding="utf-8")
    text = to_verilog(make(), name)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return text


@cache
def _sources_digest() -> str:
    """Return the digest of every source file that a component may be made from."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256(importlib.metadata.version("amaranth").encode())
    for package in _SOURCES:
        for path in sorted((root / package).rglob("*.py")):
            digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return digest.hexdigest()
