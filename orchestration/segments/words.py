"""Rules in plain English and French, for people who don't read YAML or SQL.

What belongs here: the words for fields, events, operators and groups. What does not: the labels that a
segment's author writes.
"""

from __future__ import annotations

import datetime as dt
from typing import Literal

from orchestration.contracts.segment import Condition, FieldReference, Segment

Language = Literal["en", "fr"]

_FIELDS: dict[str, tuple[str, str]] = {
    "customer_id": ("customer id", "identifiant client"),
    "household_id": ("household", "foyer"),
    "civility": ("civility", "civilité"),
    "first_name": ("first name", "prénom"),
    "last_name": ("last name", "nom"),
    "birth_on": ("date of birth", "date de naissance"),
    "age_years": ("age in years", "âge en années"),
    "sex": ("sex", "sexe"),
    "is_minor": ("under 18", "mineur"),
    "email": ("e-mail address", "adresse e-mail"),
    "phone": ("phone number", "numéro de téléphone"),
    "address_line": ("street address", "adresse postale"),
    "postal_code": ("postal code", "code postal"),
    "city": ("city", "ville"),
    "department": ("department", "département"),
    "region": ("region", "région"),
    "country": ("country", "pays"),
    "language": ("language", "langue"),
    "tags": ("tags", "étiquettes"),
    "interests": ("declared interests", "centres d'intérêt déclarés"),
    "preferred_contact_channel": ("preferred contact channel", "canal de contact préféré"),
    "first_seen_on": ("date first seen", "date de première apparition"),
    "last_contact_at": ("last contact", "dernier contact"),
    "days_since_last_contact": ("days since the last contact", "jours depuis le dernier contact"),
    "record_count": ("number of source records", "nombre d'enregistrements sources"),
    "source_count": ("number of sources", "nombre de sources"),
    "sources": ("sources", "sources"),
    "is_suppressed": ("suppressed", "en opposition"),
    "has_email": ("has an e-mail address", "possède une adresse e-mail"),
    "has_phone": ("has a phone number", "possède un numéro de téléphone"),
    "has_postal_address": ("has a postal address", "possède une adresse postale"),
    "is_contactable_email": ("contactable by e-mail", "joignable par e-mail"),
    "is_contactable_sms": ("contactable by SMS", "joignable par SMS"),
    "is_contactable_phone": ("contactable by phone", "joignable par téléphone"),
    "is_contactable_post": ("contactable by post", "joignable par courrier"),
    "email_contact_reason": ("reason for no e-mail", "raison de non-contact par e-mail"),
    "sms_contact_reason": ("reason for no SMS", "raison de non-contact par SMS"),
    "phone_contact_reason": ("reason for no call", "raison de non-contact par téléphone"),
    "post_contact_reason": ("reason for no mailing", "raison de non-contact par courrier"),
    "email_freshness": ("freshness of the e-mail address", "fraîcheur de l'adresse e-mail"),
    "phone_freshness": ("freshness of the phone number", "fraîcheur du téléphone"),
    "address_freshness": ("freshness of the postal address", "fraîcheur de l'adresse postale"),
    "address_doubt": ("doubt about the address", "doute sur l'adresse"),
    "first_order_on": ("date of the first order", "date de première commande"),
    "last_order_on": ("date of the last order", "date de dernière commande"),
    "days_since_last_order": ("days since the last order", "jours depuis la dernière commande"),
    "order_count": ("number of orders", "nombre de commandes"),
    "order_count_365d": ("number of orders in a year", "nombre de commandes sur un an"),
    "amount_gross": ("amount before returns", "montant avant retours"),
    "amount_returned": ("amount returned", "montant retourné"),
    "amount_net": ("amount net of returns", "montant net des retours"),
    "amount_net_365d": ("net amount in a year", "montant net sur un an"),
    "average_order_amount": ("average order amount", "panier moyen"),
    "return_rate": ("share returned", "taux de retour"),
    "discounted_order_rate": ("share of orders with a discount", "part des commandes avec remise"),
    "preferred_week_day": ("preferred day of the week", "jour de semaine préféré"),
    "preferred_hour": ("preferred hour", "heure préférée"),
    "audiences": ("ranges bought", "gammes achetées"),
    "next_stage_if_silent": ("stage to come without a purchase", "prochaine étape sans achat"),
    "next_stage_on": ("date of the next stage", "date de la prochaine étape"),
    "email_sent_count_90d": ("e-mails sent in 90 days", "e-mails envoyés sur 90 jours"),
    "plan_channel": ("channel of the plan", "canal du plan"),
    "discount_rate": ("share bought with a discount", "taux de remise"),
    "average_interval_days": ("usual number of days between orders", "intervalle habituel entre commandes, en jours"),
    "preferred_channel": ("preferred channel", "canal préféré"),
    "preferred_store": ("preferred shop", "magasin préféré"),
    "preferred_category": ("preferred category", "catégorie préférée"),
    "preferred_brand": ("preferred brand", "marque préférée"),
    "preferred_audience": ("preferred range", "gamme préférée"),
    "category_count": ("number of categories bought", "nombre de catégories achetées"),
    "channel_count": ("number of channels used", "nombre de canaux utilisés"),
    "has_web_order": ("has ordered online", "a commandé en ligne"),
    "has_store_order": ("has bought in a shop", "a acheté en magasin"),
    "rfm_recency_score": ("recency score", "score de récence"),
    "rfm_frequency_score": ("frequency score", "score de fréquence"),
    "rfm_monetary_score": ("monetary score", "score de montant"),
    "rfm_segment": ("RFM segment", "segment RFM"),
    "lifecycle_stage": ("lifecycle stage", "étape du cycle de vie"),
    "lifecycle_since_on": ("date the stage began", "date de début de l'étape"),
    "days_in_stage": ("days in the stage", "jours dans l'étape"),
    "lifecycle_reason": ("reason for the stage", "raison de l'étape"),
    "previous_lifecycle_stage": ("previous lifecycle stage", "étape précédente du cycle de vie"),
    "churn_risk_band": ("churn risk", "risque de départ"),
    "purchase_probability_30d": ("probability of buying within 30 days", "probabilité d'achat à 30 jours"),
    "purchase_probability_90d": ("probability of buying within 90 days", "probabilité d'achat à 90 jours"),
    "purchase_probability_365d": ("probability of buying within a year", "probabilité d'achat à un an"),
    "expected_orders_365d": ("orders expected within a year", "commandes attendues à un an"),
    "expected_value_365d": ("value expected within a year", "valeur attendue à un an"),
    "last_email_open_at": ("last e-mail opened", "dernière ouverture d'e-mail"),
    "last_email_click_at": ("last click in an e-mail", "dernier clic dans un e-mail"),
    "email_click_count_90d": ("e-mail clicks in 90 days", "clics e-mail sur 90 jours"),
    "session_count_30d": ("web sessions in 30 days", "visites web sur 30 jours"),
    "last_session_at": ("last web session", "dernière visite web"),
    "last_cart_at": ("last cart", "dernier panier"),
    "call_count_365d": ("calls in a year", "appels sur un an"),
    "last_survey_score": ("last survey score", "dernière note d'enquête"),
    "plan": ("plan", "plan"),
    "plan_reason": ("reason for the plan", "raison du plan"),
    "plan_runner_up": ("second-best plan", "deuxième plan"),
    "value_percentile": ("value percentile (0 to 1)", "centile de valeur (0 à 1)"),
    "control_bucket": ("control bucket (0 to 99)", "tranche de contrôle (0 à 99)"),
}

