#!/usr/bin/env python3
"""Stillhouse's command line: `python manage.py --help`."""

import sys

from workers.cli import main

if __name__ == "__main__":
    sys.exit(main())
