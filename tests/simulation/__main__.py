"""`python -m tests.simulation`: see command_line.py."""

import sys

from tests.simulation.command_line import main

if __name__ == "__main__":
    sys.exit(main())
