"""The errors a user can cause or meet: one line each, naming what, where and the remedy.

Every one carries the exit code that the command line returns. What is not an `RcuError` is a bug of
ours and shows its traceback.
"""

from __future__ import annotations


class RcuError(Exception):
    """Something a person can mend. `str(error)` is the whole message, ready to be shown."""

    exit_code = 1


class UsageError(RcuError):
    """A command was called in a way that has no meaning (unknown name, impossible date)."""

    exit_code = 2


class DeclarationError(RcuError):
    """One or more YAML declarations are wrong. The message holds one line per problem."""

    exit_code = 2


class SourceError(RcuError):
    """A source that the run needs did not deliver, or delivered what its contract refuses."""

    exit_code = 3


class GateError(RcuError):
    """A blocking quality gate failed; what was published before stays published."""

    exit_code = 4


class BusyError(RcuError):
    """Another run holds the warehouse."""

    exit_code = 5


class BuildError(RcuError):
    """The build file does not belong to this run or date."""

    exit_code = 6
