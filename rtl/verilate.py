"""Components compiled by Verilator into shared libraries that Python drives cycle by cycle.

Python hands over whole arrays of
inputs and gets arrays of outputs, one element per clock cycle. A port of up to 64 bits is an array
of shape (cycles,); a wider one has shape (cycles, words), lowest 64 bits first.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import numpy.typing as npt
from amaranth.hdl import Value
from amaranth.lib.wiring import Component, In

from rtl.verilator_build import build_library
from rtl.verilog import to_verilog

U64 = npt.NDArray[np.uint64]


def to_words(values: Iterable[int], width: int) -> U64:
    """Return integers of a port of more than 64 bits as words, shape (n, words)."""
    size = 8 * _words(width)
    data = b"".join(value.to_bytes(size, "little") for value in values)
    return np.frombuffer(data, dtype="<u8").astype(np.uint64).reshape(-1, size // 8)


def from_words(words: U64) -> list[int]:
    """Return the integers that words of shape (n, words) make, lowest word first."""
    return [int.from_bytes(row.tobytes(), "little") for row in words.astype("<u8")]


def _words(width: int) -> int:
    return -(-width // 64)


class Verilated:
    """A component in a Verilator simulation.

    Ports of nested interfaces are named as in the Verilog, `input__payload` for instance.

    Parameters
    ----------
    component : Component
    verilog : str, optional
        The component as Verilog; without it, it is converted.
    change : callable, optional
        Changes the Verilog before it is compiled.
    added : tuple of str
        Inputs that the change adds.

    Raises
    ------
    ToolMissingError, ToolFailedError
        If Verilator or the C++ compiler is not there, or fails.
    """

    def __init__(
        self,
        component: Component,
        *,
        verilog: str | None = None,
        change: Callable[[str], str] = lambda verilog: verilog,
        added: tuple[str, ...] = (),
    ) -> None:
        self.inputs: list[str] = []
        self.outputs: list[str] = []
        self._widths = dict.fromkeys(("rst", *added), 1)
        for path, member, value in component.signature.flatten(component):
            name = "__".join(str(part) for part in path)
            (self.inputs if member.flow is In else self.outputs).append(name)
            self._widths[name] = len(Value.cast(value))
        self.inputs += [*added, "rst"]
        self._streams = [
            name.removesuffix("__valid")
            for name in self.inputs
            if name.endswith("__valid") and f"{name.removesuffix('__valid')}__ready" in self.outputs
        ]
        text = change(to_verilog(component) if verilog is None else verilog)
        self._library = ctypes.CDLL(str(build_library({"top": text}, self._harness())))
        self._library.create.restype = ctypes.c_void_p
        self._top = ctypes.c_void_p(self._library.create())

    def _harness(self) -> str:
        drive = "".join(_copy(name, i, self._widths[name]) for i, name in enumerate(self.inputs))
        read = "".join(
            _copy(name, i, self._widths[name], out=True) for i, name in enumerate(self.outputs)
        )
        offer, taken = "", ""
        for i, name in enumerate(self._streams):
            valid, payload = (self.inputs.index(f"{name}__{part}") for part in ("valid", "payload"))
            words = _words(self._widths[f"{name}__payload"])
            offer += (
                f"    if (counts[{i}] >= 0) {{\n"
                f"      held[{i}] = held[{i}] || (in[{valid}][t] && next[{i}] < counts[{i}]);\n"
                f"      in[{valid}][t] = held[{i}];\n"
                f"      if (held[{i}])\n"
                f"        for (int k = 0; k < {words}; ++k)\n"
                f"          in[{payload}][{words} * t + k] = items[{i}][{words} * next[{i}] + k];\n"
                "    }\n"
            )
            ready = self.outputs.index(f"{name}__ready")
            taken += (
                f"    if (held[{i}] && out[{ready}][t]) {{ held[{i}] = false; ++next[{i}]; }}\n"
            )
        size = len(self._streams) + 1
        return (
            '#include "Vtop.h"\n#include <cstdint>\n'
            'extern "C" {\n'
            "void* create() { auto* top = new Vtop; top->clk = 0; return top; }\n"
            "void destroy(void* handle) { delete static_cast<Vtop*>(handle); }\n"
            "void run(void* handle, std::size_t cycles, std::uint64_t* const* in,\n"
            "         std::uint64_t* const* out, const std::uint64_t* const* items,\n"
            "         const std::int64_t* counts) {\n"
            "  auto* top = static_cast<Vtop*>(handle);\n"
            f"  bool held[{size}] = {{}};\n  std::int64_t next[{size}] = {{}};\n"
            "  for (std::size_t t = 0; t < cycles; ++t) {\n"
            f"{offer}{drive}    top->clk = 0;\n    top->eval();\n{read}{taken}"
            "    top->clk = 1;\n    top->eval();\n  }\n}\n}\n"
        )

    def run(
        self,
        inputs: Mapping[str, npt.ArrayLike],
        streams: Mapping[str, npt.ArrayLike] | None = None,
    ) -> dict[str, U64]:
        """Drive all inputs, one element per cycle, and return all outputs before each clock edge.

        Parameters
        ----------
        inputs : mapping of port to array_like, shape (cycles,) or (cycles, words)
            All inputs; `rst`, the reset, may be left out.
        streams : mapping of stream to array_like, shape (items,) or (items, words), optional
            Payloads that an input stream offers in order. Its `valid` in `inputs` then says in
            which cycles a new one may be offered; it stays until it is taken, or until the end.

        Returns
        -------
        dict of port to ndarray of uint64, shape (cycles,) or (cycles, words)
            The outputs, and `valid` and `payload` of the streams as they were driven.
        """
        streams = streams or {}
        cycles = len(np.asarray(next(iter(inputs.values()))))
        given = {"rst": np.zeros(cycles, dtype=np.uint64), **inputs}
        for name in streams:
            given[f"{name}__payload"] = np.zeros(self._shape(f"{name}__payload", cycles))
        columns = [np.array(given[name], dtype=np.uint64, order="C") for name in self.inputs]
        for name, column in zip(self.inputs, columns, strict=True):
            if column.shape != self._shape(name, cycles):
                raise ValueError(f"{name} has shape {column.shape}")
        results = [np.empty(self._shape(name, cycles), dtype=np.uint64) for name in self.outputs]
        items = [
            np.ascontiguousarray(streams.get(name, ()), dtype=np.uint64) for name in self._streams
        ]
        counts = [
            len(item) if name in streams else -1
            for name, item in zip(self._streams, items, strict=True)
        ]
        self._library.run(
            self._top,
            ctypes.c_size_t(cycles),
            _pointers(columns),
            _pointers(results),
            _pointers(items),
            (ctypes.c_int64 * len(counts))(*counts),
        )
        driven = {
            f"{name}__{part}": columns[self.inputs.index(f"{name}__{part}")]
            for name in streams
            for part in ("valid", "payload")
        }
        return dict(zip(self.outputs, results, strict=True)) | driven

    def _shape(self, name: str, cycles: int) -> tuple[int, ...]:
        words = _words(self._widths[name])
        return (cycles,) if words == 1 else (cycles, words)

    def __del__(self) -> None:
        if hasattr(self, "_top"):
            self._library.destroy(self._top)


def _copy(name: str, column: int, width: int, out: bool = False) -> str:
    """Return the C++ that copies element t of a column to a port, or back."""
    port = f"top->{name.replace('__', '___05F')}"  # Verilator's spelling
    words, array = _words(width), "out" if out else "in"
    if words == 1:
        element = f"{array}[{column}][t]"
        return f"    {element} = {port};\n" if out else f"    {port} = {element};\n"
    text = ""
    for part in range(words if out else -(-width // 32)):
        if out:
            high = f"(std::uint64_t){port}[{2 * part + 1}] << 32 | " * (64 * part + 32 < width)
            text += f"    out[{column}][{words} * t + {part}] = {high}{port}[{2 * part}];\n"
        else:
            word = f"in[{column}][{words} * t + {part // 2}]"
            text += f"    {port}[{part}] = (std::uint32_t)({word} >> {part % 2 * 32});\n"
    return text


def _pointers(columns: list[U64]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(columns))(*(column.ctypes.data for column in columns))
