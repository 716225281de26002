"""cocotb simulations by Verilator: building, with the project's cache, and running."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

import cocotb_tools.config
from cocotb_tools.runner import get_results, get_runner

from csnn.cache import cache_folder
from rtl.verilator_build import (
    build_digest,
    cached_file,
    compile_cpp,
    run_tool,
    runtime_objects,
    verilator,
)

_FLAGS = (
    *("--cc", "-O3", "-Wno-fatal", "--x-assign", "fast", "--x-initial", "fast", "--noassert"),
    *("--vpi", "--timescale", "1ns/1ps"),
)
# Whose assertions tell values. By default cocotb has all modules rewritten, scipy too: 8 s.
_REWRITTEN = shlex.quote(str(Path(__file__).parent / "*.py"))

_CLOCK = ("clk",)


def build(verilog: str, public: Iterable[str], *, makes_clock: bool = False) -> Path:
    """Return a folder with the simulation `top` of a design, from the cache if it is there.

    Only the named signals of module `top` can be reached: that all can be, as cocotb's own build
    has it, makes a simulation several times slower.

    Parameters
    ----------
    verilog : str
        Text with a module `top`.
    public : iterable of str
        Its ports, without the clock.
    makes_clock : bool
        Whether it makes its clock itself; else `clk` is a port.
    """
    package = verilator()
    control = "`verilator_config\n" + "".join(
        f'public_flat_rw -module "top" -var "{name}"\n' for name in (*_CLOCK[makes_clock:], *public)
    )
    flags = (*_FLAGS, "--timing" if makes_clock else "--no-timing")
    main = Path(cocotb_tools.config.share_dir) / "lib" / "verilator" / "verilator.cpp"
    libraries = Path(cocotb_tools.config.libs_dir)
    name = build_digest(verilog, control, main.read_text(), str(libraries), *flags)

    def make(folder: Path, built: Path) -> None:
        (folder / "top.v").write_text(verilog)
        (folder / "public.vlt").write_text(control)
        environment = {**os.environ, "VERILATOR_ROOT": str(package)}
        arguments = [package / "bin" / "verilator_bin", *flags, "--Mdir", folder]
        files = folder / "public.vlt", folder / "top.v"
        run_tool([*arguments, "--prefix", "Vtop", "--top-module", "top", *files], environment)
        parts = sorted(path.name for path in folder.glob("*.cpp"))
        (folder / "all.cc").write_text("".join(f'#include "{part}"\n' for part in parts))
        further = ("verilated_vpi", *(("verilated_timing",) if makes_clock else ()))
        objects = runtime_objects(package, ("-DVM_VPI=1",), further)
        linked = [f"-Wl,-rpath,{libraries}", "-L", libraries, "-lcocotbvpi_verilator"]
        compile_cpp(["-I", folder, folder / "all.cc", main, *objects, *linked, "-o", built])

    executable = cached_file(f"cocotb-{name}", make)
    # cocotb looks for a file of the top module's name.
    folder = cache_folder() / f"cocotb-{name}.d"
    folder.mkdir(exist_ok=True)
    link = folder / "top"
    # Another process may be quicker.
    with contextlib.suppress(FileExistsError):
        link.symlink_to(executable)
    return folder


def run(
    build_folder: Path,
    module: str,
    folder: Path,
    *,
    environment: Mapping[str, str] | None = None,
    plusargs: Iterable[str] = (),
) -> tuple[int, int]:
    """Run the cocotb tests of a module; return how many there are and how many failed.

    Parameters
    ----------
    build_folder : Path
        From `build`.
    module : str
        Name of the module with the tests; it can be imported from here.
    folder : Path
        Where the simulation runs and logs.
    """
    results = folder / "results.xml"
    outside = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    kept = dict(os.environ)
    os.environ.clear()
    os.environ.update(outside)
    try:
        get_runner("verilator").test(
            test_module=module,
            hdl_toplevel="top",
            hdl_toplevel_lang="verilog",
            build_dir=build_folder,
            test_dir=folder,
            results_xml=str(results),
            extra_env={"COCOTB_REWRITE_ASSERTION_FILES": _REWRITTEN, **(environment or {})},
            plusargs=list(plusargs),
            log_file=folder / "simulation.log",
        )
    finally:
        os.environ.clear()
        os.environ.update(kept)
    tests, failed = get_results(results)
    return tests, failed
