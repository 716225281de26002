"""Audit of the random numbers that a real image uses: `python -m csnn.audit IMAGE`.

What is tested is what the machine consumes: the unrolled rows and the EXT draws of an image, not
the generators as such. `audit` returns a `Verdict`.
"""

from __future__ import annotations

from csnn.audit.algebra import generator_facts
from csnn.audit.external import audit_external
from csnn.audit.overlap import audit_states
from csnn.audit.synapses import audit_rows
from csnn.audit.verdict import Check, Fact, Verdict
from csnn.image.store import NETWORK_FILE, Image
from csnn.spec.toml import load

__all__ = ["Check", "Fact", "Verdict", "audit"]


def audit(image: Image, *, ext_steps: int = 1000) -> Verdict:
    """Audit an image.

    Parameters
    ----------
    image : Image
    ext_steps : int
        Steps of external input to draw.

    Returns
    -------
    Verdict
    """
    network = load(image.path / NETWORK_FILE).network
    verdict = Verdict()
    verdict.facts += generator_facts()
    audit_states(image, verdict)
    audit_rows(image, network, verdict)
    audit_external(image, network, verdict, steps=ext_steps)
    return verdict
