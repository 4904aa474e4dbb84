"""The canonical entities: what any source can deliver, column by column, with its personal-data class.

This is where source differences end. A landing table `landing.<entity plural>` has the entity's
columns in this order, then `LANDING_COLUMNS`. Nothing after landing knows a source by name.

Personal-data classes: `identity` (tells who), `contact` (reaches the person), `reference` (a
pseudonymous key of the person in some system), `trait` (about the person, does not tell who),
`sensitive` (free text or special care), `none`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["string", "date", "timestamp", "decimal", "integer", "boolean", "json"]
PersonalClass = Literal["identity", "contact", "reference", "trait", "sensitive", "none"]

#: DuckDB type of each kind. Money and quantities are exact decimals, never double.
SQL_TYPES: dict[Kind, str] = {
    "string": "varchar",
    "date": "date",
    "timestamp": "timestamp",  # UTC
    "decimal": "decimal(18,4)",
    "integer": "bigint",
    "boolean": "boolean",
    "json": "varchar",  # JSON in a string
}


@dataclass(frozen=True)
class Column:
    """One canonical column."""

    name: str
    kind: Kind
    personal: PersonalClass
    description: str


@dataclass(frozen=True)
class Entity:
    """One canonical entity.

    `keys`: columns that identify a row within its source; the row's `record_id` is the key, or the
    parts joined by `|`. `is_state`: rows describe something that lasts and changes (a full delivery
    that no longer holds one deletes it); else rows are facts, and stay. `is_ledger`: a fact delivered again
    with another content is one more row, so that nothing said is ever overwritten.
    """

    name: str
    plural: str
    keys: tuple[str, ...]
    is_state: bool
    columns: tuple[Column, ...]
    is_ledger: bool = False

    @property
    def table(self) -> str:
        return f"landing.{self.plural}"

    def column(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)


def _c(name: str, kind: Kind, personal: PersonalClass, description: str) -> Column:
    return Column(name, kind, personal, description)


#: Who a fact is about. Resolved through `rcu.identifiers` in the order account, card, email, phone,
#: cookie. `ref_account_source` names the source whose record id `ref_account` is.
REFERENCES = (
    _c("ref_account_source", "string", "none", "Source whose customer record `ref_account` names"),
    _c("ref_account", "string", "reference", "Record id of the customer in `ref_account_source`"),
    _c("ref_card", "string", "reference", "Loyalty card number as given"),
    _c("ref_email", "string", "contact", "E-mail address as given"),
    _c("ref_phone", "string", "contact", "Phone number as given"),
    _c("ref_cookie", "string", "reference", "Visitor or device identifier"),
    _c("ref_last_name", "string", "identity", "Last name given with the fact, for the name check"),
    _c("ref_first_name", "string", "identity", "First name given with the fact, for the name check"),
)

_CUSTOM = _c("custom", "json", "trait", "Attributes kept as the source has them: a JSON object of texts")

_ORDER_HEADER = (
    _c("ordered_at", "timestamp", "none", "When the order was placed, UTC"),
    _c("channel", "string", "none", "Where it was placed: store, web, app, phone, ..."),
    _c("store", "string", "none", "Shop code, for store orders"),
    _c("status", "string", "none", "completed, cancelled, refunded, pending; null counts as completed"),
    _c("currency", "string", "none", "ISO 4217 code; null means the company's currency"),
    _c("payment_method", "string", "none", "card, cash, voucher, ..."),
    *REFERENCES,
)

CUSTOMER = Entity(
    "customer", "customers", ("record_id",), True,
    (
        _c("record_id", "string", "reference", "The record's key in its source"),
        _c("civility", "string", "identity", "Civility as given (M., Mme, MLLE, DR, ...)"),
        _c("full_name", "string", "identity", "First and last names in one text, when the source does not part them"),
        _c("full_name_order", "string", "none", "Order of `full_name`: last_first, first_last or unknown"),
        _c("last_name", "string", "identity", "Last (usage) name as given"),
        _c("birth_name", "string", "identity", "Name at birth (maiden name), when told apart"),
        _c("first_name", "string", "identity", "First name(s) as given"),
        _c("birth_on", "date", "identity", "Date of birth"),
        _c("sex", "string", "trait", "M, F or null"),
        _c("email", "string", "contact", "E-mail address as given"),
        _c("phone", "string", "contact", "Main phone as given, mobile or landline"),
        _c("phone_other", "string", "contact", "Second phone as given"),
        _c("address_line", "string", "contact", "Street line: number, type, name"),
        _c("address_extra", "string", "contact", "Building, floor, care of, ..."),
        _c("postal_code", "string", "contact", "Postal code as given"),
        _c("city", "string", "contact", "City as given"),
        _c("country", "string", "trait", "Country as given (name or ISO code); null means the company's"),
        _c("language", "string", "trait", "Preferred language as given"),
        _c("card_number", "string", "reference", "Loyalty card number"),
        _c("account_source", "string", "none", "Source whose customer record `account` names"),
        _c("account", "string", "reference", "Record id of the same person in `account_source`, when the source knows it"),
        _c("national_number", "string", "identity", "National or tax number of the person"),
        _c("company_name", "string", "identity", "Company, for business customers"),
        _c("company_number", "string", "reference", "Registration number of the company (SIREN, SIRET)"),
        _c("household", "string", "reference", "Declared household key within the source"),
        _c("preferred_channel", "string", "trait", "Channel the person asked to be contacted by"),
        _c("contact_frequency", "string", "trait", "How often the person accepts to be contacted"),
        _c("interests", "json", "trait", "Declared interests: a JSON array of texts"),
        _c("tags", "json", "trait", "Tags of the source: a JSON array of texts"),
        _c("is_active", "boolean", "trait", "False when the source says the account is closed"),
        _c("created_at", "timestamp", "trait", "When the record was created in its source, UTC"),
        _c("updated_at", "timestamp", "trait", "When the record was last changed in its source, UTC"),
        _c("last_contact_at", "timestamp", "trait", "Last contact that came from the person, as the source knows it, UTC"),
        _CUSTOM,
    ),
)  # fmt: skip

ORDER = Entity(
    "order", "orders", ("order_id",), False,
    (
        _c("order_id", "string", "reference", "Order or ticket number in its source"),
        *_ORDER_HEADER,
        _c("amount_total", "decimal", "none", "Total that the source states, tax included, for reconciliation"),
        _CUSTOM,
    ),
)  # fmt: skip

ORDER_LINE = Entity(
    "order_line", "order_lines", ("order_id", "line_id"), False,
    (
        _c("order_id", "string", "reference", "Order or ticket number in its source"),
        _c("line_id", "string", "none", "Line number within the order; the row number of the same order where the source has none"),
        *_ORDER_HEADER,
        _c("product_id", "string", "none", "Product reference"),
        _c("product_label", "string", "none", "Product label as on the line"),
        _c("quantity", "decimal", "none", "Units; negative for a return"),
        _c("unit_price", "decimal", "none", "Price of one unit, tax included, before discount"),
        _c("amount_discount", "decimal", "none", "Discount on the line, tax included, positive"),
        _c("amount_gross", "decimal", "none", "Line amount after discount, tax included; quantity * unit_price - discount where absent"),
        _c("amount_tax", "decimal", "none", "Tax within amount_gross"),
        _c("tax_rate", "decimal", "none", "Tax rate, 0 to 1"),
        _c("line_kind", "string", "none", "sale, return, cancellation, write_off, fee, voucher, test; null: told by declared rules"),
        _c("returned_order_id", "string", "reference", "Order that a return or cancellation refers to"),
        _CUSTOM,
    ),
)  # fmt: skip

PRODUCT = Entity(
    "product", "products", ("product_id",), True,
    (
        _c("product_id", "string", "none", "Product reference"),
        _c("label", "string", "none", "Label"),
        _c("category", "string", "none", "Category (first level)"),
        _c("subcategory", "string", "none", "Category (second level)"),
        _c("brand", "string", "none", "Brand"),
        _c("audience", "string", "none", "Whom the range is for: women, men, children or null"),
        _c("unit_price", "decimal", "none", "List price, tax included"),
        _c("is_product", "boolean", "none", "False for fees, vouchers, postage, tests"),
        _CUSTOM,
    ),
)  # fmt: skip

EVENT = Entity(
    "event", "events", ("event_id",), False,
    (
        _c("event_id", "string", "none", "Event key; a hash of the row where the source has none"),
        _c("event_type", "string", "none", "page_view, session, cart, email_sent, email_open, email_click, email_bounce, email_unsubscribe, email_complaint, mail_returned, call, wrong_number, survey_answer, store_visit, social"),
        _c("occurred_at", "timestamp", "none", "When, UTC"),
        _c("channel", "string", "none", "web, app, email, phone, store, survey, ..."),
        *REFERENCES,
        _c("campaign", "string", "none", "Campaign or message"),
        _c("product_id", "string", "none", "Product concerned"),
        _c("reason", "string", "none", "Bounce type (hard, soft), call reason, ..."),
        _c("value", "decimal", "none", "Number that goes with the event: cart amount, score, duration in seconds"),
        _c("properties", "json", "sensitive", "Everything else: a JSON object of texts"),
    ),
)  # fmt: skip

CONSENT = Entity(
    "consent", "consents", ("consent_id",), False,
    (
        _c("consent_id", "string", "none", "Key; a hash of the row where the source has none"),
        _c("channel", "string", "trait", "email, sms, phone, post, push, all"),
        _c("purpose", "string", "trait", "marketing, profiling, open_tracking, partners, all"),
        _c("status", "string", "trait", "granted, pending (double opt-in not confirmed), refused, withdrawn"),
        _c("basis", "string", "trait", "opt_in, double_opt_in, soft_opt_in, legitimate_interest, parental"),
        _c("text_version", "string", "none", "Version of the text that was shown"),
        _c("proof", "string", "sensitive", "Where the proof is (form, IP hash, recording)"),
        _c("occurred_at", "timestamp", "none", "When the person said so, UTC"),
        *REFERENCES,
    ),
    is_ledger=True,
)  # fmt: skip

PRIVACY_REQUEST = Entity(
    "privacy_request", "privacy_requests", ("request_id",), False,
    (
        _c("request_id", "string", "none", "Request number in its source"),
        _c("request_type", "string", "trait", "access, erasure, rectification, objection, portability"),
        _c("requested_at", "timestamp", "none", "When it was received, UTC"),
        *REFERENCES,
        _c("details", "string", "sensitive", "What was asked, in words"),
    ),
)  # fmt: skip

STEWARD_DECISION = Entity(
    "steward_decision", "steward_decisions", ("decision_id",), False,
    (
        _c("decision_id", "string", "none", "Key; a hash of the row where the source has none"),
        _c("left_source", "string", "none", "Source of the first record"),
        _c("left_record_id", "string", "reference", "First record"),
        _c("right_source", "string", "none", "Source of the second record"),
        _c("right_record_id", "string", "reference", "Second record"),
        _c("decision", "string", "none", "same, different, later; pin or unpin: the attribute is taken from the first record"),
        _c("attribute", "string", "none", "Attribute that a pin is about, as named in survivorship.yml"),
        _c("decided_by", "string", "reference", "Who decided"),
        _c("decided_at", "timestamp", "none", "When, UTC"),
    ),
)  # fmt: skip

ENTITIES: dict[str, Entity] = {
    entity.name: entity
    for entity in (
        CUSTOMER, ORDER, ORDER_LINE, PRODUCT, EVENT, CONSENT, PRIVACY_REQUEST, STEWARD_DECISION,
    )
}  # fmt: skip

#: What ingest adds to every row of every landing file and table. None is personal.
LANDING_COLUMNS = (
    _c("source", "string", "none", "Source that delivered the row"),
    _c("row_key", "string", "reference", "Key of the row within its source: the entity's keys joined by |"),
    _c("batch_id", "string", "none", "Delivery: first 16 hex digits of the file's SHA-256"),
    _c("business_on", "date", "none", "Date the delivery is about"),
    _c("available_on", "date", "none", "Date from which runs may use the delivery"),
    _c("line_number", "integer", "none", "Line (or row) of the file, from 1, header included"),
    _c("row_hash", "string", "none", "Hash of the canonical values: equal rows have equal hashes"),
)

#: Columns of landing tables (not files) of state entities, worked out over all deliveries up to D.
#: A table has one row per key and distinct consecutive content; `is_current` marks the last one.
VERSION_COLUMNS = (
    _c("valid_from_on", "date", "none", "Business date of the first delivery with this content"),
    _c("last_seen_on", "date", "none", "Business date of the last delivery with this content"),
    _c("is_current", "boolean", "none", "This is the last known content"),
    _c("is_deleted", "boolean", "none", "A later full delivery no longer holds the record (only on current rows)"),
    _c("first_seen_on", "date", "none", "Earliest available_on of any content of the key"),
)
