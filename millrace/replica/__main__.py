"""`python -m millrace.replica FD`: what the parent starts."""

from __future__ import annotations

import sys

from millrace.replica.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