_EVENTS: dict[str, tuple[str, str]] = {
    "page_view": ("viewed a page", "a vu une page"),
    "session": ("visited the web shop", "a visité le site"),
    "cart": ("filled a cart", "a rempli un panier"),
    "email_sent": ("was sent an e-mail", "a reçu un e-mail"),
    "email_open": ("opened an e-mail", "a ouvert un e-mail"),
    "email_click": ("clicked in an e-mail", "a cliqué dans un e-mail"),
    "email_bounce": ("had an e-mail bounce", "a eu un e-mail en erreur"),
    "email_unsubscribe": ("unsubscribed", "s'est désabonné"),
    "email_complaint": ("complained about an e-mail", "a signalé un e-mail"),
    "call": ("called", "a appelé"),
    "mail_returned": ("had a letter returned", "a eu un courrier retourné"),
    "wrong_number": ("was called on a wrong number", "a été appelé à un mauvais numéro"),
    "survey_answer": ("answered a survey", "a répondu à une enquête"),
    "store_visit": ("visited a shop", "a visité un magasin"),
    "social": ("was active on social media", "a été actif sur les réseaux sociaux"),
}

_CHANNELS = {
    "email": ("e-mail", "e-mail"), "sms": ("SMS", "SMS"), "phone": ("phone", "téléphone"), "post": ("post", "courrier"),
    "push": ("push message", "notification"),
}  # fmt: skip

