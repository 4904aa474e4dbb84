"""What can be wrong with one delivered file.

What belongs here: the exception that ends the reading of one file, and no other. What does not: wrong
declarations (`DeclarationError`) and rows that fail (quarantine).
"""

from __future__ import annotations

from typing import Literal

Status = Literal[
    "landed", "refused", "duplicate", "unreadable", "unmatched", "header_only",
    "draft",  # the contract that claims it is unfinished: it waits in the inbox
    "not_fetched",  # no file, but why there is none
]  # fmt: skip


class FileProblem(Exception):
    """One file cannot be taken. `message` says why and what to do; it never holds a value of the file."""

    def __init__(self, status: Status, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.status: Status = status
        self.message = message
        self.line = line


def unreadable(message: str, line: int | None = None) -> FileProblem:
    return FileProblem("unreadable", message, line)


def refused(message: str, line: int | None = None) -> FileProblem:
    return FileProblem("refused", message, line)
