"""`python -m millrace.replica FD`: what the parent starts."""

from __future__ import annotations

import sys

from millrace.replica.main import main

sys.exit(main(sys.argv[1:]))
