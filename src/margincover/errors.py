"""The exception tree.

MargincoverError
├── InputError            a value in a file, an argument or a payload cannot be used as given
│   └── UsageError        the command line itself is wrong (exit code 64)
├── StaleDataError        an observation is older than the policy allows
├── RulebookError         a margin rule is missing, contradictory or outside its validity
├── NotSupportedError     the venue has it, margincover does not model it: an error, never a guess
├── ReconciliationError   our figure and the venue's differ by more than the stated tolerance
└── SolverError           a numerical method did not reach a usable answer

Every message says what was found, where (file, account, field), what is allowed and what to do.
"""

from __future__ import annotations


class MargincoverError(Exception):
    """Base of every error that margincover raises on purpose."""


class InputError(MargincoverError):
    """Raise when a value in a file, an argument or a payload cannot be used as given."""

    def __init__(
        self,
        found: str,
        *,
        source: str | None = None,
        account: str | None = None,
        field: str | None = None,
        allowed: str | None = None,
    ) -> None:
        self.found = found
        self.source = source
        self.account = account
        self.field = field
        self.allowed = allowed
        super().__init__(self._message())

    def _message(self) -> str:
        where = [part for part in (self.source, self.account, self.field) if part]
        text = f"{': '.join(where)}: {self.found}" if where else self.found
        return f"{text}; allowed: {self.allowed}" if self.allowed else text

    def located(self, *, source: str | None = None, account: str | None = None, field: str | None = None) -> InputError:
        """Return the same error with the places that were not yet known filled in.

        Inner layers know the field, outer layers the account and the file; each adds its part.
        """
        return type(self)(
            self.found,
            source=self.source or source,
            account=self.account or account,
            field=self.field or field,
            allowed=self.allowed,
        )


class UsageError(InputError):
    """Raise when the command line itself is wrong."""


class StaleDataError(InputError):
    """Raise when an observation is older than the stated policy allows."""


class RulebookError(InputError):
    """Raise when a margin rule is missing, contradictory or outside its validity."""


class NotSupportedError(InputError):
    """Raise when the venue has a feature that margincover does not model."""


class ReconciliationError(MargincoverError):
    """Raise when our figure and the venue's differ by more than the stated tolerance."""


class SolverError(MargincoverError):
    """Raise when a numerical method did not reach a usable answer."""


class MargincoverWarning(UserWarning):
    """Base of every warning; each text says how to fix or to silence it."""


class StaleRulesWarning(MargincoverWarning):
    """Warn that a packaged rule table or calibration is older than the stated age."""
