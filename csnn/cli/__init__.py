"""The command line.

A command is two functions in the file of its group, `add_<command>` with its options and the one
that does it, and a line in `program.COMMANDS`:

    networks      generate, show
    runs          run, simulate, validate, report
    export        export edges, export spikes
    hardware      verify, emit, synth
    performance   bench, perf, explore

These use `options` (what several commands share), `settings` (options as descriptions and settings
of a run) and `console` (lines, JSON, exit codes); `documentation` writes docs/cli.md from them.
Heavy modules, `netgen` and `rtl` are imported in the functions that need them, so that `csnn
--help` is quick.
"""

from csnn.cli.program import main

__all__ = ["main"]
