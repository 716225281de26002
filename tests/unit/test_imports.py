"""The import rules between packages, checked on the syntax tree of every file."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("csnn", "netgen", "rtl", "hls_models")
# What netgen shares with the machine; everything else in csnn is out of its reach.
SHARED = tuple(
    f"csnn.{name}"
    for name in (
        "spec",
        "errors",
        "files",
        "edges",
        "progress",
        "prng",
        "rows",
        "rows_compiled",
        "image",
        "binary32",
        "neurons",
    )
)


@dataclass(frozen=True)
class Import:
    """One imported module or name, as a dotted path."""

    path: str
    line: int
    lazy: bool


def inside(path: str, *packages: str) -> bool:
    return any(path == package or path.startswith(f"{package}.") for package in packages)


def imports(source: str, module: str, *, is_package: bool = False) -> Iterator[Import]:
    """Yield every import of a module: statements at any depth, and calls with a literal name."""

    def visit(node: ast.AST, lazy: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, lazy)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")
                keep = len(parents) - node.level + (1 if is_package else 0)
                base = ".".join(parents[:keep] + ([base] if base else []))
            for alias in node.names:
                yield Import(f"{base}.{alias.name}", node.lineno, lazy)
        elif isinstance(node, ast.Call) and node.args:
            called = ast.unparse(node.func).rsplit(".", 1)[-1]
            first = node.args[0]
            if called in ("import_module", "__import__") and isinstance(first, ast.Constant):
                yield Import(str(first.value), node.lineno, lazy)
        is_function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for child in ast.iter_child_nodes(node):
            yield from visit(child, lazy or is_function)

    yield from visit(ast.parse(source), False)


def broken_rule(module: str, found: Import) -> str | None:
    """Return the rule that this import in `module` breaks, if any."""
    path = found.path
    is_cli = inside(module, "csnn.cli")
    if inside(module, "csnn"):
        if inside(path, "amaranth") and not (is_cli and found.lazy):
            return "csnn imports amaranth only inside functions of csnn.cli"
        if inside(path, "netgen", "rtl", "hls_models") and not is_cli:
            return "of csnn only csnn.cli imports the other packages"
    if inside(module, "csnn.oracle") and inside(path, *PACKAGES):  # noqa: SIM102
        if not inside(path, "csnn.oracle", "csnn.spec", "csnn.errors"):
            return "csnn.oracle imports only csnn.spec and csnn.errors"
    if inside(module, "netgen") and inside(path, *PACKAGES):
        version = path in ("csnn", "csnn.__version__")
        if not version and not inside(path, "netgen", *SHARED):
            return "netgen imports only the shared definitions of csnn"
    if inside(module, "rtl", "hls_models") and inside(path, "csnn.simulator"):
        return "rtl and hls_models never import the reference simulator"
    return None


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def project_sources() -> dict[str, tuple[str, bool]]:
    return {
        module_name(path): (path.read_text(encoding="utf-8"), path.name == "__init__.py")
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    }


def violations(sources: Mapping[str, tuple[str, bool]]) -> list[str]:
    return [
        f"{module}, line {found.line}: imports {found.path}; {rule}"
        for module, (source, is_package) in sources.items()
        for found in imports(source, module, is_package=is_package)
        if (rule := broken_rule(module, found))
    ]


def reached(sources: Mapping[str, tuple[str, bool]], package: str) -> set[str]:
    """Return the modules that importing all of `package` loads, lazy imports left out."""
    waiting = [module for module in sources if inside(module, package)]
    seen: set[str] = set()
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        source, is_package = sources[module]
        for found in imports(source, module, is_package=is_package):
            # The last part may be a name inside the module; the packages above are loaded too.
            parts = found.path.split(".")
            loaded = (".".join(parts[:n]) for n in range(1, len(parts) + 1))
            waiting += [name for name in loaded if name in sources and not found.lazy]
    return seen


def leaks(sources: Mapping[str, tuple[str, bool]]) -> list[str]:
    """Return what netgen and the oracle reach through other modules and should not."""
    far = ("csnn.simulator", "csnn.oracle", "csnn.validation", "csnn.report", "csnn.cli")
    found = [m for m in reached(sources, "netgen") if inside(m, *far)]
    for module in reached(sources, "csnn.oracle"):
        if module != "csnn" and not inside(module, "csnn.oracle", "csnn.spec", "csnn.errors"):
            found.append(module)
    return found


def test_every_file_keeps_the_import_rules() -> None:
    sources = project_sources()
    assert {"csnn", "csnn.errors", "csnn.spec.network", "netgen", "hls_models"} <= set(sources)
    assert violations(sources) == []


def test_nothing_forbidden_is_reached_through_other_modules() -> None:
    assert leaks(project_sources()) == []


def test_the_command_line_starts_without_heavy_modules() -> None:
    heavy = ("amaranth", "matplotlib", "numba", "scipy.stats", "csnn.simulator")
    heavy += ("netgen", "rtl", "hls_models")
    program = "import json, sys, csnn.cli; print(json.dumps([*sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = json.loads(done.stdout)
    assert "csnn.cli.program" in loaded
    assert [name for name in loaded if inside(name, *heavy)] == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("csnn.image.layout", "import amaranth"),
        ("csnn.simulator", "from amaranth.lib import wiring"),
        ("csnn.cli", "import amaranth.hdl"),
        ("csnn.cli.hardware", "import amaranth.hdl"),
        ("csnn.cli", "if True:\n    import amaranth"),
        ("csnn.validation.statistics", "def f():\n    from amaranth import hdl"),
        ("csnn.validation.statistics", "import netgen"),
        ("csnn.report", "def f():\n    import rtl.node"),
        ("csnn.perf", "from hls_models import cost"),
        ("csnn.perf", "import importlib\nimportlib.import_module('hls_models.cost')"),
        ("csnn.client", "import netgen"),
        ("csnn.clients.cli", "import netgen"),
        ("netgen.build", "from csnn import simulator"),
        ("netgen.build", "from csnn.simulator.plain import step"),
        (
            "netgen.build",
            "try:\n    import csnn.oracle.nest as nest\nexcept ImportError:\n    pass",
        ),
        ("netgen.build", "def f():\n    from csnn.validation import statistics"),
        ("netgen.build", "import csnn.report"),
        ("netgen.build", "import csnn.imagery"),
        ("netgen.build", "from rtl import node"),
        ("rtl.node", "from csnn.simulator import blocks"),
        ("hls_models.cost", "import csnn.simulator.plain"),
        ("hls_models.emit_cpp", "def f():\n    from csnn import simulator"),
        ("csnn.oracle.exact", "from csnn.rows import Sampler"),
        ("csnn.oracle.exact", "from ..binary32 import flush"),
        ("csnn.oracle.exact", "from .. import prng"),
        ("csnn.oracle.exact", "__import__('csnn.neurons')"),
    ],
)
def test_planted_violations_are_caught(module: str, source: str) -> None:
    assert len(violations({module: (source, False)})) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("csnn.cli", "def f():\n    import amaranth\n    import netgen.build"),
        ("csnn.cli", "import netgen"),
        ("csnn.cli.runs", "def f():\n    import amaranth\n    import netgen.build"),
        ("netgen.build", "import numpy, csnn\nfrom csnn import __version__\nfrom csnn import rows"),
        ("netgen.build", "from . import alias\nfrom csnn.image.layout import FIELDS"),
        ("rtl.node", "import amaranth\nfrom csnn import prng"),
        (
            "csnn.oracle.exact",
            "import nest\nfrom csnn.spec.network import Network\nfrom . import nest",
        ),
    ],
)
def test_permitted_imports_pass(module: str, source: str) -> None:
    assert violations({module: (source, False)}) == []


def test_relative_imports_of_a_package_start_at_itself() -> None:
    assert [i.path for i in imports("from . import a", "csnn.oracle", is_package=True)] == [
        "csnn.oracle.a"
    ]
    assert [i.path for i in imports("from . import a", "csnn.oracle.exact")] == ["csnn.oracle.a"]


def test_planted_detours_are_caught() -> None:
    clean = {
        "csnn": ("", True),
        "csnn.image": ("import numpy", True),
        "csnn.simulator": ("", True),
        "csnn.oracle": ("from csnn.spec import network", True),
        "csnn.spec": ("", True),
        "csnn.spec.network": ("", False),
        "csnn.rows": ("", False),
        "netgen": ("from csnn.image import layout", True),
    }
    assert leaks(clean) == []
    assert leaks({**clean, "csnn.image": ("from csnn import simulator", True)}) == [
        "csnn.simulator"
    ]
    assert leaks({**clean, "csnn.spec.network": ("import csnn.rows", False)}) == ["csnn.rows"]
