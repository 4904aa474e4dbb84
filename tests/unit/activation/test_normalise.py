"""Identifiers are written and hashed as the platforms' own libraries do."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestration.activation import normalise

RULES: dict[tuple[str, str], Callable[[str | None], str | None]] = {
    ("meta", "em"): normalise.trimmed,
    ("meta", "ph"): normalise.meta_phone,
    ("meta", "fn"): normalise.trimmed,
    ("meta", "ln"): normalise.trimmed,
    ("meta", "ct"): normalise.meta_city,
    ("meta", "zp"): normalise.meta_postal_code,
    ("meta", "country"): normalise.trimmed,
    ("google", "format_email_address"): normalise.google_email,
    ("google", "format_phone_number"): normalise.google_phone,
    ("google", "format_given_name"): normalise.trimmed,
    ("google", "format_family_name"): normalise.trimmed,
    ("google", "format_region_code"): normalise.google_country,
    ("google", "format_postal_code"): normalise.google_postal_code,
}


def test_every_golden_vector_is_reproduced() -> None:
    here = Path(__file__).resolve().parents[3]
    folder = Path(os.environ.get("RCU_REFERENCE", here.parent / "shared" / "reference"))
    file = folder / "activation_hash_vectors.csv"
    if not file.is_file():
        pytest.skip(f"the vectors made with the platforms' libraries are not here ({file.name}; set RCU_REFERENCE)")
    with file.open(encoding="utf-8", newline="") as handle:
        vectors = list(csv.DictReader(handle))
    assert len(vectors) > 20
    wrong = []
    for vector in vectors:
        made = RULES[vector["platform"], vector["field"]](vector["raw"])
        if (made, normalise.sha256(made)) != (vector["normalised"], vector["sha256"]):
            wrong.append((vector, made))
    assert wrong == []


@pytest.mark.parametrize(
    ("rule", "raw", "expected"),
    [
        (normalise.trimmed, " Marie.Curie+Lab@Orange.FR ", "marie.curie+lab@orange.fr"),
        (normalise.google_email, "A.B.C+x@Googlemail.com", "abc@googlemail.com"),
        (normalise.google_email, "a.b+x@free.fr", "a.b+x@free.fr"),
        (normalise.meta_phone, "+33 6 11 22 33 44", "33611223344"),
        (normalise.google_phone, "+33 6 11 22 33 44", "+33611223344"),
        (normalise.meta_city, "L'Haÿ-les-Roses", "l'haÿlesroses"),
        (normalise.meta_city, "St. Denis", "stdenis"),
        (normalise.meta_postal_code, " 97 400 ", "97400"),
        (normalise.google_country, " be ", "BE"),
        (normalise.meta_sex, "F", "f"),
        (normalise.trimmed, "   ", None),
        (normalise.google_email, None, None),
        (normalise.meta_phone, "", None),
    ],
)
def test_a_value_is_written_as_its_platform_wants(rule: Callable, raw: str | None, expected: str | None) -> None:
    assert rule(raw) == expected


def test_the_hash_is_that_of_utf8_in_lower_case_hexadecimal() -> None:
    assert normalise.sha256("éléonore") == hashlib.new("sha256", b"\xc3\xa9l\xc3\xa9onore").hexdigest()
    assert normalise.sha256(None) is None
    assert normalise.sha256("") is None
