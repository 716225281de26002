"""The directory of a model or a search: figures, data, and a manifest with their digests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.figure import Figure

from csnn import output
from csnn.drawing import write_svg
from csnn.files import MANIFEST_NAME, atomic_directory, sha256
from csnn.image.store import Image, tool_versions


def write_folder(
    out: Path, image: Image, schema: str, version: int, *, figures: Mapping[str, Figure],
    content: Mapping[str, Mapping[str, Any]],
    arrays: Mapping[str, Mapping[str, npt.NDArray[np.generic]]],
) -> None:  # fmt: skip
    """Write figures as SVG, content as JSON, arrays as .npz, by name, in place of what was there.

    Parameters
    ----------
    out : Path
    image : Image
        What they are of; the manifest has its digest.
    schema : str
    version : int
    figures, content, arrays : mapping of str
        By the names of the files, without their endings.
    """
    # Marks inside an SVG are random otherwise, and equal figures differ.
    with atomic_directory(out) as folder, rc_context({"svg.hashsalt": schema}):
        for name, figure in figures.items():
            write_svg(figure, folder / f"{name}.svg")
        for name, values in arrays.items():
            output.write_arrays(folder / f"{name}.npz", values)
        for name, entries in content.items():
            text = json.dumps(entries, indent=1, allow_nan=False)
            (folder / f"{name}.json").write_text(text + "\n")
        manifest = {
            "schema": schema,
            "version": version,
            "image_digest": image.digest,
            "tools": tool_versions(),
            "files": {
                path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)}
                for path in sorted(folder.iterdir())
            },
        }
        (folder / MANIFEST_NAME).write_text(json.dumps(manifest, indent=1) + "\n")
