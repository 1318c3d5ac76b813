"""An allocation as a dictionary for JSON."""

from __future__ import annotations

from dataclasses import asdict

from margincover.model.allocation import AllocationResult
from margincover.report.json import JsonDict

ALLOCATE_SCHEMA = "margincover/allocate/1"


def allocation_to_dict(result: AllocationResult) -> JsonDict:
    """Return an allocation as a JSON-able dictionary; amounts in US dollars or cents, probabilities as fractions."""
    provenance = result.provenance
    fields = asdict(result)
    fields.pop("provenance")
    return {
        "schema": ALLOCATE_SCHEMA,
        "as_of": provenance.as_of,
        "version": provenance.version,
        "input_sha256": provenance.input_sha256,
        "seed": provenance.seed,
        "moves_money": False,
        **fields,
        "warnings": list(provenance.warnings),
        "not_modelled": list(provenance.not_modelled),
        "settings": dict(provenance.settings),
        "scenario": dict(provenance.scenario),
    }
