"""Turn what is wrong with a book into one error in the product's words: file, account, field, found, allowed."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterable, Mapping, Sequence

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from margincover.errors import InputError

_SHOWN = 20


def close_match(name: str, names: Iterable[str]) -> str:
    """Return what is allowed for an unknown name: the closest known one, or all of them.

    Examples
    --------
    >>> close_match("entry_prce", ["symbol", "entry_price"])
    "did you mean 'entry_price'?"
    """
    known = sorted(names)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean '{near[0]}'?" if near else ", ".join(known)


def joined(problems: Sequence[InputError]) -> InputError:
    """Return one error for all problems: the first as it is, the others listed below it."""
    first = problems[0]
    if len(problems) == 1:
        return first
    others = [str(problem) for problem in problems[1:]]
    more = others[:_SHOWN] + ([f"and {len(others) - _SHOWN} further problems"] if len(others) > _SHOWN else [])
    text = f"{first.allowed}\nand {len(others)} more:\n  " if first.allowed else f"\nand {len(others)} more:\n  "
    return type(first)(
        first.found,
        source=first.source,
        account=first.account,
        field=first.field,
        allowed=text + "\n  ".join(more),
    )


def from_validation(error: ValidationError, *, model: type[BaseModel], data: object, source: str) -> list[InputError]:
    """Return one InputError per problem that the schema found."""
    return [_translate(detail, model, data, source) for detail in error.errors(include_url=False)]


def _translate(detail: ErrorDetails, model: type[BaseModel], data: object, source: str) -> InputError:
    place = [part for part in detail["loc"] if part != "[key]"]
    account = None
    if len(place) >= 2 and place[0] == "accounts" and isinstance(place[1], int):
        account, named = _account_name(data, place[1])
        place = place[2:] if named else place
        model = _model_at(model, ("accounts", 0)) or model if named else model
    found, allowed = _words(detail, place, model)
    return InputError(found, source=source, account=account, field=path_text(place) or None, allowed=allowed)


def _account_name(data: object, number: int) -> tuple[str | None, bool]:
    accounts = data.get("accounts") if isinstance(data, Mapping) else None
    account = accounts[number] if isinstance(accounts, Sequence) and number < len(accounts) else None
    name = account.get("id") if isinstance(account, Mapping) else None
    return (name, True) if isinstance(name, str) and name else (None, False)


def path_text(place: Sequence[int | str]) -> str:
    """Return a place in words: ``("positions", 2, "entry_price")`` is ``positions[2].entry_price``."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _words(detail: ErrorDetails, place: Sequence[int | str], model: type[BaseModel]) -> tuple[str, str]:
    kind, context = detail["type"], detail.get("ctx", {})
    value = repr(detail["input"])
    shown = f"was {value if len(value) <= 60 else value[:57] + '...'}"
    if kind == "margincover":
        return context["found"], context["allowed"]
    if kind == "missing":
        return "was missing", "a value"
    if kind == "extra_forbidden":
        owner = _model_at(model, place[:-1])
        return f"unknown field '{place[-1]}'", close_match(str(place[-1]), owner.model_fields if owner else ())
    if kind == "literal_error":
        return shown, context["expected"].replace("'", "")
    if kind == "too_short":
        return f"had {context['actual_length']} entries", f"at least {context['min_length']}"
    if kind == "too_long":
        return f"had {context['actual_length']} entries", f"at most {context['max_length']}"
    names = {
        "model_type": "an object with named fields",
        "dict_type": "an object with named fields",
        "list_type": "a list",
        "bool_type": "true or false",
    }
    return shown, names.get(kind, detail["msg"])


def _model_at(model: type[BaseModel], place: Sequence[int | str]) -> type[BaseModel] | None:
    """Return the schema class that stands at a place."""
    annotation: object = model
    for part in place:
        if isinstance(part, int):
            annotation = _inner(annotation, list)
            continue
        owner = _owner(annotation)
        annotation = owner.model_fields[part].annotation if owner and part in owner.model_fields else None
        if annotation is None:
            return None
    return _owner(annotation)


def _owner(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in typing.get_args(annotation):
        found = _owner(argument)
        if found is not None:
            return found
    return None


def _inner(annotation: object, kind: type) -> object:
    return annotation if typing.get_origin(annotation) is not kind else typing.get_args(annotation)[0]
