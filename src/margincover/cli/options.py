"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

BookArgument = Annotated[Path, typer.Argument(metavar="BOOK", help="Book file, JSON or TOML.")]
RulesOption = Annotated[
    Optional[Path],  # noqa: UP045  # typer reads the annotation at run time
    typer.Option("--rules", metavar="DIR", help="Folder of <venue>.toml files that add to or override the rules."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
HtmlOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--html", metavar="FILE", help="Write the report to one self-contained HTML file."),
]
ToleranceOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--tolerance", metavar="P", help="Accepted probability: 0.01 or 1%. Default: the book's."),
]
HorizonOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--horizon", metavar="TIME", help="1h to 30d, for example 24h or 5d. Default: the book's."),
]
MeasureOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--measure", metavar="rces|rc", help="Expected Shortfall form or quantile. Default: the book's."),
]
PathsOption = Annotated[int, typer.Option("--paths", metavar="N", help="Joint market paths.")]
SeedOption = Annotated[int, typer.Option("--seed", metavar="N", help="Seed; same seed, same bits.")]
ScenariosOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--scenarios",
        metavar="montecarlo|jumps|fhs|bootstrap|age-weighted|t-copula|dcc",
        help="Scenario generator. Default: fhs with --history, else montecarlo from the packaged calibration.",
    ),
]
HistoryOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--history", metavar="DIR", help="Folder of <SYMBOL>.parquet or .csv (ts, open, high, low, close)."),
]
VolRuleOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--vol-rule",
        metavar="sticky-strike|sticky-delta",
        help="What stays of the volatility smile when a coin moves along the paths. Default: sticky-delta.",
    ),
]
FactorsOption = Annotated[
    str,
    typer.Option(
        "--factors",
        metavar="prices|all",
        help="What moves along the paths: prices, or also perpetual funding, local marks and stable coins.",
    ),
]
AddOnsOption = Annotated[
    bool,
    typer.Option("--add-ons", help="Show stress weight and full-history floor beside the requirement, apart from it."),
]
RareOption = Annotated[
    bool,
    typer.Option("--rare", help="Tail figures from a run made for small tolerances, by importance sampling."),
]
ThreadsOption = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option("--threads", metavar="N", min=1, help="Threads; does not change the result."),
]
