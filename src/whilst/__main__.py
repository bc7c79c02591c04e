"""`python -m whilst` is the `whilst` command."""

from __future__ import annotations

import sys

from whilst.cli import main

if __name__ == "__main__":
    sys.exit(main())
