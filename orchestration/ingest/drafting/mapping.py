"""From named columns to entities: what the rows of a file deliver, and which column is what in it.

What belongs here: the decisions of a draft, each with its doubt where there is one. What does not: how the file
is written (`sampling`), and how the draft is put down as YAML (`draft`). Nothing here knows a declared source.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from orchestration.contracts.entities import ENTITIES
from orchestration.ingest.drafting import words
from orchestration.ingest.drafting.content import FIRST_NAMES, Content, look_at, plain
from orchestration.ingest.drafting.neighbours import tell_by_neighbours
from orchestration.ingest.drafting.sampling import ColumnSample, Sample
from orchestration.ingest.drafting.vocabulary import read_name, senses_of, slug

DATES = {
    "birth_on", "ordered_at", "date", "receive_at", "call_at", "created_at", "updated_at", "last_contact_at",
    "confirmed_at", "consent_at",
}  # fmt: skip
_PERSONAL = {
    "last_name", "first_name", "full_name", "address_line", "postal_code", "city", "birth_on", "civility", "postal_city",
}  # fmt: skip
#: Columns of the shop's own running: nobody asks for them in a customer's record.
_TECHNICAL = {"staff", "till", "browser", "url", "count", "transaction_id", "confirmed_at", "session_id"}


@dataclass
class Seen:
    """One column with what its name and its values say."""

    column: ColumnSample
    content: Content
    concept: str | None
    senses: frozenset[str]
    doubt: str | None = None

    @property
    def name(self) -> str:
        return self.column.name


@dataclass
class RuleDraft:
    """A column rule: its keys in order; `todo` says what to decide."""

    keys: dict[str, Any]
    todo: str | None = None


@dataclass
class EntityDraft:
    """One entity below `delivers`."""

    key: list[str] = field(default_factory=list)
    columns: dict[str, RuleDraft] = field(default_factory=dict)
    custom: dict[str, str] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    when: dict[str, Any] | None = None
    each: str | None = None


@dataclass
class MappingDraft:
    """What a draft decides. `todo`: what no rule can carry, by column or key of the contract."""

    entities: dict[str, EntityDraft] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    todo: dict[str, str] = field(default_factory=dict)


def map_columns(sample: Sample, source: str) -> MappingDraft:
    """Decide what the rows of a sample deliver."""
    seen = [_see(column) for column in sample.columns]
    _settle(seen)
    return _Decision(sample, source, seen).decide()


# --- one column at a time ----------------------------------------------------------------------


def _see(column: ColumnSample) -> Seen:
    content = look_at(column)
    reading = read_name(column.name if not re.fullmatch(r"column_\d+", column.name) else "")
    concept, doubt = reading.concept, None
    for check in (_against_content, _by_content):
        concept, told = check(concept, content, reading.senses)
        doubt = doubt or told
    return Seen(column, content, concept, reading.senses, doubt)


def _against_content(concept: str | None, content: Content, senses: frozenset[str]) -> tuple[str | None, str | None]:
    """What the name says, where the values do not speak against it."""
    if concept is None or not content.filled:
        return concept, None
    few = list(content.words)
    if concept in ("email", "phone", "phone_mobile", "sex", "post") and content.mostly("boolean") and few:
        kind = {"email": "consent_email", "phone": "consent_phone", "phone_mobile": "consent_sms"}.get(concept)
        if kind:
            return kind, None
    if concept == "consent_email" and content.mostly("email", 0.5):
        return "email", None
    if concept == "civility" and "title" in senses and not content.mostly("civility", 0.5):
        return "label", None
    if concept == "email" and not content.mostly("email", 0.4):
        return None, "the name says e-mail, but the values are none"
    if concept in ("phone", "phone_mobile", "phone_landline") and not content.mostly("phone", 0.4):
        return None, "the name says telephone, but the values are none"
    if concept in DATES and (content.date is None or content.date.share < 0.6):
        if content.mostly("boolean") and few:
            return ("consent_any" if "consent" in senses else "active"), "a date by its name, yes or no by its values"
        return (concept, "the name says date, but its values are written in no known way") if concept == "birth_on" else (
            None, "the name says date, but its values are written in no known way",
        )  # fmt: skip
    if concept in ("quantity", "unit_price", "amount", "discount", "amount_tax", "tax_rate") and not content.mostly(
        "number", 0.7
    ):
        return None, "the name says number, but the values are none"
    if concept == "postal_code" and content.mostly("postal_city", 0.6):
        return "postal_city", None
    if concept == "amount_tax" and content.distinct <= 6 < content.filled // 5:
        return "tax_rate", None
    if concept == "returned_order_id" and few and words.share_known(few, words.SALE_CHANNEL) > 0.5:
        return "channel", None
    return concept, None


def _by_content(concept: str | None, content: Content, senses: frozenset[str]) -> tuple[str | None, str | None]:
    """What the values alone say, where the name says nothing, or too little."""
    few = list(content.words)
    if concept in ("status", "type", "event_type", "choice", "active", None) and few:
        tables = (
            ("consent_status", words.CONSENT), ("event_type", words.EVENT), ("request_type", words.REQUEST),
            ("status", words.ORDER_STATUS), ("active", words.ACTIVE),
        )  # fmt: skip
        if concept in ("status", "type"):
            known = [(words.share_known(few, table), -rank, name) for rank, (name, table) in enumerate(tables)]
            share, _, name = max(known)
            if share >= 0.5 and not (name == "consent_status" and words.share_known(few, words.ACTIVE) >= share):
                return name, None
            return concept, None
    if concept == "id" and "call" in senses and content.mostly("phone") and content.mostly("dialled"):
        return "phone", None
    if concept is not None or content.filled < 3:
        return concept, None
    guess = "its values look like this, its name does not say so"
    if content.mostly("email", 0.8):
        return "email", guess
    if content.mostly("civility", 0.9) and few:
        return "civility", guess
    if content.mostly("postal_city", 0.8):
        return "postal_city", guess
    if content.date and content.date.share >= 0.9:
        return ("birth_on" if "birth" in senses else "date"), guess
    if content.mostly("country") and few and not content.mostly("boolean"):
        return "country", guess
    if content.mostly("phone", 0.9) and content.mostly("dialled", 0.9):
        return "phone", guess
    if content.mostly("street", 0.7) and content.most_words >= 2.5:
        return "address_line", guess
    if content.mostly("first_name", 0.45) and content.most_words < 1.5 and content.distinct > 8:
        return "first_name", guess
    return None, None


def _settle(seen: list[Seen]) -> None:
    """Decisions that need to see the other columns."""
    tell_by_neighbours(seen)
    concepts = {one.concept for one in seen}
    for one in seen:
        if one.concept == "any_name":
            is_goods = bool(concepts & {"unit_price", "category", "brand", "quantity"}) and not concepts & {
                "email",
                "first_name",
            }
            is_two = one.content.most_words >= 1.8
            one.concept = (
                "label" if is_goods else "full_name" if is_two and "first_name" not in concepts else "last_name"
            )
        elif one.concept == "last_name" and one.content.most_words >= 1.9 and "first_name" not in concepts:
            one.concept = "full_name"
        elif one.concept == "birth_on" and one.content.filled == 0:
            one.doubt = "no value in the sample: how are the dates written?"
    if "birth_on" not in concepts:
        for one in seen:
            if one.concept == "date" and one.doubt and _is_birth(one):
                one.concept = "birth_on"
                break
    _find_repeats(seen)
    _agree_on_dates(seen)


def _agree_on_dates(seen: list[Seen]) -> None:
    """A system writes its dates in one way: a column that fits two is read as one that fits only one of them."""
    sure = {one.content.date.formats[0] for one in seen if one.content.date and one.content.date.formats and (
        not one.content.date.ties)}  # fmt: skip
    for one in seen:
        date = one.content.date
        if date and date.ties:
            agreed = [found for found in (date.formats[0], *date.ties) if found in sure or _day_part(found) in map(
                _day_part, sure)]  # fmt: skip
            if len(agreed) == 1:
                one.content.date = replace(date, formats=(agreed[0], *date.formats[1:]), ties=(), doubt=None)


def _day_part(date_format: str) -> str:
    return re.split(r"[ T]?%[HI]", date_format)[0]


def _is_birth(one: Seen) -> bool:
    found = [re.search(r"(19|20)\d\d", value) for value in one.column.values[:500] if value]
    years = [int(match.group()) for match in found if match]
    return len(years) > 5 and 1930 <= statistics.median(years) <= 2005


def _find_repeats(seen: list[Seen]) -> None:
    """A column that only ever repeats another, where it has a value, tells nothing new."""
    references = [one for one in seen if one.concept in ("customer_id", "account_id", "id") and one.content.filled]
    for one in references:
        for other in references:
            if one is other or one.content.filled > other.content.filled or one.column.inside != other.column.inside:
                continue
            pairs = [(a, b) for a, b in zip(one.column.values, other.column.values, strict=True) if a is not None]
            if len(pairs) >= 5 and all(a == b for a, b in pairs) and one.content.filled < other.content.filled:
                one.concept = "repeat"


# --- what the rows are -------------------------------------------------------------------------


class _Decision:
    """The entities of one sample, filled column by column."""

    def __init__(self, sample: Sample, source: str, seen: list[Seen]) -> None:
        self.sample, self.source, self.seen = sample, source, seen
        self.of: dict[str, list[Seen]] = {}
        for one in seen:
            if one.concept:
                self.of.setdefault(one.concept, []).append(one)
        self.used: set[str] = set()
        self.result = MappingDraft()
        self.file_senses = senses_of(re.sub(r"\d+", " ", sample.file_name.rsplit(".", 1)[0]))

    def has(self, *concepts: str) -> bool:
        return all(concept in self.of for concept in concepts)

    def any(self, *concepts: str) -> bool:
        return any(concept in self.of for concept in concepts)

    def decide(self) -> MappingDraft:
        main = self._main()
        fill: dict[str, Callable[[EntityDraft], None]] = {
            "customer": self._customer, "order_line": self._order_line, "order": self._order, "product": self._product,
            "event": self._event, "consent": self._consent, "privacy_request": self._privacy_request,
        }  # fmt: skip
        names = [main]
        personal = len(_PERSONAL & set(self.of))
        if main in ("order_line", "order", "event") and personal >= 4:
            names = ["customer", main] if main == "event" else [main, "customer"]
        has_consent = any(concept.startswith("consent_") for concept in self.of if concept not in (
            "consent_at", "consent_version"))  # fmt: skip
        if main in ("customer", "order_line", "order") and has_consent:
            names.append("consent")
        for name in names:
            entity = self.result.entities.setdefault(name, EntityDraft())
            fill[name](entity)
        self._check_elements(main)
        self._set_aside(names)
        return self.result

    def _main(self) -> str:
        few = {name: one.content.words for name, many in self.of.items() for one in many}
        if self.any("request_type") or ("request" in self.file_senses and self.any("receive_at", "details")):
            return "privacy_request"
        if self.any("purpose") and self.any("choice", "consent_status", "consent_any", "status", "channel"):
            return "consent"
        if self.any("choice", "consent_status") and self.any("channel") and words.share_known(
            few.get("channel", ()), words.CONTACT_CHANNEL
        ) >= 0.5 and len(_PERSONAL & set(self.of)) < 3:  # fmt: skip
            return "consent"
        is_sold = self.any("unit_price", "amount", "amount_net", "discount", "product_id", "label")
        if self.any("quantity") and is_sold and self.any("order_id", "transaction_id", "ordered_at", "date"):
            return "order_line"
        if self.any("amount", "payment", "amount_net") and self.any(
            "order_id", "transaction_id", "ordered_at", "order_type"
        ):
            return "order"
        personal = len(_PERSONAL & set(self.of))
        is_described = self.any("label", "category", "brand", "subcategory")
        is_listed = self.any("unit_price", "category", "brand", "product_id", "is_product")
        if is_described and is_listed and not self.any("email", "last_name", "order_id", "event_type"):
            return "product"
        if self.any("event_type", "score", "event_id") or (self.any("reason") and self.any("duration", "call_at")):
            return "event"
        if self.any("cookie", "session_id") and self.any("date", "created_at") and personal < 2:
            return "event"
        if self.any("call_at") and self.any("reason", "comment", "duration"):
            return "event"
        if "call" in self.file_senses and self.any("reason", "duration", "comment") and self.any("date", "created_at"):
            return "event"
        return "customer"

    # -- taking columns --

    def take(self, *concepts: str, best: bool = True) -> Seen | None:
        """The column that has one of these concepts, the first concept first, the best filled first."""
        for concept in concepts:
            found = self.of.get(concept, [])
            if found:
                ordered = sorted(found, key=lambda one: -one.content.filled) if best else found
                return ordered[0]
        return None

    def put(self, entity: EntityDraft, canonical: str, one: Seen | None, **keys: Any) -> RuleDraft | None:
        if one is None or canonical in entity.columns:
            return None
        rule = RuleDraft({"from": self.path(one), **keys}, one.doubt)
        entity.columns[canonical] = rule
        self.used.add(self.tag(one))
        return rule

    def constant(self, entity: EntityDraft, canonical: str, value: str, todo: str | None = None) -> None:
        if canonical not in entity.columns:
            entity.columns[canonical] = RuleDraft({"constant": value}, todo)

    @staticmethod
    def tag(one: Seen) -> str:
        return f"{one.column.inside or ''}|{one.name}"

    def path(self, one: Seen) -> str:
        """The name by which the contract finds a column; `@.` or `$.` where row and element share it."""
        twins = [other for other in self.seen if other.name == one.name and other.column.inside != one.column.inside]
        if not twins:
            return one.name
        return f"@.{one.name}" if one.column.inside else f"$.{one.name}"

    def dated(self, entity: EntityDraft, canonical: str, one: Seen | None, **keys: Any) -> None:
        if one is None or canonical in entity.columns:
            return
        found = one.content.date
        doubt = one.doubt
        if found and found.formats:
            keys = {"format": found.formats[0] if len(found.formats) == 1 else list(found.formats), **keys}
        if found and found.doubt:
            doubt = doubt or found.doubt
        rule = self.put(entity, canonical, one, **keys)
        if rule:
            rule.todo = doubt

    def valued(
        self, entity: EntityDraft, canonical: str, one: Seen | None, table: dict[str, str], otherwise: str | None = "-"
    ) -> None:
        """Map by a table of values: what it does not know is for a person, unless `otherwise` says what it is."""
        if one is None or canonical in entity.columns:
            return
        values = one.content.words
        known, unknown = words.translate(values, table)
        if values and not unknown and all(key == value for key, value in known.items()):
            self.put(entity, canonical, one)
            return
        keys: dict[str, Any] = {"values": known} if known else {}
        if known and otherwise != "-":
            keys["otherwise"] = otherwise
        rule = self.put(entity, canonical, one, **keys)
        if rule is None:
            return
        if not values:
            rule.todo = "too many distinct values for a table: what do they mean?"
        elif unknown and otherwise == "-":
            rule.todo = f"values not understood: {', '.join(unknown[:8])}; add them to the table"
        elif unknown and otherwise is None and len(unknown) * 2 > len(values):
            rule.todo = f"values not understood: {', '.join(unknown[:8])}; they are left empty"

    def number(self, entity: EntityDraft, canonical: str, one: Seen | None) -> None:
        self.put(entity, canonical, one)

    # -- entities --

    def _customer(self, entity: EntityDraft) -> None:
        key = self._customer_key(entity)
        civility = self.take("civility")
        self.put(entity, "civility", civility)
        self.put(entity, "last_name", self.take("last_name"))
        self.put(entity, "first_name", self.take("first_name"))
        self.put(entity, "birth_name", self.take("birth_name"))
        if full := self.take("full_name"):
            self.put(entity, "full_name", full)
            order, doubt = _name_order(full)
            self.constant(entity, "full_name_order", order, doubt)
        self.dated(entity, "birth_on", self.take("birth_on"), on_error="blank")
        if sex := self.take("sex"):
            self.valued(entity, "sex", sex, words.SEX, otherwise=None)
        elif civility and civility.content.words:
            known, _ = words.translate(civility.content.words, words.SEX_OF_CIVILITY)
            if known:
                self.put(entity, "sex", civility, values=known, otherwise=None)
        self.put(entity, "email", self.take("email"))
        phones = [*self.of.get("phone_mobile", []), *self.of.get("phone", []), *self.of.get("phone_landline", [])]
        for canonical, phone in zip(("phone", "phone_other"), phones, strict=False):
            self.put(entity, canonical, phone)
        lines = self.of.get("address_line", [])
        self.put(entity, "address_line", lines[0] if lines else None)
        self.put(entity, "address_extra", self.take("address_extra") or (lines[1] if len(lines) > 1 else None))
        self.put(entity, "postal_code", self.take("postal_code"))
        self.put(entity, "city", self.take("city"))
        if both := self.take("postal_city"):
            self.put(entity, "postal_code", both, extract=r"^(\d{4,5})")
            self.put(entity, "city", both, extract=r"^\d{4,5}\s+(.*)$")
        for canonical, concept in (
            ("country", "country"), ("language", "language"), ("card_number", "card_number"),
            ("national_number", "national_number"), ("company_name", "company_name"),
            ("company_number", "company_number"), ("household", "household"), ("preferred_channel", "preferred_channel"),
            ("contact_frequency", "contact_frequency"),
        ):  # fmt: skip
            self.put(entity, canonical, self.take(concept))
        if "card_number" in self.of and self.of["card_number"][0] is key:
            self.put(entity, "card_number", key)
        if interests := self.take("interests"):
            joined = interests.column.is_list or not any("," in value for value in interests.column.values if value)
            self.put(entity, "interests", interests, **({} if joined else {"split": ","}))
        if active := self.take("active"):
            self._active(entity, active)
        is_alone = not self.any("quantity", "amount")
        if is_alone:
            self.dated(entity, "created_at", self.take("created_at", *([] if self.any("call_at") else ["date"])))
            self.dated(entity, "updated_at", self.take("updated_at"))
            self.dated(entity, "last_contact_at", self.take("last_contact_at", "call_at"))
            entity.tags += [one.name for one in self.of.get("tag", [])]
            self.used |= {self.tag(one) for one in self.of.get("tag", [])}
            other = next((one for one in self.of.get("account_id", []) if one is not key), None)
            if other:
                self.put(entity, "account", other)
                self.constant(
                    entity, "account_source", self.source, f'which source\'s record does "{other.name}" name?'
                )

    def _active(self, entity: EntityDraft, one: Seen) -> None:
        known, unknown = words.translate(one.content.words, words.ACTIVE)
        yes = [value for value, meaning in known.items() if meaning == "true"]
        no = [value for value, meaning in known.items() if meaning == "false"]
        keys: dict[str, Any] = {}
        if not (one.content.mostly("boolean") and not unknown):
            keys = {name: found for name, found in (("true_values", yes), ("false_values", no)) if found}
        rule = self.put(entity, "is_active", one, **keys)
        if rule and unknown:
            rule.todo = f"values not understood: {', '.join(unknown[:8])}; is the account open?"

    def _customer_key(self, entity: EntityDraft) -> Seen | None:
        """The column that tells one customer from another within the source."""
        if entity.key:
            return next((one for one in self.seen if self.path(one) == entity.key[0]), None)
        guests = self.of.get("guest_id", [])
        if guests and guests[0].content.filled:
            self.key(entity, guests[0])
            if guests[0].content.share_filled < 1:
                entity.when = {"column": guests[0].name, "exists": True}
            return guests[0]
        is_line = self.any("quantity", "amount")
        ranked = [
            one for concept in ("customer_id", "contact_id", "account_id", "id", "card_number")
            for one in self.of.get(concept, []) if one.column.inside is None
        ]  # fmt: skip
        unique = [one for one in ranked if one.content.is_unique]
        nearly = [one for one in ranked if one.content.is_nearly_unique]
        chosen = (unique or nearly or ranked) if not is_line else [one for one in ranked if one.concept != "id"]
        if chosen:
            key = chosen[0]
            self.key(entity, key)
            if not is_line and not key.content.is_nearly_unique:
                self.result.todo["key"] = f'"{key.name}" repeats or is empty in places; is it the key of a customer?'
            return key
        fallback = next((one for one in self.seen if one.content.is_unique and one.concept in (None, "email")), None)
        if fallback is not None and not is_line:
            self.key(entity, fallback)
            self.result.todo["key"] = (
                f'"{fallback.name}" is the only column without repeats; is it the key of a customer?'
            )
            return fallback
        self.result.todo["key"] = (
            "no column tells one customer from another; which do? (without a key, a hash of the row)"
        )
        return None

    def key(self, entity: EntityDraft, *columns: Seen | None) -> None:
        for one in columns:
            if one is not None:
                entity.key.append(self.path(one))
                self.used.add(self.tag(one))

    def _references(self, entity: EntityDraft, *, own: bool) -> None:
        account = self.take("customer_id", "account_id", "guest_id")
        accounts = [*self.of.get("account_id", []), *self.of.get("customer_id", [])]
        if len(accounts) > 1 and not own:
            # An account is what a person knows of themselves; the other stays for a person to decide.
            account = max(accounts, key=lambda one: one.content.filled)
        if account is None and own and "customer" in self.result.entities:
            account = next((one for one in self.seen if self.path(one) in self.result.entities["customer"].key), None)
        if account is not None:
            kind = self.take("customer_type")
            if kind and kind.content.words and own:
                self.put(
                    entity, "ref_account_source", kind, values=dict.fromkeys(sorted(kind.content.words), self.source)
                )
                entity.columns["ref_account_source"].todo = "which source does each kind of customer come from?"
            else:
                is_own = own and self.path(account) in self.result.entities["customer"].key
                doubt = None if is_own else f'which source\'s record does "{account.name}" name? Put its name here'
                self.constant(entity, "ref_account_source", self.source, doubt)
            self.put(entity, "ref_account", account)
        self.put(entity, "ref_card", self.take("card_number") if not own else None)
        if not own or self.any("order_id"):
            self.put(entity, "ref_email", self.take("email"))
            self.put(entity, "ref_phone", self.take("phone_mobile", "phone", "phone_landline"))
            self.put(entity, "ref_cookie", self.take("cookie"))
            self.put(entity, "ref_last_name", self.take("last_name"))
            self.put(entity, "ref_first_name", self.take("first_name"))

    @property
    def has_customer(self) -> bool:
        return "customer" in self.result.entities or len(_PERSONAL & set(self.of)) >= 4

    def _sale(self, entity: EntityDraft) -> None:
        """What a line and an order have in common."""
        self.dated(entity, "ordered_at", self.take("ordered_at", "date", "created_at"), required=True)
        channel = self.take("channel")
        if channel:
            self.valued(entity, "channel", channel, words.SALE_CHANNEL)
        elif self.any("store", "till") or "ticket" in plain(self.sample.file_name):
            self.constant(entity, "channel", "store")
        else:
            is_web = "web" in self.file_senses
            self.constant(
                entity, "channel", "web", None if is_web else "where are these orders placed: web, store, ...?"
            )
        self.put(entity, "store", self.take("store"))
        self.valued(entity, "status", self.take("status"), words.ORDER_STATUS)
        self.put(entity, "currency", self.take("currency"))
        self.valued(entity, "payment_method", self.take("payment"), words.PAYMENT, otherwise="other")
        if self.has_customer and "customer" not in self.result.entities:
            self.result.entities.setdefault("customer", EntityDraft())
            self._customer_key(self.result.entities["customer"])
        self._references(entity, own="customer" in self.result.entities)

    def _order_line(self, entity: EntityDraft) -> None:
        order = self.take("order_id", "transaction_id")
        line = self.take("line_id")
        inside = [one.column.inside for one in self.of.get("quantity", []) if one.column.inside]
        entity.each = inside[0] if inside else None
        if order is None:
            # Where lines lie within the row, its own number is that of the order; else it repeats from line to line.
            plain_ids = [one for one in self.of.get("id", []) if one.column.inside is None]
            order = next((one for one in plain_ids if one.content.is_unique == (entity.each is not None)), None)
        if order is None:
            self.result.todo["key"] = "no column holds the number of the order; which does?"
        self.key(entity, order, line)
        self._sale(entity)
        product = self.take("product_id") or next(
            (one for one in self.of.get("id", []) if self.tag(one) not in self.used), None
        )
        self.put(entity, "product_id", product)
        self.put(entity, "product_label", self.take("label"))
        self.put(entity, "quantity", self.take("quantity"), required=True)
        self.put(entity, "unit_price", self.take("unit_price"))
        self.put(entity, "amount_discount", self.take("discount"))
        amounts = [one for one in self.of.get("amount", []) if one.column.inside == entity.each]
        if len(amounts) > 1:
            # The total of the order repeats on each of its lines; the amount of the line does not say `total`.
            amounts.sort(key=lambda one: ("total" in one.senses and "line" not in one.senses, "order" in one.senses))
        self.put(entity, "amount_gross", amounts[0] if amounts else None, **({"required": True} if amounts else {}))
        if self.any("unit_price_net", "amount_net") and not amounts:
            self.result.todo["amount_gross"] = "amounts without tax only: landing wants them with tax"
        self.put(entity, "amount_tax", self.take("amount_tax"))
        self.put(entity, "tax_rate", self.take("tax_rate"))
        kind = self.take("line_type", "type")
        if kind and words.share_known(kind.content.words, words.LINE_KIND) >= 0.5:
            self.valued(entity, "line_kind", kind, words.LINE_KIND)
        self.put(entity, "returned_order_id", self.take("returned_order_id"))

    def _order(self, entity: EntityDraft) -> None:
        order = self.take("order_id") or self.take("transaction_id", "id")
        self.key(entity, order)
        self._sale(entity)
        totals = sorted(self.of.get("amount", []), key=lambda one: "total" not in one.senses)
        self.put(entity, "amount_total", totals[0] if totals else None)

    def _product(self, entity: EntityDraft) -> None:
        keys = [*self.of.get("product_id", []), *self.of.get("id", [])]
        self.key(entity, next((one for one in keys if one.content.is_nearly_unique), keys[0] if keys else None))
        labels = self.of.get("label", [])
        self.put(entity, "label", labels[0] if labels else None)
        categories = self.of.get("category", [])
        self.put(entity, "category", categories[0] if categories else None)
        self.put(entity, "subcategory", self.take("subcategory") or (categories[1] if len(categories) > 1 else None))
        self.put(entity, "brand", self.take("brand"))
        self.valued(entity, "audience", self.take("audience", "sex"), words.AUDIENCE, otherwise=None)
        self.put(entity, "unit_price", self.take("unit_price"))
        self.put(entity, "is_product", self.take("is_product"))

    def _event(self, entity: EntityDraft) -> None:
        kind = self.take("event_type", "type")
        when = self.take("date", "call_at", "ordered_at", "created_at", "updated_at", "receive_at")
        key = next(
            (one for concept in ("event_id", "answer_id", "id", "session_id") for one in self.of.get(concept, [])
             if one.content.is_nearly_unique), None,
        )  # fmt: skip
        if "customer" in self.result.entities:
            entity.key = [*self.result.entities["customer"].key, *([self.path(when)] if when else [])]
        else:
            self.key(entity, key)
        is_call = (
            (self.any("call_at", "duration") or "call" in self.file_senses)
            and self.any("reason", "staff")
            and kind is None
        )
        if kind is not None:
            self.valued(entity, "event_type", kind, words.EVENT)
        elif is_call:
            self.constant(entity, "event_type", "call")
        elif self.any("score", "answer_id"):
            self.constant(entity, "event_type", "survey_answer")
        else:
            self.constant(entity, "event_type", "page_view", "what are these events: session, page_view, call, ...?")
        if channel := self.take("channel"):
            self.valued(entity, "channel", channel, words.SALE_CHANNEL)
        else:
            told = kind.content.words if kind else ()
            is_mail = words.share_known(told, {k: v for k, v in words.EVENT.items() if v.startswith("email_")}) >= 0.5
            by_kind = "email" if is_mail else "phone" if is_call else "survey" if self.any("score") else "web"
            self.constant(entity, "channel", by_kind)
        self.dated(entity, "occurred_at", when, required=True)
        self._references(entity, own="customer" in self.result.entities)
        self.put(entity, "campaign", self.take("campaign"))
        self.put(entity, "product_id", self.take("product_id"))
        self.put(entity, "reason", self.take("reason", "bounce"))
        self.put(entity, "value", self.take("value", "score", "duration", "amount"))

    def _consent(self, entity: EntityDraft) -> None:
        if (
            "customer" in self.result.entities
            or "order_line" in self.result.entities
            or "order" in self.result.entities
        ):
            self._consent_beside(entity)
            return
        key = next((one for one in self.of.get("id", []) if one.content.is_nearly_unique), None)
        self.key(entity, key)
        channel = self.take("channel")
        if channel:
            self.valued(entity, "channel", channel, words.CONTACT_CHANNEL)
        else:
            self.constant(entity, "channel", "email", "about which channel did they choose?")
        if purpose := self.take("purpose"):
            self.valued(entity, "purpose", purpose, words.PURPOSE)
        else:
            self.constant(entity, "purpose", "marketing", "for which purpose did they choose?")
        chosen = self.take("choice", "consent_status", "consent_any", "consent_email", "status", "active")
        self.valued(entity, "status", chosen, words.CONSENT)
        if basis := self.take("basis"):
            self.valued(entity, "basis", basis, words.BASIS)
        self.put(entity, "text_version", self.take("consent_version"))
        self.put(entity, "proof", self.take("proof"))
        self.dated(entity, "occurred_at", self.take("date", "consent_at", "updated_at", "created_at"), required=True)
        self._references(entity, own=False)

    def _consent_beside(self, entity: EntityDraft) -> None:
        """What a customer or an order says about being contacted."""
        channels = {
            "consent_email": "email", "consent_sms": "sms", "consent_phone": "phone", "consent_post": "post",
            "consent_any": "email", "consent_status": "email",
        }  # fmt: skip
        told = [(one, channel) for concept, channel in channels.items() for one in self.of.get(concept, [])]
        chosen, channel = told[0]
        for other, _ in told[1:]:
            self.result.todo[other.name] = (
                f'a second choice beside "{chosen.name}": one contract delivers one; declare the file twice, or ignore it'
            )
        beside = self.result.entities.get("customer") or EntityDraft()
        order = self.result.entities.get("order_line") or self.result.entities.get("order")
        when = self.take("consent_at") or (self.take("ordered_at", "date") if order else None)
        when = when or self.take("created_at", "updated_at")
        if order is not None:
            entity.key = order.key[:1]
        else:
            entity.key = [*beside.key, *([self.path(when)] if when else [])]
        is_sure = chosen.concept not in ("consent_any",) or "mail" in chosen.senses
        self.constant(entity, "channel", channel, None if is_sure else f'which channel is "{chosen.name}" about?')
        self.constant(entity, "purpose", "marketing")
        self.valued(entity, "status", chosen, words.CONSENT)
        self.constant(
            entity, "basis", "opt_in", "on what basis: opt_in, double_opt_in, soft_opt_in, legitimate_interest?"
        )
        self.put(entity, "text_version", self.take("consent_version"))
        self.put(entity, "proof", self.take("proof"))
        self.dated(entity, "occurred_at", when)
        if order is not None:
            for name in ("ref_account_source", "ref_account", "ref_email"):
                if name in order.columns:
                    entity.columns[name] = order.columns[name]
        elif beside.key:
            self.constant(entity, "ref_account_source", self.source)
            entity.columns["ref_account"] = RuleDraft({"from": beside.key[0]})

    def _privacy_request(self, entity: EntityDraft) -> None:
        keys = [*self.of.get("request_id", []), *self.of.get("id", [])]
        self.key(entity, next((one for one in keys if one.content.is_nearly_unique), None))
        self.valued(entity, "request_type", self.take("request_type", "type"), words.REQUEST)
        self.dated(entity, "requested_at", self.take("receive_at", "date", "created_at"), required=True)
        self._references(entity, own=False)
        wordy = [one for one in self.seen if self.tag(one) not in self.used and one.content.most_words > 3]
        self.put(entity, "details", self.take("details", "comment") or (wordy[0] if wordy else None))

    # -- what is left --

    def _check_elements(self, main: str) -> None:
        inside = {one.column.inside for one in self.seen if one.column.inside}
        each = {entity.each for entity in self.result.entities.values()}
        around = {path for path in inside for other in each if other and other.startswith(f"{path}[*].")}
        for path in sorted(str(found) for found in inside - each - around):
            self.result.todo[path] = "an array of objects: does each element make a row of some entity (`each`)?"

    def _set_aside(self, names: list[str]) -> None:
        holder = next(
            (name for name in names if any(c.name in ("custom", "properties") for c in ENTITIES[name].columns)), None
        )
        each = {entity.each for entity in self.result.entities.values() if entity.each}
        for one in self.seen:
            if self.tag(one) in self.used or (one.column.inside and one.column.inside not in each):
                continue
            if one.column.inside is None and one.name.split(".")[0] in self.result.ignored:
                continue
            if one.concept in _TECHNICAL or one.concept == "repeat" or not one.content.filled:
                self._ignore(one)
                if not one.content.filled:
                    self.result.todo[one.name] = "no value in the sample: what is it?"
            elif holder is None:
                self._ignore(one)
                self.result.todo.setdefault(one.name, f"no column of {names[0]} fits; map it, or leave it ignored")
            else:
                self._keep(self.result.entities[holder], one)

    def _ignore(self, one: Seen) -> None:
        self.result.ignored.append(one.name)

    def _keep(self, entity: EntityDraft, one: Seen) -> None:
        attribute = slug(one.name)
        while attribute in entity.custom:
            attribute += "_2"
        entity.custom[attribute] = self.path(one)
        why = one.doubt or "no canonical column was recognised"
        if one.concept not in ("store", "score", "comment", "order_id", "type"):
            self.result.todo.setdefault(one.name, f"{why}; map it, keep it as a custom attribute, or ignore it")


def _name_order(one: Seen) -> tuple[str, str | None]:
    values = [value for value in one.column.values if value]
    if one.content.upper_first > 0.5:
        return "last_first", None
    at_start = sum(plain(value).split()[0] in FIRST_NAMES for value in values)
    at_end = sum(plain(value).split()[-1] in FIRST_NAMES for value in values)
    doubt = f'is "{one.name}" written last name first, or first name first?'
    if at_start == at_end:
        return "unknown", doubt
    order = "first_last" if at_start > at_end else "last_first"
    return order, None if max(at_start, at_end) > 3 * min(at_start, at_end) + 3 else doubt


def mapped_columns(draft: MappingDraft) -> Iterable[tuple[str, str, str]]:
    """(column of the file, entity, canonical column, `key`, `custom` or `tags`) of all that a draft maps."""
    for name, entity in draft.entities.items():
        for column in entity.key:
            yield column, name, "key"
        for canonical, rule in entity.columns.items():
            for column in [rule.keys["from"]] if "from" in rule.keys else []:
                yield column, name, canonical
        for column in entity.custom.values():
            yield column, name, "custom"
        for column in entity.tags:
            yield column, name, "tags"
