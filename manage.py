#!/usr/bin/env python3
"""Stillhouse's command line: `python manage.py --help`."""

import sys
from importlib.util import find_spec

from workers.cli import main

if __name__ == "__main__":
    if any(find_spec(name) is None for name in ("pydantic", "sqlalchemy", "rich")):
        sys.exit("error: Stillhouse's packages are not installed in this Python. Run `make setup`, then `source .venv/bin/activate`, or use .venv/bin/python.")
    sys.exit(main())
