"""`python -m csnn.audit IMAGE`: a Markdown summary on stdout; exit 1 if the audit fails."""

from __future__ import annotations

import argparse
import json
import sys

from csnn.audit import audit
from csnn.audit.report import markdown
from csnn.errors import CsnnError
from csnn.image.store import open_image


def main(arguments: list[str] | None = None) -> int:
    """Run the audit of an image and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m csnn.audit",
        description="Test the random numbers that an image uses.",
        epilog="example: python -m csnn.audit out/pd14/image",
    )
    parser.add_argument("image", help="image directory")
    parser.add_argument("--ext-steps", type=int, default=1000, help="steps of external input")
    parser.add_argument("--json", action="store_true", help="print JSON instead of Markdown")
    options = parser.parse_args(arguments)
    if options.ext_steps < 8:
        parser.error("--ext-steps must be at least 8")
    try:
        image = open_image(options.image)
        verdict = audit(image, ext_steps=options.ext_steps)
    except CsnnError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps(verdict.to_dict(), indent=1) if options.json else markdown(verdict), end="")
    print(end="\n" if options.json else "")
    return 0 if verdict.passed else 1


if __name__ == "__main__":
    sys.exit(main())
