"""Read a file of text and parse it as JSON or TOML, refusing what is broken before it costs time or memory."""

from __future__ import annotations

import json
import math
import os
import re
import stat
import tomllib
from pathlib import Path

from margincover.errors import InputError

MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_DEPTH = 64
# Python's own limit on the digits of an integer text is 4300; no quantity of a book needs more than 40.
_MAX_INTEGER_DIGITS = 40

# A string is one token, so brackets inside it are not counted. Possessive quantifiers keep the scan linear even when
# a closing quote is missing.
_JSON_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
_TOML_TOKEN = re.compile(
    r'"""(?:[^"\\]++|\\.|"(?!""))*+(?:"""|\Z)'
    r"|'''(?:[^']++|'(?!''))*+(?:'''|\Z)"
    r'|"(?:[^"\\\n]++|\\.)*+"?'
    r"|'[^'\n]*+'?"
    r"|\#[^\n]*+"
    r"|[\[\]{}]",
    re.DOTALL,
)


def read_bytes(path: Path | str, *, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Return the bytes of a file, refused by its size before it is read.

    Raises
    ------
    InputError
        If the file is missing, a directory, not permitted, empty, or larger than ``max_bytes``.
    """
    source = str(path)
    try:
        with open(path, "rb") as stream:
            status = os.fstat(stream.fileno())
            if stat.S_ISREG(status.st_mode) and status.st_size > max_bytes:
                raise _too_large(source, status.st_size, max_bytes)
            # A pipe has no size: read at most one byte too many.
            data = stream.read(max_bytes + 1)
    except FileNotFoundError:
        raise InputError("the file does not exist", source=source, allowed="a readable file") from None
    except IsADirectoryError:
        raise InputError("was a directory", source=source, allowed="a readable file") from None
    except PermissionError:
        raise InputError("no permission to read the file", source=source, allowed="a readable file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"could not be read ({error})", source=source, allowed="a readable file") from error
    if len(data) > max_bytes:
        raise _too_large(source, len(data), max_bytes)
    if not data.strip():
        raise InputError("the file was empty", source=source, allowed="a file with content")
    return data


def _too_large(source: str, size: int, limit: int) -> InputError:
    return InputError(
        f"the file has at least {size / 1e6:.1f} MB",
        source=source,
        allowed=f"at most {limit / 1e6:.1f} MB",
    )


def decode_text(data: bytes, source: str) -> str:
    """Return UTF-8 bytes as text, without a byte order mark.

    Raises
    ------
    InputError
        If the bytes are not UTF-8; the position of the first wrong byte is named.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"byte {error.start} (line {line}) was not UTF-8", source=source, allowed="UTF-8 text"
        ) from None


def read_text(path: Path | str, *, max_bytes: int = MAX_FILE_BYTES) -> str:
    """Return the text of a UTF-8 file of at most ``max_bytes`` bytes.

    Raises
    ------
    InputError
        As `read_bytes` and `decode_text`.
    """
    return decode_text(read_bytes(path, max_bytes=max_bytes), str(path))


def parse_json(text: str, source: str) -> object:
    """Return the value of a JSON text; numbers are int or float, never NaN or infinite.

    Raises
    ------
    InputError
        If the text is not JSON, ends early, is nested deeper than 64 levels, repeats a key in one object, or holds
        NaN, Infinity or a number outside the range of a float. Line and column stand where they are known.
    """
    _check_depth(text, source, _JSON_TOKEN)

    def pairs(items: list[tuple[str, object]]) -> dict[str, object]:
        found: dict[str, object] = {}
        for key, value in items:
            if key in found:
                raise InputError(
                    f"key '{key}' stood twice in one object", source=source, allowed="every key once in an object"
                )
            found[key] = value
        return found

    def constant(name: str) -> object:
        raise InputError(f"the literal {name} was found", source=source, allowed="finite numbers")

    try:
        return json.loads(
            text,
            object_pairs_hook=pairs,
            parse_constant=constant,
            parse_float=lambda digits: _finite_float(digits, source),
            parse_int=lambda digits: _short_int(digits, source),
        )
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        if not text[error.pos :].strip() or error.msg.startswith("Unterminated string"):
            raise InputError(
                f"the text ended too early, at {where} (truncated file?)", source=source, allowed="complete JSON"
            ) from None
        raise InputError(f"not JSON at {where}: {error.msg}", source=source, allowed="JSON") from None


def parse_toml(text: str, source: str) -> dict[str, object]:
    """Return the table of a TOML text; numbers are int or float, never NaN or infinite.

    Raises
    ------
    InputError
        If the text is not TOML, repeats a key, is nested deeper than 64 levels, or holds nan or inf.
    """
    _check_depth(text, source, _TOML_TOKEN)
    try:
        return tomllib.loads(text, parse_float=lambda digits: _finite_float(digits, source))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"not TOML: {error}", source=source, allowed="TOML") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"not TOML: {error}", source=source, allowed="TOML") from None


def _check_depth(text: str, source: str, token: re.Pattern[str]) -> None:
    # Before the parser: its recursion is as deep as the text, and a hostile text is deeper than the stack.
    depth = 0
    for match in token.finditer(text):
        mark = match.group()
        if mark in ("[", "{"):
            depth += 1
            if depth > MAX_DEPTH:
                line = text.count("\n", 0, match.start()) + 1
                raise InputError(
                    f"nested deeper than {MAX_DEPTH} levels at line {line}",
                    source=source,
                    allowed=f"at most {MAX_DEPTH} levels",
                )
        elif mark in ("]", "}"):
            depth -= 1


def _finite_float(digits: str, source: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise InputError(f"the number {digits[:40]} was not finite", source=source, allowed="finite numbers")
    return value


def _short_int(digits: str, source: str) -> int:
    if len(digits) > _MAX_INTEGER_DIGITS:
        raise InputError(
            f"an integer of {len(digits)} digits was found",
            source=source,
            allowed=f"at most {_MAX_INTEGER_DIGITS} digits",
        )
    return int(digits)
