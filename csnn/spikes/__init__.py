"""Recorded spikes, their times in ms, and the files of other tools that hold them.

`csnn.recorded.recorded_spikes` reads those of a run; `write` and the `read_*` functions exchange
them as plain arrays (npz), as NEST's recorders write them (nest), as SONATA (extra `csnn[sonata]`)
and as Neo blocks (extra `csnn[neo]`). docs/spikes.md defines the times and describes the files.
"""

from csnn.spikes.files import FORMATS, choose_format, require_format, write
from csnn.spikes.neo import from_neo, read_neo, to_neo, write_neo
from csnn.spikes.nest import read_nest, write_nest
from csnn.spikes.npz import read_npz, write_npz
from csnn.spikes.sonata import read_sonata, write_sonata
from csnn.spikes.times import step_times_ms, time_steps
from csnn.spikes.trains import SpikePopulation, Spikes, numbered

__all__ = [
    "FORMATS",
    "SpikePopulation",
    "Spikes",
    "choose_format",
    "from_neo",
    "numbered",
    "read_neo",
    "read_nest",
    "read_npz",
    "read_sonata",
    "require_format",
    "step_times_ms",
    "time_steps",
    "to_neo",
    "write",
    "write_neo",
    "write_nest",
    "write_npz",
    "write_sonata",
]
