"""What keyboards, clerks and spreadsheets do to a value. One value in, one wrong value out.

Every function takes numbers in [0, 1) drawn by the caller, so that nothing here is random by itself.
Which rows get which mistake is decided in `records.py`.
"""

from __future__ import annotations

from datetime import date

from orchestration.samples.text import to_date, to_day, without_accents
from orchestration.samples.words import EMAIL_DOMAIN_TYPOS, NICKNAMES

#: Neighbours on a French keyboard.
_NEIGHBOURS = {
    "a": "zq", "z": "ae", "e": "zr", "r": "et", "t": "ry", "y": "tu", "u": "yi", "i": "uo", "o": "ip", "p": "ol",
    "q": "as", "s": "qd", "d": "sf", "f": "dg", "g": "fh", "h": "gj", "j": "hk", "k": "jl", "l": "km", "m": "lp",
    "w": "xq", "x": "wc", "c": "xv", "v": "cb", "b": "vn", "n": "bh",
}  # fmt: skip
_SOUNDS = (
    ("ph", "f"), ("eau", "o"), ("au", "o"), ("th", "t"), ("ck", "k"), ("qu", "k"), ("ault", "o"), ("ll", "l"),
    ("nn", "n"), ("tt", "t"), ("ss", "s"), ("rr", "r"), ("y", "i"), ("ç", "ss"), ("c", "k"), ("z", "s"),
    ("ai", "e"), ("an", "en"), ("es", "e"), ("ie", "i"), ("in", "ain"), ("et", "ay"), ("d", "t"),
)  # fmt: skip


def typo(word: str, kind: float, place: float) -> str:
    """One slip: a letter lost, doubled, exchanged with the next, struck beside, or written as it sounds."""
    if len(word) < 3:
        return word
    at = 1 + int(place * (len(word) - 1))
    if kind < 0.40:
        lower = word.lower()
        offset = int(place * len(_SOUNDS))
        for sound, written in _SOUNDS[offset:] + _SOUNDS[:offset]:
            found = lower.find(sound)
            if found >= 0:
                written = written.upper() if word.isupper() else written
                return word[:found] + written + word[found + len(sound) :]
    if kind < 0.58:
        return word[:at] + word[at + 1 :]
    if kind < 0.72:
        return word[:at] + word[at] + word[at:]
    if kind < 0.86 and at + 1 < len(word):
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    near = _NEIGHBOURS.get(word[at].lower(), "e")
    letter = near[int(place * 997) % len(near)]
    return word[:at] + (letter.upper() if word[at].isupper() else letter) + word[at + 1 :]


def nickname(first_name: str, pick: float) -> str:
    """The short form people use, or the first part of a compound name; else the name itself."""
    known = NICKNAMES.get(first_name)
    if known:
        return known[int(pick * len(known))]
    return first_name.split("-")[0]


def initial(first_name: str) -> str:
    """`Jean-Pierre` -> `J.-P.`, `Anne` -> `A.`"""
    return "-".join(f"{part[0]}." for part in first_name.split("-") if part)


def digit_off(digits: str, place: float, shift: float) -> str:
    """One wrong digit, among the last six."""
    at = len(digits) - 1 - int(place * min(6, len(digits)))
    if not digits[at : at + 1].isdigit():
        return digits
    return digits[:at] + str((int(digits[at]) + 1 + int(shift * 9)) % 10) + digits[at + 1 :]


def day_and_month_swapped(day: int) -> int:
    """The same date with day and month exchanged where that makes a date; else itself."""
    seen = to_date(day)
    return to_day(date(seen.year, seen.day, seen.month)) if seen.day <= 12 else day


def birth_off(day: int, kind: float, place: float) -> int:
    """One part of the date wrong: another day, month or year."""
    seen = to_date(day)
    if kind < 0.4:
        return to_day(seen.replace(day=1 + (seen.day + int(place * 26)) % 28))
    if kind < 0.7:
        return to_day(date(seen.year, 1 + (seen.month + int(place * 10)) % 12, min(seen.day, 28)))
    return to_day(
        date(seen.year + (1 if place < 0.5 else -1) * (10 if place > 0.8 else 1), seen.month, min(seen.day, 28))
    )


def email_typo(email: str, kind: float, place: float) -> str:
    """A slip in the provider's name, or in the mailbox."""
    local, domain = email.split("@")
    typos = EMAIL_DOMAIN_TYPOS.get(domain, ())
    if typos and kind < 0.75:
        return f"{local}@{typos[int(place * len(typos))]}"
    if kind < 0.85:
        return f"{typo(local, 0.5, place)}@{domain}"
    return f"{local}{'.' if place < 0.5 else ''}{domain}" if kind > 0.97 else f"{local.replace('.', '', 1)}@{domain}"


def email_written_otherwise(email: str, kind: float) -> str:
    """The same mailbox, written in another way: capitals, spaces, a plus tag, Gmail's dots."""
    local, domain = email.split("@")
    if kind < 0.35:
        return email.upper()
    if kind < 0.55:
        return f" {email} "
    if domain == "gmail.com" and kind < 0.75:
        return f"{local}+promo@{domain}"
    if domain == "gmail.com" and kind < 0.9:
        return f"{local.replace('.', '')}@{domain}"
    return f"{local.capitalize()}@{domain}"


_ABBREVIATIONS = (
    ("boulevard", "bd"), ("avenue", "av"), ("place", "pl"), ("impasse", "imp"), ("chemin", "ch"), ("allée", "all"),
    ("route", "rte"), ("rue", "r"), ("Général", "Gal"), ("Maréchal", "Mal"), ("Président", "Pdt"), ("Docteur", "Dr"),
    ("Saint-", "St "), ("Sainte-", "Ste "), (" bis ", " B "), (" ter ", " T "),
)  # fmt: skip


def abbreviated(street: str, how: float) -> str:
    for long, short in _ABBREVIATIONS:
        if long in street:
            street = street.replace(long, short.upper() if how < 0.3 else f"{short}." if how < 0.5 else short, 1)
    return without_accents(street).upper() if how < 0.3 else street


def city_otherwise(city: str, postal_code: str, how: float) -> str:
    """`Saint-Étienne` -> `ST ETIENNE`, `Marseille` -> `MARSEILLE 08`, `Lyon` -> `LYON CEDEX 03`."""
    plain = without_accents(city).upper()
    if city in ("Paris", "Lyon", "Marseille") and how < 0.6:
        return f"{plain} {postal_code[3:]}" if how < 0.4 else f"{plain} CEDEX {postal_code[3:]}"
    plain = plain.replace("SAINTE-", "STE ").replace("SAINT-", "ST ")
    return plain if how < 0.2 else plain.replace("-", " ")


def mangled_encoding(text: str) -> str:
    """UTF-8 read as Windows-1252 once too often."""
    return text.encode("utf-8").decode("cp1252", errors="ignore")


def phone_written(phone: str, style: float) -> str:
    """A ten-digit French number in one of the ways it is written; others are left alone."""
    if not phone or phone.startswith("+") or len(phone) != 10:
        return phone
    pairs = [phone[i : i + 2] for i in range(0, 10, 2)]
    if style < 0.36:
        return phone
    if style < 0.62:
        return " ".join(pairs)
    if style < 0.74:
        return ".".join(pairs)
    if style < 0.84:
        return f"+33{phone[1:]}"
    if style < 0.90:
        return f"+33 {phone[1]} {' '.join(pairs[1:])}"
    if style < 0.94:
        return f"0033{phone[1:]}"
    if style < 0.98:
        return f"+33 (0){phone[1]} {' '.join(pairs[1:])}"
    return "-".join(pairs)
