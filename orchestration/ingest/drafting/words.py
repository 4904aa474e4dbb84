"""What the values of short lists mean: French and English words, and the canonical value each stands for.

What belongs here: tables of words. What does not: which column they are of (`mapping`).
"""

from __future__ import annotations

from collections.abc import Iterable

from orchestration.ingest.drafting.content import plain


def _table(**canonical: str) -> dict[str, str]:
    return {plain(word): meaning for meaning, words in canonical.items() for word in words.split("|")}


SEX = _table(M="m|h|male|homme|masculin|man|mr|monsieur", F="f|w|female|femme|feminin|woman|mme|madame")
SEX_OF_CIVILITY = _table(
    M="m|m.|mr|mr.|monsieur|mister", F="mme|mme.|mlle|mlle.|madame|mademoiselle|mrs|mrs.|ms|ms.|miss"
)
ACTIVE = _table(
    true="actif|active|activee|ouvert|ouverte|ok|enabled|1|true|oui|yes|o|y|en service",
    false="inactif|inactive|ferme|fermee|bloque|bloquee|closed|disabled|suspended|suspendu|resilie|resiliee|blocked|"
    "0|false|non|no|n|desactive",
)
ORDER_STATUS = _table(
    completed="validee|valide|validated|completed|complete|paid|payee|paye|shipped|expediee|livree|delivered|terminee|"
    "termine|fulfilled|facturee|ok|done|closed|dispatched",
    cancelled="annulee|annule|cancelled|canceled|void|abandonnee",
    refunded="remboursee|rembourse|refunded|refund|returned",
    pending="en cours|pending|attente|en attente|processing|open|new|nouvelle|placed|unpaid",
)
LINE_KIND = _table(
    sale="v|vente|sale|s|vte|sold", **{"return": "r|retour|return|refund|avoir|ret"}, cancellation="a|annulation|cancellation",
    write_off="d|demarque|casse|write off", fee="f|frais|fee|port|shipping|delivery", voucher="b|bon|voucher|cadeau|gift",
    test="t|test",
)  # fmt: skip
PAYMENT = _table(
    card="cb|carte|card|credit card|debit card|carte bancaire|visa|mastercard|amex|cc", cash="especes|cash|esp",
    cheque="cheque|check|chq|chèque", paypal="paypal|pp", transfer="virement|transfer|wire|bank transfer|vir",
    voucher="carte cadeau|gift card|giftcard|bon|bon achat|voucher|gc|avoir",
)  # fmt: skip
SALE_CHANNEL = _table(
    web="site|web|internet|online|eshop|site web|ecommerce|www|desktop", app="app|appli|mobile|mobile app|application",
    store="magasin|store|shop|boutique|pos|in store", phone="telephone|phone|tel|call centre|call center",
    marketplace="marketplace|place de marche", email="email|mail|e-mail", survey="survey|enquete",
)  # fmt: skip
CONTACT_CHANNEL = _table(
    email="email|mail|e-mail|courriel|emailing|newsletter", sms="sms|texto|text|text message",
    phone="telephone|tel|phone|appel|call", post="courrier|post|postal|letter|direct mail|papier", push="push|push app",
    all="all|tous|toutes|any",
)  # fmt: skip
PURPOSE = _table(
    marketing="marketing|commercial|prospection|promo|promotions|newsletter|offres|offers",
    profiling="profilage|profiling|personnalisation|personalisation|personalization",
    open_tracking="suivi ouverture|tracking|open tracking|suivi", partners="partenaires|partners|tiers|third parties|third party",
    all="all|tous|toutes",
)  # fmt: skip
CONSENT = _table(
    granted="granted|accepted|accepte|opt in|optin|opted in|subscribed|abonne|inscrit|active|in|true|1|oui|yes|o|y|x|ok|agree",
    pending="pending|en attente|unconfirmed|attente",
    refused="refused|refuse|false|0|non|no|n|never|declined",
    withdrawn="unsubscribed|desabonne|desinscrit|withdrawn|retire|revoked|opt out|optout|opted out|out|cleaned|stop",
)
BASIS = _table(
    double_opt_in="double opt in|double optin|doi|confirmed", opt_in="opt in|optin|single opt in",
    soft_opt_in="soft opt in|client existant|existing customer", legitimate_interest="interet legitime|legitimate interest|li",
)  # fmt: skip
EVENT = _table(
    email_sent="sent|envoye|envoi|send|email sent|delivered|delivery", email_open="open|opened|ouverture|ouvert|email open",
    email_click="click|clicked|clic|clique|email click", email_bounce="bounce|bounced|rebond|hardbounce|softbounce|email bounce",
    email_unsubscribe="unsubscribe|unsubscribed|desabonnement|desinscription|unsub|email unsubscribe",
    email_complaint="complaint|spam|plainte|spamreport|email complaint",
    page_view="page view|pageview|view|page|page vue|vue|product view", session="session|visite|session start",
    cart="cart|add to cart|panier|ajout panier|addtocart", call="call|appel|inbound call",
    store_visit="store visit|visite magasin", survey_answer="survey answer|reponse enquete", social="social|like|post",
)  # fmt: skip
REQUEST = _table(
    access="acces|access|droit acces|subject access", erasure="effacement|suppression|erasure|deletion|delete|oubli|erase",
    rectification="rectification|correction|rectify", objection="opposition|objection|object",
    portability="portabilite|portability|export",
)  # fmt: skip
AUDIENCE = _table(
    women="f|femme|femmes|women|woman|w|ladies", men="h|homme|hommes|men|man|m|mens",
    children="e|enfant|enfants|kids|kid|children|child|k|junior",
)  # fmt: skip


def share_known(values: Iterable[str], table: dict[str, str]) -> float:
    """Share of the distinct values that a table knows."""
    told = list(values)
    return sum(plain(value) in table for value in told) / len(told) if told else 0.0


def translate(values: Iterable[str], table: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """({value as in the file: canonical}, values that the table does not know)."""
    known, unknown = {}, []
    for value in sorted(values):
        if plain(value) in table:
            known[value] = table[plain(value)]
        else:
            unknown.append(value)
    return known, unknown
