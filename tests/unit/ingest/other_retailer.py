"""The extracts of a second retailer, with names that the demo does not use, and what each column is.

All persons are invented. `EXTRACTS`: file name -> (bytes, {column: what it should be}); a meaning is
`entity.column`, several joined by `+`, or `aside` for a column that has no canonical one.
"""

from __future__ import annotations

import datetime as dt
import json
import random

DRAW = random.Random(11)
FIRST = [
    "Marie",
    "Jean",
    "Pierre",
    "Sophie",
    "Lucas",
    "Emma",
    "Hugo",
    "Claire",
    "Nadia",
    "Paul",
    "Julie",
    "Marc",
    "Alice",
]
LAST = [
    "Delorme",
    "Vasseur",
    "Guillot",
    "Tessier",
    "Marchand",
    "Roche",
    "Carlier",
    "Blondel",
    "Pruvost",
    "Perrot",
    "Vidal",
]
STREETS = ["rue des Lilas", "avenue Foch", "place du Marché", "chemin Vert", "boulevard Carnot"]
TOWNS = [("69003", "Lyon"), ("38000", "Grenoble"), ("59000", "Lille"), ("13008", "Marseille"), ("35000", "Rennes")]


class Person:
    def __init__(self, number: int) -> None:
        self.number = number
        self.first, self.last = DRAW.choice(FIRST), DRAW.choice(LAST)
        self.is_woman = self.first in ("Marie", "Sophie", "Emma", "Claire", "Nadia", "Julie", "Alice", "Laura")
        self.born = dt.date(1940, 1, 1) + dt.timedelta(days=DRAW.randrange(23000))
        self.mail = f"{self.first}.{self.last}{number}@example.org".lower()
        self.mobile = f"06{DRAW.randrange(10**8):08d}"
        self.fixed = f"04{DRAW.randrange(10**8):08d}"
        self.street = f"{DRAW.randrange(1, 200)} {DRAW.choice(STREETS)}"
        self.zip, self.town = DRAW.choice(TOWNS)
        self.since = dt.date(2015, 1, 1) + dt.timedelta(days=DRAW.randrange(4000))
        self.changed = self.since + dt.timedelta(days=DRAW.randrange(300))
        self.card = f"77{number:08d}"


PEOPLE = [Person(n) for n in range(1, 241)]


def csv_of(delimiter: str, names: list[str], rows: list[list[object]], encoding: str = "utf-8") -> bytes:
    lines = [delimiter.join(names), *(delimiter.join("" if v is None else str(v) for v in row) for row in rows)]
    return ("\n".join(lines) + "\n").encode(encoding)


def maybe(value: object, share: float = 0.7) -> object:
    return value if DRAW.random() < share else None


def money(value: float) -> str:
    return f"{value:.2f}".replace(".", ",")


EXTRACTS: dict[str, tuple[bytes, dict[str, str]]] = {}

_named = {
    "IdClient": "customer.key+consent.ref_account", "Titre": "customer.civility+customer.sex", "NomUsage": "customer.last_name",
    "NomJeuneFille": "customer.birth_name", "PrenomUsuel": "customer.first_name", "DateNais": "customer.birth_on",
    "AdrMail": "customer.email", "NumPortable": "customer.phone", "NumDomicile": "customer.phone_other",
    "Adr1": "customer.address_line", "Adr2": "customer.address_extra", "CodPost": "customer.postal_code",
    "LibVille": "customer.city", "CodPays": "customer.country", "CodLangue": "customer.language",
    "DtInscription": "customer.created_at", "DtDernModif": "customer.updated_at", "NumFid": "customer.card_number",
    "TopOptinMail": "consent.status", "DtOptin": "consent.occurred_at", "Enseigne": "aside", "NomConseiller": "aside",
}  # fmt: skip
EXTRACTS["ExportClients_15112026.csv"] = (
    csv_of(";", list(_named), [
        [f"C{p.number:06d}", "Mme" if p.is_woman else "M.", p.last.upper(), maybe("Noël", 0.05), p.first,
         maybe(p.born.strftime("%d/%m/%Y")), maybe(p.mail), maybe(p.mobile), maybe(p.fixed, 0.3), p.street,
         maybe("Bât. B", 0.1), p.zip, p.town, "FR", "fr", p.since.strftime("%d/%m/%Y"), p.changed.strftime("%d/%m/%Y"),
         maybe(p.card), DRAW.choice("ON"), p.since.strftime("%d/%m/%Y"), DRAW.choice(["Mode & Co", "Maison & Co"]),
         DRAW.choice(["KLM", "ZED"])]
        for p in PEOPLE], "cp1252"),
    _named,
)  # fmt: skip

