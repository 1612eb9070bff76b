"""quantulum3's parser, without its optional classifier (a pickle, which chooses among units of one symbol): quantities of a text."""

from __future__ import annotations

from typing import Any

from tests.bench.packs.adapter import Options, Read, Row, serve


def load(options: Options) -> Read:
    """A reader of rows with `text`. Option `bare`: `yes` keeps numbers without a unit, `no` leaves them out."""
    import warnings

    warnings.filterwarnings("ignore", "Classifier dependencies")
    from quantulum3 import parser

    def read(row: Row) -> dict[str, Any]:
        found = [q for q in parser.parse(row["text"]) if options["bare"] == "yes" or q.unit.name != "dimensionless"]
        return {"spans": [{"start": q.span[0], "end": q.span[1], "label": "QUANTITY", "score": 1.0} for q in found]}

    return read


if __name__ == "__main__":
    serve(load, ["quantulum3"])
