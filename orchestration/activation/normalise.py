"""How advertising platforms want identifiers written before they are hashed.

What belongs here: pure functions from a text to the text that is hashed, and the hash. What does not: which
columns a platform takes (`formats`). The rules are those of the platforms' own libraries, held by golden
vectors; neither library mends a French number, so numbers come here in E.164 (+33612345678).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re

_NOT_DIGITS = re.compile(r"\D+")
_META_PLACE = re.compile(r"[0-9.\s\-()]")
_SPACES = re.compile(r"\s+")
_DOTLESS = ("gmail.com", "googlemail.com")


def sha256(text: str | None) -> str | None:
    """Lower-case hexadecimal SHA-256 of a text in UTF-8; nothing for nothing."""
    return hashlib.sha256(text.encode()).hexdigest() if text else None


def trimmed(text: str | None) -> str | None:
    """Trimmed and in lower case, accents kept: e-mails of Meta, names of both."""
    return (text or "").strip().lower() or None


def google_email(text: str | None) -> str | None:
    """Google folds the spellings of one Gmail box: no dots, nothing from the + on."""
    email = trimmed(text)
    if email is None:
        return None
    local, at, domain = _SPACES.sub("", email).rpartition("@")
    if at and domain in _DOTLESS:
        local = local.split("+", 1)[0].replace(".", "")
    return f"{local}{at}{domain}"


def meta_phone(text: str | None) -> str | None:
    """Digits alone, leading zeros dropped: 33612345678."""
    return _NOT_DIGITS.sub("", text or "").lstrip("0") or None


def google_phone(text: str | None) -> str | None:
    """A plus sign and digits: +33612345678."""
    digits = _NOT_DIGITS.sub("", text or "")
    return f"+{digits}" if digits else None


def meta_city(text: str | None) -> str | None:
    """Lower case, without spaces, hyphens, dots, digits and brackets; accents kept."""
    return _META_PLACE.sub("", (text or "").lower()) or None


def meta_postal_code(text: str | None) -> str | None:
    """Lower case, without spaces."""
    return _SPACES.sub("", (text or "").lower()) or None


def google_postal_code(text: str | None) -> str | None:
    """Trimmed; it is sent as it is, not hashed."""
    return (text or "").strip() or None


def google_country(text: str | None) -> str | None:
    """Two capital letters; sent as they are, not hashed."""
    return (text or "").strip().upper() or None


def meta_birth(day: dt.date | None) -> str | None:
    """YYYYMMDD."""
    return f"{day:%Y%m%d}" if day else None


def meta_sex(text: str | None) -> str | None:
    """m or f."""
    letter = (text or "").strip().lower()[:1]
    return letter if letter in ("m", "f") else None
