"""What the names of columns say, in French and in English: words, senses, and the concept they add up to.

What belongs here: names. What does not: the values of a column (`content`), and what a concept is called in an
entity (`mapping`). A name is cut into words (`DT_NAISS`, `dateNaissance`, `codepostal`), each word has senses
(`dt`: date), and the rule that explains most of the senses of a name tells its concept (`birth_on`).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

#: Sense -> the words that have it. A word may stand in several senses.
_SENSES: dict[str, str] = {
    "date": "date dt dat jour day le on at quand when heure hour timestamp ts datetime horodatage moment datetimes started start began begin debut occurred occured happened",
    "birth": "naissance naiss nais ne nee nele born birth dob ddn birthday birthdate anniversaire bday anniv dnaiss",
    "nom": "nom patronyme noms",
    "name": "name names",
    "last": "surname lastname last family nomfamille lname sname",
    "first": "prenom prenoms forenames firstname forename given first fname pren givenname",
    "full": "fullname nomprenom nomcomplet prenomnom complet identite full nompren",
    "maiden": "maiden jeunefille fille marital",
    "civility": "civilite civ titre salutation honorific civil",
    "title": "title",
    "sex": "sexe sex gender genre",
    "mail": "mail email courriel mel adressemail mailing emailing adrmail",
    "phone": "tel telephone phone tph phonenumber numtel tele",
    "mobile": "mobile portable mob cell gsm cellulaire cellphone port",
    "landline": "fixe landline home domicile",
    "address": "adresse address addr adr rue street voie adresses",
    "extra": "complement compl comp suite apt appartement etage batiment bat residence additional cplt extra",
    "postal": "cp zip postcode postal codepostal plz npa zipcode codepost copos cpost",
    "city": "ville city town commune localite locality",
    "country": "pays country nation",
    "language": "langue language lang locale",
    "customer": "client customer cli cust clt personne person member membre adherent abonne subscriber user "
    "utilisateur acheteur buyer shopper guestid clients customers porteur titulaire contactid consumer tiers supporter donor patron",
    "id": "id code cod num numero no n nr ref reference cle key identifiant identifier uid uuid guid matricule number "
    "nbr cd idt ident",
    "card": "carte card cartes cards",
    "loyalty": "fidelite loyalty fid fidelity",
    "account": "compte account acct login acc",
    "order": "commande order cmd cde achat purchase vente sale ticket receipt facture invoice tck orders tkt panier_id "
    "basketid bon piece bl",
    "transaction": "transaction txn trx trans",
    "line": "ligne line lig position pos seq rang lineno lines",
    "product": "produit product article art sku ean gtin prd prod upc plu",
    "item": "item items",
    "label": "libelle label lib designation description desc intitule wording design lbl",
    "quantity": "qte quantite qty quantity qt quant units unites pieces",
    "price": "prix price pu tarif pvp px prixu pv pvc",
    "unit": "unitaire unit u",
    "amount": "montant amount mt mnt mtt amt somme",
    "total": "total tot sum grandtotal",
    "taxed": "ttc brut gross",
    "untaxed": "ht net excl untaxed",
    "tax": "tva tax vat taxe taxes",
    "rate": "taux rate pct percent",
    "discount": "remise discount rabais reduction promo rebate markdown ristourne",
    "category": "categorie category rayon department univers univer cat departement collection",
    "family": "famille",
    "sub": "sous sub ss subcategory souscategorie sousfamille second",
    "brand": "marque brand maker fabricant",
    "audience": "public audience cible",
    "store": "magasin store shop boutique mag pdv agence etablissement outlet branch site_vente pointdevente storeid",
    "till": "caisse till pos register terminal tpv",
    "staff": "vendeur vendeuse caissier caissiere conseiller conseillere seller cashier clerk operateur operator adviser "
    "advisor agent employe commercial salesperson handler handled traite saisi assistant rep teleconseiller manager",
    "channel": "canal channel media",
    "status": "statut status etat state",
    "payment": "paiement payment reglement moyenpaiement modepaiement pay tender moyen",
    "currency": "devise currency cur monnaie curr",
    "create": "creation cree created create inscription inscrit signup registered registration adhesion joined join "
    "ouverture souscription subscribed since enrolment enrolled enrollment opened membersince",
    "update": "maj modification modif modifie updated changed lastmodified update modified miseajour upd amended edited revised revision",
    "contact": "contact contacted contacts",
    "recent": "dernier derniere latest",
    "call": "appel call calls appels caller",
    "event": "evenement event action activity activite evt evenements events",
    "type": "type kind nature typ",
    "reason": "motif reason raison cause topic",
    "bounce": "bounce rejet rebond",
    "duration": "duree duration secs seconds length",
    "value": "valeur value val",
    "score": "note score rating nps mark satisfaction",
    "comment": "commentaire comment remarque verbatim feedback avis comments remark commentaires",
    "campaign": "campagne campaign message enquete survey questionnaire operation msg",
    "session": "session sessions",
    "visit": "visite visit visits seen passage",
    "cookie": "cookie visitor visiteur device clientid gaid idfa cookieid visitorid deviceid",
    "consent": "optin opt consentement consent accepte accept accord autorisation newsletter marketing offres offers "
    "permission consents consenti",
    "sms": "sms texto",
    "post": "courrier post letter",
    "purpose": "finalite purpose usage",
    "choice": "choix choice decision reponse answer",
    "basis": "base basis legal",
    "version": "version",
    "text": "texte text",
    "proof": "preuve proof evidence iphash",
    "hash": "hash",
    "ip": "ip",
    "request": "demande request requete requests dsar rgpd gdpr",
    "receive": "recu received reception receipt_date recue",
    "detail": "detail details texte objet body",
    "answer": "reponse response answer",
    "company": "societe company entreprise raisonsociale organisation employer business",
    "siren": "siren siret vatnumber",
    "household": "foyer household menage",
    "preferred": "prefere preference preferences preferred pref favori favorite prefer",
    "frequency": "frequence frequency freq",
    "interest": "interet interets interest interests gouts hobbies",
    "tag": "segment tag tags liste list segmentation group groupe",
    "active": "actif active enabled isactive",
    "guest": "invite guest",
    "origin": "origine origin original initial parent related",
    "return": "retour return returned retours",
    "browser": "useragent navigateur browser",
    "url": "url link lien uri",
    "confirm": "confirme confirmed confirmation",
    "count": "nb nombre count",
    "flag": "is has est a flag",
    "national": "nir insee nationalid ssn passport cni",
    "season": "saison season",
    "of": "de du des la les d l of the et and par by pour for en client_",
    "web": "web site online internet eshop ecommerce app",
}


def _index() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for sense, words in _SENSES.items():
        for word in words.split():
            found.setdefault(word, set()).add(sense)
    return {word: frozenset(senses) for word, senses in found.items()}


_WORDS = _index()
#: Words that may be found within a word that is written in one (`DATNAIS`, `CODCLI`, `firstname`).
_GLUED = {word for word in _WORDS if len(word) >= 3} | {"dt", "cp", "nb", "mt", "pu", "id", "no", "cd"}


@dataclass(frozen=True)
class Rule:
    """A concept, the senses that tell it, and those that tell it is something else."""

    concept: str
    needs: frozenset[str]
    forbids: frozenset[str]


def _rules(text: str) -> tuple[Rule, ...]:
    found = []
    for line in text.strip().splitlines():
        concept, _, told = line.partition(":")
        needs, _, forbids = told.partition("-")
        found.append(Rule(concept.strip(), frozenset(needs.split()), frozenset(forbids.split())))
    return tuple(found)


#: concept: senses that must be there - senses that must not. The rule with most senses wins, the first of equals.
_RULES = _rules("""
email: mail - consent date event
email: mail address - consent date
email: mail order - consent date
consent_email: mail consent - date version
consent_sms: sms - date preferred
consent_sms: sms consent - date
consent_phone: phone consent - date
consent_post: post consent - date
consent_any: consent - date version text label id basis
consent_any: consent status
id: consent id
consent_at: consent date
consent_at: consent mail date
consent_at: sms date
consent_at: sms consent date
consent_version: consent version
consent_version: text version
consent_version: version
last_name: nom - first product store company maiden label campaign brand category staff
last_name: nom customer - first
last_name: nom family
last_name: nom order - product
last_name: last - contact update visit order create first
last_name: last name - first
last_name: last customer name
birth_name: nom birth
birth_name: maiden
birth_name: maiden name
birth_name: maiden nom
birth_name: birth name
first_name: first - nom order contact purchase last visit
first_name: first name
first_name: first customer
first_name: first order
full_name: first nom
full_name: first last name
full_name: full
full_name: full name
full_name: full nom
full_name: customer name
any_name: name - product store company label campaign brand staff
birth_on: birth - nom name city country
birth_on: birth date - nom name
civility: civility
civility: title
sex: sex
phone: phone - consent
phone_mobile: mobile - address
phone_mobile: mobile phone
phone_landline: landline - address
phone_landline: landline phone
address_line: address - mail extra postal city country ip
address_line: address line - extra
address_line: address customer
address_extra: extra
address_extra: extra address
postal_code: postal - city
postal_code: postal id
postal_code: postal address
postal_code: post id
postal_city: postal city
city: city
city: city address
country: country
country: country id
country: country address
language: language
language: language preferred
customer_id: customer - name date
customer_id: customer id - name
customer_id: customer account id
contact_id: contact id
guest_id: guest
guest_id: guest id
account_id: account
account_id: account id
account_id: account web
account_id: account customer
card_number: card - payment type
card_number: card id - payment
card_number: card loyalty
card_number: card loyalty id
card_number: card customer
card_number: loyalty id
order_id: order - date amount line total type status count unit discount tax price channel
order_id: order id - line
order_id: transaction id - order
transaction_id: transaction
line_id: line - address order product
line_id: line id - address
line_id: line order
line_id: line order id
returned_order_id: order origin
returned_order_id: order return
returned_order_id: order origin id
returned_order_id: order return id
ordered_at: order date
ordered_at: order date create
date: date
date: date event
receive_at: receive
receive_at: receive date
receive_at: request date
receive_at: request receive date
call_at: call date
created_at: create - order
created_at: create date
created_at: create date customer
created_at: create customer
updated_at: update
updated_at: update date
updated_at: last update
updated_at: last update date
updated_at: recent update
last_contact_at: contact recent
last_contact_at: contact recent date
last_contact_at: last contact
last_contact_at: last contact date
last_contact_at: last visit
last_contact_at: last visit date
last_contact_at: recent visit
last_contact_at: contact date
confirmed_at: confirm
confirmed_at: confirm date
product_id: product - label name category price brand type quantity
product_id: product id - label
product_id: item - label name category price type count quantity
product_id: item id - label
label: label - category store
label: product label
label: item label
label: product name
label: item name
label: product nom
quantity: quantity - price
quantity: quantity product
quantity: quantity order
unit_price: price
unit_price: price unit
unit_price: price unit taxed
unit_price: price taxed
unit_price: price product
unit_price: price product taxed
unit_price_net: price untaxed
unit_price_net: price unit untaxed
amount: amount
amount: amount taxed
amount: amount line
amount: line total
amount: line total taxed
amount_net: amount untaxed
amount: total
amount: total taxed
amount: total amount
amount: total order
amount: order amount
amount: total amount taxed
amount: order total amount
amount_net: total untaxed
amount_tax: tax - rate
amount_tax: tax amount
amount_tax: tax total
tax_rate: tax rate
discount: discount
discount: discount amount
discount: discount line
category: category
category: category product
category: family
category: family product
subcategory: sub
subcategory: sub category
subcategory: sub family
subcategory: sub category product
brand: brand
brand: brand product
audience: audience
is_product: flag product
store: store
store: store id
store: store name
store: store nom
till: till
till: till id
staff: staff
staff: staff id
staff: staff account
staff: staff name
staff: staff nom
channel: channel
channel: channel order
status: status
status: status order
payment: payment
payment: payment type
payment: payment order
currency: currency
currency: currency id
event_id: event id
event_type: event
event_type: event type
event_type: activity type
type: type
line_type: line type
order_type: order type
customer_type: customer type
request_type: request type
request_id: request id
details: request
details: detail
details: request detail
reason: reason
reason: call reason
bounce: bounce
bounce: bounce type
bounce: bounce reason
bounce: bounce category
duration: duration
duration: call duration
duration: session duration
value: value
score: score
comment: comment
answer_id: answer id
campaign: campaign
campaign: campaign id
campaign: campaign name
campaign: mail name
campaign: mail title
session_id: session
session_id: session id
cookie: cookie
cookie: cookie id
purpose: purpose
choice: choice
basis: basis
basis: basis consent
proof: proof
proof: ip hash
proof: proof consent
company_name: company
company_name: company name
company_name: company nom
company_number: siren
household: household
household: household id
preferred_channel: preferred channel
preferred_channel: preferred contact
preferred_channel: preferred contact channel
contact_frequency: frequency
contact_frequency: frequency preferred
contact_frequency: frequency contact
interests: interest
interests: interest preferred
tag: tag
tag: tag customer
active: active
active: active flag
active: flag active customer
national_number: national
national_number: national id
browser: browser
url: url
count: count
count: count line
count: count product
count: count item
count: count order
id: id
""")

_NOT_ALONE = frozenset({"of", "web", "flag"})


@dataclass(frozen=True)
class NameReading:
    """What a name says. `concept`: None where no rule fits. `is_whole`: the rule explains every word of it."""

    senses: frozenset[str]
    concept: str | None
    is_whole: bool


@lru_cache(maxsize=4096)
def words_of(name: str) -> tuple[str, ...]:
    """A name as lower-case words without accents: `N° fiche`, `dateNaissance`, `contact.email`."""
    plain = unicodedata.normalize("NFKD", name.replace("°", " "))
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", plain)
    return tuple(re.findall(r"[a-z]+", plain.lower()))


def slug(name: str) -> str:
    """A name as a key of YAML: lower-case words joined by `_`."""
    plain = unicodedata.normalize("NFKD", name)
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", plain)
    found = re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_")
    return found if found[:1].isalpha() else f"c_{found}" if found else "column"


def senses_of(name: str) -> frozenset[str]:
    """The senses of all words of a name; words that say nothing are left out."""
    words = words_of(name)
    senses: set[str] = set()
    at = 0
    while at < len(words):
        for length in (3, 2, 1):
            joined = "".join(words[at : at + length])
            if length <= len(words) - at and joined in _WORDS and (length > 1 or joined):
                senses |= _WORDS[joined]
                at += length
                break
        else:
            for part in _cut(words[at]):
                senses |= _WORDS[part]
            at += 1
    return frozenset(senses)


@lru_cache(maxsize=4096)
def _cut(word: str) -> tuple[str, ...]:
    """The known words that a word is made of, as few as can be; nothing where letters are left over."""
    best: list[tuple[str, ...] | None] = [()] + [None] * len(word)
    for end in range(1, len(word) + 1):
        for start in range(end):
            before, part = best[start], word[start:end]
            if before is not None and part in _GLUED and (best[end] is None or len(before) + 1 < len(best[end] or ())):
                best[end] = (*before, part)
    return best[-1] or ()


def read_name(name: str) -> NameReading:
    """The concept of a name: by the rule that explains most of its senses.

    In a path (`contact.email`), what the last step says comes first: the steps before it only add to it.
    """
    senses = senses_of(name)
    last = senses_of(name.rsplit(".", 1)[-1])
    steps = [last | senses, last] if "." in name else [senses]
    best: tuple[tuple[int, int, int], str, bool] | None = None
    for given in steps:
        for order, rule in enumerate(_RULES):
            if not rule.needs <= given or rule.forbids & given or (last and not rule.needs & last):
                continue
            rest = given - rule.needs - _NOT_ALONE
            rank = (len(rule.needs), -len(rest), -order)
            if best is None or rank > best[0]:
                best = (rank, rule.concept, not rest)
    return NameReading(senses, best[1] if best else None, bool(best and best[2]))