_named = {
    "customer_no": "customer.key+consent.ref_account", "salutation": "customer.civility+customer.sex", "given_name": "customer.first_name",
    "family_name": "customer.last_name", "dob": "customer.birth_on", "email_address": "customer.email",
    "mobile_number": "customer.phone", "home_phone": "customer.phone_other", "street_1": "customer.address_line",
    "street_2": "customer.address_extra", "zip_code": "customer.postal_code", "town": "customer.city",
    "country_code": "customer.country", "member_since": "customer.created_at+consent.occurred_at", "last_updated": "customer.updated_at",
    "loyalty_id": "customer.card_number", "accepts_marketing": "consent.status", "customer_group": "customer.tags",
    "account_manager": "aside", "last_visit": "customer.last_contact_at",
}  # fmt: skip
EXTRACTS["customers_2026-11-15.csv"] = (
    csv_of(",", list(_named), [
        [p.number + 5000, "Ms" if p.is_woman else "Mr", p.first, p.last, maybe(p.born.strftime("%m/%d/%Y")), p.mail,
         maybe(p.mobile), maybe(p.fixed, 0.3), p.street, maybe("Flat 2", 0.1), p.zip, p.town, "GB", p.since.isoformat(),
         p.changed.isoformat(), maybe(p.card), DRAW.choice(["TRUE", "FALSE"]), DRAW.choice(["gold", "silver"]),
         DRAW.choice(["am1", "am2"]), maybe(p.changed.isoformat())]
        for p in PEOPLE]),
    _named,
)  # fmt: skip

_named = {
    "Order Number": "order_line.key", "Line No": "order_line.key", "Order Date": "order_line.ordered_at",
    "Sales Channel": "order_line.channel", "Order Status": "order_line.status", "Customer ID": "order_line.ref_account",
    "Customer Email": "order_line.ref_email", "SKU": "order_line.product_id",
    "Item Description": "order_line.product_label", "Qty Ordered": "order_line.quantity",
    "Unit Price": "order_line.unit_price", "Discount Amount": "order_line.amount_discount",
    "Line Total": "order_line.amount_gross", "VAT Amount": "order_line.amount_tax",
    "Payment Method": "order_line.payment_method", "Currency": "order_line.currency", "Picker": "aside",
}  # fmt: skip
EXTRACTS["order_items_20261115.csv"] = (
    csv_of(",", list(_named), [
        [f"SO-{n // 2:05d}", n % 2 + 1, f"2026-10-{n % 28 + 1:02d} 10:{n % 60:02d}:00",
         DRAW.choice(["Online", "Mobile App", "Store"]),
         DRAW.choice(["Shipped", "Cancelled", "Refunded", "Processing"]), PEOPLE[n % 200].number + 5000,
         PEOPLE[n % 200].mail, f"SKU{n % 37:04d}", f"Shirt {n % 37}", n % 3 + 1, f"{n % 37 + 9.9:.2f}", "0.00",
         f"{(n % 37 + 9.9) * (n % 3 + 1):.2f}", f"{(n % 37 + 9.9) / 6:.2f}", DRAW.choice(["Credit Card", "PayPal"]),
         "GBP", DRAW.choice(["p1", "p2", "p3"])]
        for n in range(400)]),
    _named,
)  # fmt: skip

_named = {
    "NoFacture": "order_line.key", "NumLig": "order_line.key", "DateVente": "order_line.ordered_at",
    "CodMag": "order_line.store", "CodArt": "order_line.product_id", "DesignArt": "order_line.product_label",
    "Quantite": "order_line.quantity", "PrixUnitTTC": "order_line.unit_price", "MtRemise": "order_line.amount_discount",
    "MtTTC": "order_line.amount_gross", "MtTVA": "order_line.amount_tax", "NoCarteFid": "order_line.ref_card",
    "NomVendeur": "aside", "CodCaisse": "aside",
}  # fmt: skip
EXTRACTS["ventes_magasin_261115.txt"] = (
    csv_of("\t", list(_named), [
        [f"F{n // 3:07d}", n % 3 + 1, f"{n % 28 + 1:02d}/10/2026 1{n % 8}:05", f"M{n % 4:02d}", f"A{n % 50:05d}",
         f"Article {n % 50}", 1, money(n % 50 + 5), money(0), money(n % 50 + 5), money((n % 50 + 5) / 6),
         maybe(PEOPLE[n % 200].card, 0.5), DRAW.choice(["Zoé", "Léo"]), DRAW.choice("12")]
        for n in range(500)]),
    _named,
)  # fmt: skip

_named = {
    "sku": "product.key", "title": "product.label", "department": "product.category",
    "subCategory": "product.subcategory", "brandName": "product.brand", "gender": "product.audience",
    "retailPrice": "product.unit_price", "colour": "aside",
}  # fmt: skip
EXTRACTS["articles.json"] = (
    json.dumps({"export": {"items": [
        {"sku": f"SKU{n:04d}", "title": f"Linen shirt {n}", "department": DRAW.choice(["Clothing", "Home"]),
         "subCategory": DRAW.choice(["Shirts", "Linen"]), "brandName": DRAW.choice(["Alba", "Norda"]),
         "gender": DRAW.choice(["women", "men", "kids"]), "retailPrice": n + 9.9, "colour": DRAW.choice(["red", "ecru"])}
        for n in range(60)]}}).encode(),
    _named,
)  # fmt: skip

