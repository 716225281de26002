"""`python -m csnn.cli`."""

import sys

from csnn.cli.program import main

if __name__ == "__main__":
    sys.exit(main())
