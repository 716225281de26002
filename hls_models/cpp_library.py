"""The C++ that all emitted models share: operations on words, the exponential, the test bench."""

from __future__ import annotations

import textwrap
from pathlib import Path

from csnn import exponential

_FOLDER = Path(__file__).parent / "cpp"
FILES = ("csnn_primitives.h", "csnn_exponential.h", "csnn_bench.h")


def cpp_library() -> dict[str, str]:
    """Return the texts of the shared files by name."""
    texts = {name: (_FOLDER / name).read_text(encoding="utf-8") for name in FILES}
    return {**texts, "csnn_exponential_table.h": exponential_table()}


def exponential_table() -> str:
    """Return the constants of `csnn.exponential` as a C++ header."""
    constants = {
        "ARGUMENT_BITS": exponential.ARGUMENT_BITS,
        "REST_BITS": exponential.REST_BITS,
        "ENTRY_BITS": exponential.ENTRY_BITS,
        "INDEX_BITS": exponential.INDEX_BITS,
        "LARGEST_FIELD": exponential.LARGEST_FIELD,
        "TOP_BITS": exponential.TOP_BITS,
        "INVERSE_BITS": exponential.INVERSE_BITS,
        # Of the significand, so that 1 has ARGUMENT_BITS below it when LARGEST_FIELD is passed by.
        "PLACES": exponential.LARGEST_FIELD - 127 + exponential.ARGUMENT_BITS - 23,
        "ENTRIES": len(exponential.TABLE),
    }
    wide = {
        "LN2": exponential.LN2,
        "INVERSE_LN2": exponential.INVERSE_LN2,
        "MARGIN": exponential.MARGIN,
    }
    entries = textwrap.wrap(", ".join(f"{entry}u" for entry in exponential.TABLE), 96)
    return "\n".join(
        [
            "// Constants and table of csnn.exponential.",
            "#ifndef CSNN_EXPONENTIAL_TABLE_H",
            "#define CSNN_EXPONENTIAL_TABLE_H",
            "",
            "#include <cstdint>",
            "",
            "namespace csnn {",
            "namespace exponential {",
            "",
            *(f"constexpr int {name} = {value};" for name, value in constants.items()),
            *(f"constexpr std::int64_t {name} = {value};" for name, value in wide.items()),
            "",
            "} // namespace exponential",
            "} // namespace csnn",
            "",
            f"// exp(i / ENTRIES) with {exponential.ENTRY_BITS} fraction bits.",
            "#define CSNN_EXPONENTIAL_ENTRIES \\",
            *(f"    {line} \\" for line in entries[:-1]),
            f"    {entries[-1]}",
            "",
            "#endif",
            "",
        ]
    )