_named = {
    "eventId": "event.key", "eventType": "event.event_type", "contact.id": "event.ref_account",
    "contact.mail": "event.ref_email", "campaignName": "event.campaign", "timestamp": "event.occurred_at",
    "clickedUrl": "aside", "bounceReason": "event.reason",
}  # fmt: skip
EXTRACTS["mailing_events_20261115.jsonl"] = (
    "".join(json.dumps(
        {"eventId": f"ev{n}", "eventType": DRAW.choice(["Delivered", "Opened", "Clicked", "Bounced", "Unsubscribed"]),
         "contact": {"id": 5000 + n % 200, "mail": PEOPLE[n % 200].mail}, "campaignName": f"autumn-{n % 3}",
         "timestamp": 1_790_000_000 + n * 60, "clickedUrl": maybe("https://example.org/a", 0.3),
         "bounceReason": maybe("mailbox full", 0.1)}) + "\n"
        for n in range(300)).encode(),
    _named,
)  # fmt: skip

_named = {
    "ConsentId": "consent.key|aside", "ContactEmail": "consent.ref_email", "Channel": "consent.channel",
    "Purpose": "consent.purpose", "OptStatus": "consent.status", "LegalBasis": "consent.basis",
    "ConsentDate": "consent.occurred_at", "FormVersion": "consent.text_version",
}  # fmt: skip
EXTRACTS["consent_log_2026-11-15.csv"] = (
    csv_of(",", list(_named), [
        [n, PEOPLE[n % 200].mail, DRAW.choice(["Email", "SMS", "Phone"]), DRAW.choice(["Marketing", "Profiling"]),
         DRAW.choice(["opted in", "opted out"]), DRAW.choice(["opt-in", "legitimate interest"]),
         f"2026-09-{n % 28 + 1:02d}T08:00:00Z", f"v{n % 3}"]
        for n in range(200)]),
    _named,
)  # fmt: skip

_named = {
    "RequestId": "privacy_request.key", "RequestType": "privacy_request.request_type",
    "ReceivedOn": "privacy_request.requested_at", "Email": "privacy_request.ref_email",
    "Phone": "privacy_request.ref_phone", "Forename": "privacy_request.ref_first_name",
    "Surname": "privacy_request.ref_last_name", "CustomerId": "privacy_request.ref_account",
    "Message": "privacy_request.details", "HandledBy": "aside",
}  # fmt: skip
EXTRACTS["dsar_register.csv"] = (
    csv_of(",", list(_named), [
        [f"R{n}", DRAW.choice(["Erasure", "Access", "Portability"]), f"2026-09-{n % 28 + 1:02d}", p.mail, p.mobile,
         p.first, p.last, p.number + 5000, "please delete my data", "dpo"]
        for n, p in enumerate(PEOPLE[:30])]),
    _named,
)  # fmt: skip

_named = {
    "number": "order_line.key", "placedAt": "order_line.ordered_at", "customer.ref": "order_line.ref_account",
    "customer.email": "order_line.ref_email", "payment.method": "order_line.payment_method",
    "rows[].sku": "order_line.product_id", "rows[].label": "order_line.product_label",
    "rows[].qty": "order_line.quantity", "rows[].price": "order_line.unit_price",
    "rows[].amount": "order_line.amount_gross", "rows[].pos": "order_line.key", "warehouse": "aside",
}  # fmt: skip
EXTRACTS["web_baskets_20261115.jsonl"] = (
    "".join(json.dumps(
        {"number": f"W{n}", "placedAt": f"2026-10-{n % 28 + 1:02d}T09:00:00Z",
         "customer": {"ref": f"C{n % 200:06d}", "email": PEOPLE[n % 200].mail}, "payment": {"method": "paypal"},
         "warehouse": DRAW.choice(["north", "south"]),
         "rows": [{"pos": k + 1, "sku": f"SKU{k:04d}", "label": "Shirt", "qty": 1, "price": 19.9, "amount": 19.9}
                  for k in range(n % 3 + 1)]}) + "\n"
        for n in range(200)).encode(),
    _named,
)  # fmt: skip

_named = {
    "column_1": "customer.key", "column_2": "aside|customer.last_name", "column_3": "customer.first_name",
    "column_4": "customer.birth_on", "column_5": "customer.email", "column_6": "customer.phone",
}  # fmt: skip
EXTRACTS["members.dat"] = (
    "".join(
        f"{p.number:06d} {p.last:<12} {p.first:<10} {p.born:%d/%m/%Y} {p.mail:<34} {p.mobile:<12}\n" for p in PEOPLE
    ).encode(),
    _named,
)  # fmt: skip