#: Values of the pipeline's own vocabulary; those of the data stay as they are.
_VALUES: dict[str, dict[str, tuple[str, str]]] = {
    "lifecycle_stage": {
        "prospect": ("prospect", "prospect"), "new": ("new", "nouveau"), "regular": ("regular", "régulier"),
        "loyal": ("loyal", "fidèle"), "ambassador": ("ambassador", "ambassadeur"), "at_risk": ("at risk", "à risque"),
        "abandoner": ("abandoner", "abandonniste"), "reactivated": ("reactivated", "réactivé"),
        "suppressed": ("suppressed", "en opposition"),
    },
    "churn_risk_band": {
        "low": ("low", "faible"), "medium": ("medium", "moyen"), "high": ("high", "fort"), "lost": ("lost", "perdu"),
    },
    "rfm_segment": {
        "champion": ("champion", "champion"), "loyal": ("loyal", "fidèle"), "new": ("new", "nouveau"),
        "potential_loyalist": ("potential loyalist", "fidèle en devenir"), "promising": ("promising", "prometteur"),
        "need_attention": ("needs attention", "à surveiller"), "about_to_sleep": ("about to sleep", "en voie d'endormissement"),
        "at_risk": ("at risk", "à risque"), "cant_lose": ("can't lose", "à ne pas perdre"),
        "hibernating": ("hibernating", "en sommeil"),
    },
    "sex": {"F": ("female", "féminin"), "M": ("male", "masculin")},
}  # fmt: skip

_PURPOSES = {
    "marketing": ("marketing", "la prospection"), "profiling": ("profiling", "le profilage"),
    "open_tracking": ("tracking of opens", "le suivi des ouvertures"),
    "partners": ("passing on to partners", "la transmission aux partenaires"),
}  # fmt: skip

_STATUSES = {
    "granted": ("granted", "accordé"), "pending": ("waiting for confirmation", "en attente de confirmation"),
    "refused": ("refused", "refusé"), "withdrawn": ("withdrawn", "retiré"), "expired": ("expired", "expiré"),
}  # fmt: skip

_ATTRIBUTES: dict[str, tuple[str, str]] = {
    "product": ("product", "produit"),
    "category": ("category", "catégorie"),
    "subcategory": ("subcategory", "sous-catégorie"),
    "brand": ("brand", "marque"),
    "audience": ("range", "gamme"),
    "channel": ("channel", "canal"),
    "store": ("shop", "magasin"),
}

_OPERATORS: dict[str, tuple[str, str]] = {
    "equals": ("is {}", ": {}"),
    "not_equals": ("is known and not {}", ": connu, mais pas {}"),
    "in": ("is {}", ": {}"),
    "not_in": ("is known and not {}", ": connu, mais pas {}"),
    "between": ("is between {} and {}", ": entre {} et {}"),
    "at_least": ("is at least {}", ": au moins {}"),
    "at_most": ("is at most {}", ": au plus {}"),
    "more_than": ("is more than {}", ": plus de {}"),
    "less_than": ("is less than {}", ": moins de {}"),
    "matches": ("matches {}", ": correspond à {}"),
    "contains": ("contains {}", ": contient {}"),
    "starts_with": ("starts with {}", ": commence par {}"),
    "within_last_days": ("lies within the last {} days", ": dans les {} derniers jours"),
    "within_next_days": ("lies within the next {} days", ": dans les {} prochains jours"),
    "anniversary_within_days": ("comes round within {} days", ": anniversaire dans les {} jours"),
    "before": ("is before {}", ": avant le {}"),
    "after": ("is after {}", ": après le {}"),
}

_COUNTS: dict[str, tuple[str, str]] = {
    "equals": ("exactly {}", "exactement {}"),
    "between": ("{} to {}", "de {} à {}"),
    "at_least": ("at least {}", "au moins {}"),
    "at_most": ("at most {}", "au plus {}"),
    "more_than": ("more than {}", "plus de {}"),
    "less_than": ("less than {}", "moins de {}"),
}

#: What is counted: (one, several) in each language.
_MEASURES: dict[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "times": (("time", "times"), ("fois", "fois")),
    "orders": (("order", "orders"), ("commande", "commandes")),
    "units": (("unit", "units"), ("unité", "unités")),
    "days": (("day of purchase", "days of purchase"), ("jour d'achat", "jours d'achat")),
    "amount_net": (("net amount", "net amount"), ("de montant net", "de montant net")),
}


