"""The state file of a long backtest: forecasts that are done, so that a stopped run goes on where it was."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.io.output import require_target, write_atomically

_OPTION = "--resume FILE"
Arrays = dict[str, NDArray[np.float64]]


class BacktestState:
    """Results of finished units of work by key, kept in one compressed file.

    Parameters
    ----------
    path : path or None
        None keeps nothing on disk.
    fingerprint : str
        What the results depend on: data, settings, version. A file with another fingerprint is refused.

    Raises
    ------
    InputError
        If the file cannot be read or belongs to another run.
    """

    def __init__(self, path: Path | None, *, fingerprint: str) -> None:
        self._path = path
        self._fingerprint = fingerprint
        self._units: dict[str, tuple[Arrays, list[str]]] = {}
        if path is not None:
            require_target(path, option=_OPTION)
            if path.exists():
                self._read(path)

    def get(self, key: str) -> tuple[Arrays, list[str]] | None:
        """Return the arrays and texts of a finished unit, None if it is not done."""
        return self._units.get(key)

    def put(self, key: str, arrays: Arrays, texts: list[str]) -> None:
        """Keep a finished unit and write the file anew."""
        self._units[key] = (arrays, texts)
        if self._path is None:
            return
        content = {f"{name}/{key}": value for key, (found, _) in self._units.items() for name, value in found.items()}
        head = {"fingerprint": self._fingerprint, "texts": {key: texts for key, (_, texts) in self._units.items()}}
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer, allow_pickle=False, **content, head=np.frombuffer(json.dumps(head).encode(), dtype=np.uint8)
        )
        write_atomically(self._path, buffer.getvalue(), option=_OPTION)

    def _read(self, path: Path) -> None:
        try:
            with np.load(path, allow_pickle=False) as stored:
                head = json.loads(stored["head"].tobytes())
                tables = {name: stored[name] for name in stored.files if name != "head"}
            texts = {str(key): [str(text) for text in found] for key, found in head["texts"].items()}
            fingerprint = str(head["fingerprint"])
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise InputError(
                f"is no state of a backtest ({type(error).__name__})",
                source=str(path),
                field=_OPTION,
                allowed="a file that an earlier run wrote, or a new name",
            ) from None
        if fingerprint != self._fingerprint:
            raise InputError(
                "belongs to a run with other data, settings or version",
                source=str(path),
                field=_OPTION,
                allowed="the same data and options as then, or a new name",
            )
        for name, value in tables.items():
            kind, _, key = name.partition("/")
            self._units.setdefault(key, ({}, texts[key]))[0][kind] = value