def explain_segment(segment: Segment, language: Language) -> str:
    """Who is in the segment, in one paragraph."""
    words = _Words(language)
    parts = [words.whole(segment.where)]
    if not segment.include_suppressed:
        parts.append(words.say("Suppressed customers are left out.", "Les clients en opposition sont exclus."))
    if segment.exclusive_group:
        parts.append(words.say(
            f'Of the group "{segment.exclusive_group}" a customer is in one segment only; '
            f"this one has priority {segment.priority}.",
            f"Dans le groupe « {segment.exclusive_group} », un client n'est que dans un segment ; "
            f"celui-ci a la priorité {segment.priority}.",
        ))  # fmt: skip
    if segment.control_group:
        share = words.number(round(segment.control_group * 100, 4))
        parts.append(words.say(
            f"{share} % of members are a control group, drawn once for ever.",
            f"{share} % des membres forment un groupe témoin, tiré une fois pour toutes.",
        ))  # fmt: skip
    return " ".join(parts)


def explain_condition(condition: Condition, language: Language) -> str:
    """One condition as a clause."""
    return _Words(language).condition(condition)


class _Words:
    def __init__(self, language: Language) -> None:
        self.index = 0 if language == "en" else 1

    def say(self, english: str, french: str) -> str:
        return (english, french)[self.index]

    def whole(self, where: Condition) -> str:
        """A sentence for a whole rule."""
        children = where.children()
        if where.not_ is None and len(children) > 1:
            intro = (
                self.say("Customers who meet all of these", "Clients qui remplissent toutes ces conditions")
                if where.all
                else self.say(
                    "Customers who meet at least one of these", "Clients qui remplissent au moins une de ces conditions"
                )
            )
            separator = self.say("; ", " ; ")
            return f"{intro}{self.say(': ', ' : ')}{separator.join(self.condition(child) for child in children)}."
        intro = self.say("Customers who meet this: ", "Clients qui remplissent cette condition : ")
        return f"{intro}{self.condition(where)}."

    def condition(self, condition: Condition) -> str:
        subject = condition.subject
        if subject in ("all", "any"):
            joint = self.say("and", "et") if subject == "all" else self.say("or", "ou")
            said = f" {joint} ".join(self.condition(child) for child in condition.children())
            return said if len(condition.children()) == 1 else f"({said})"
        if condition.not_ is not None:
            said = self.say("it is not true that", "il n'est pas vrai que")
            inner = self.condition(condition.not_)
            return f"{said} {inner if inner.startswith('(') else f'({inner})'}"
        if condition.field is not None:
            operator, value = condition.operator()
            return self.field_test(self.field(condition.field), operator, self.translated(condition.field, value))
        if condition.custom is not None:
            return self.field_test(
                self.say(f'attribute "{condition.custom}"', f"attribut « {condition.custom} »"), *condition.operator()
            )
        if condition.performed is not None:
            return self.performed(condition)
        if condition.bought is not None:
            return self.bought(condition)
        if condition.member_of is not None:
            return self.say(
                f'the customer is in segment "{condition.member_of}"',
                f"le client est dans le segment « {condition.member_of} »",
            )
        if condition.random_bucket is not None:
            bucket = condition.random_bucket
            share = f"{self.number(round(bucket.start * 100, 4))}-{self.number(round(bucket.to * 100, 4))} %"
            return self.say(
                f'the stable draw "{bucket.seed}" falls in {share}',
                f"le tirage stable « {bucket.seed} » tombe dans {share}",
            )
        if condition.in_list is not None:
            return self.say(
                f'the customer is in list "{condition.in_list}"', f"le client est dans la liste « {condition.in_list} »"
            )
        if condition.consent is not None:
            return self.consent(condition)
        if condition.reachable is not None:
            channels = self.alternatives([_CHANNELS[one][self.index] for one in _several(condition.reachable)])
            return self.say(f"the customer may be contacted by {channels}", f"le client est joignable par {channels}")
        if condition.has_tag is not None:
            return self.say("the customer has tag ", "le client a l'étiquette ") + self.alternatives(
                [self.value(one) for one in _several(condition.has_tag)]
            )
        found = self.alternatives([self.value(one) for one in _several(condition.interest)])
        return self.say(f"the customer declared an interest in {found}", f"le client a déclaré un intérêt pour {found}")

    def translated(self, field: str, value: object) -> object:
        """A value, or several, in the words of the language where the field has some."""
        if isinstance(value, tuple):
            return tuple(self.translated(field, one) for one in value)
        words = _VALUES.get(field, {}).get(value) if isinstance(value, str) else None
        return words[self.index] if words else value

    def field(self, name: str) -> str:
        return _FIELDS[name][self.index] if name in _FIELDS else name.replace("_", " ")

    def field_test(self, name: str, operator: str, value: object) -> str:
        if operator == "exists":
            return name + (self.say(" is known", " : connu") if value else self.say(" is unknown", " : inconnu"))
        if isinstance(value, bool):
            is_true = value == (operator == "equals")
            return f"{name}{self.say(': yes', ' : oui') if is_true else self.say(': no', ' : non')}"
        said = self.filled(_OPERATORS, operator, value)
        return f"{name} {said}"

    def filled(self, table: dict[str, tuple[str, str]], operator: str, value: object) -> str:
        template = table[operator][self.index]
        if operator == "between" and isinstance(value, tuple):
            return template.format(self.value(value[0]), self.value(value[1]))
        if isinstance(value, tuple):
            shown = [self.value(one) for one in value[:12]]
            if len(value) > 12:
                shown.append(self.say(f"{len(value) - 12} more", f"{len(value) - 12} autres"))
            return template.format(self.alternatives(shown))
        return template.format(self.value(value))

    def consent(self, condition: Condition) -> str:
        asked = condition.consent
        assert asked is not None
        purpose = _PURPOSES[asked.purpose][self.index]
        channels = self.alternatives([_CHANNELS[one][self.index] for one in asked.channels()])
        by = self.say(f" by {channels}", f" par {channels}") if channels else ""
        status = self.alternatives([_STATUSES[one][self.index] for one in asked.statuses()])
        said = self.say(f"the consent to {purpose}{by} is {status}", f"le consentement pour {purpose}{by} est {status}")
        days = asked.expires_within_days
        if days is not None:
            said += self.say(f" and runs out within {days} days", f" et expire dans les {days} jours")
        if condition.within_days is not None:
            said += self.say(
                f", said in the last {condition.within_days} days",
                f", exprimé dans les {condition.within_days} derniers jours",
            )
        return said

    def performed(self, condition: Condition) -> str:
        events = self.alternatives([
            _EVENTS[one][self.index] if one in _EVENTS else self.say(f'did "{one}"', f"a fait « {one} »")
            for one in _several(condition.performed)
        ])  # fmt: skip
        details = ""
        if condition.with_:
            told = []
            for name, value in sorted(condition.with_.items()):
                values = value if isinstance(value, tuple) else (value,)
                told.append(f"{name} {self.alternatives([self.value(one) for one in values])}")
            details = f" ({', '.join(told)})"
        who, times = self.say("the customer", "le client"), self.counted(condition, "times")
        return f"{who} {events}{details}{times}{self.since(condition)}"

    def bought(self, condition: Condition) -> str:
        assert condition.bought is not None
        what = [
            f"{_ATTRIBUTES[name][self.index]} {self.alternatives([self.value(value) for value in values])}"
            for name, values in condition.bought.wanted().items()
        ]
        things = f" ({', '.join(what)})" if what else self.say(" something", " quelque chose")
        counted = self.counted(condition, condition.measure or "orders")
        return f"{self.say('the customer bought', 'le client a acheté')}{things}{counted}{self.since(condition)}"

    def counted(self, condition: Condition, measure: str) -> str:
        if not condition.operators():
            return ""
        operator, value = condition.operator()
        unit = _MEASURES[measure][self.index][0 if value in (0, 1) else 1]
        return f"{self.say(': ', ' : ')}{self.filled(_COUNTS, operator, value)} {unit}"

    def since(self, condition: Condition) -> str:
        if condition.within_days is None:
            return ""
        return self.say(
            f" in the last {condition.within_days} days", f" dans les {condition.within_days} derniers jours"
        )

    def alternatives(self, values: list[str]) -> str:
        return f" {self.say('or', 'ou')} ".join(values)

    def value(self, value: object) -> str:
        if value is None:
            return self.say("none", "aucun")
        if isinstance(value, FieldReference):
            name = self.field(value.field)
            return name if value.times == 1 else f"{self.number(value.times)} × {name}"
        if isinstance(value, bool):
            return self.say("yes", "oui") if value else self.say("no", "non")
        if isinstance(value, int | float):
            return self.number(value)
        if isinstance(value, dt.date):
            return f"{value:%d/%m/%Y}" if self.index else f"{value:%d %B %Y}".lstrip("0")
        return self.say(f'"{value}"', f"« {value} »")

    def number(self, value: int | float) -> str:
        shown = f"{value:g}" if isinstance(value, float) and abs(value) < 1e6 else str(value)
        return shown.replace(".", ",") if self.index else shown


def _several(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)
