"""A rule before it lives: words, preview and diff on a database that is only read."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from orchestration.contracts.segment import Segment
from orchestration.errors import UsageError
from orchestration.segments import catalogue_of, diff, explain, judge, memberships, preview
from orchestration.segments.words import explain_condition
from orchestration.warehouse import Connection, connect
from tests.unit.segments.small_warehouse import SmallWarehouse, segment, segments

DAY = dt.date(2026, 3, 29)
DEFINITIONS = segments(
    segment("buyers", "{field: order_count, at_least: 3}", expected_rate="[0.1, 0.3]"),
    segment("lyon", "{field: city, equals: Lyon}"),
    segment("lyon_buyers", "{all: [{member_of: buyers}, {member_of: lyon}]}"),
)


def hidden(customer_id: str) -> str:
    return f"pseudonym of {len(customer_id)}"


@pytest.fixture
def published(warehouse: SmallWarehouse, tmp_path: Path) -> Connection:
    """The warehouse after a run, in a file opened read-only."""
    for index, (count, city) in enumerate([(1, "Lyon"), (2, "Lyon"), (3, "Lyon"), (4, "Nice"), (5, "Nice")]):
        warehouse.customer(
            f"c{index}", order_count=count, city=city, first_name="Zoé", is_contactable_email=index % 2 == 0
        )
    warehouse.run(DEFINITIONS, DAY)
    file = tmp_path / "rcu.duckdb"
    warehouse.connection.execute(f"attach '{file}' as copy")
    warehouse.connection.execute("copy from database memory to copy")
    warehouse.connection.execute("detach copy")
    return connect(file, read_only=True)


def test_a_preview_tells_size_reach_and_overlap(published: Connection) -> None:
    found = preview(published, DEFINITIONS, "buyers", pseudonym=hidden)
    assert (found.size, found.customer_count, found.rate, found.status) == (3, 5, 0.6, "above")
    assert found.reachable == {"email": 2, "sms": 0, "phone": 0, "post": 0}
    assert [(one.segment, one.both_count, round(one.jaccard, 3)) for one in found.overlaps] == [
        ("lyon", 1, 0.2), ("lyon_buyers", 1, 0.333),
    ]  # fmt: skip
    assert found.as_of_on == DAY


def test_a_preview_shows_no_id_and_no_name(published: Connection) -> None:
    rule = '{all: [{field: first_name, starts_with: "Z"}, {field: order_count, at_least: 3}]}'
    found = preview(published, DEFINITIONS, segment("idea", rule), pseudonym=hidden)
    assert sorted(one["order_count"] for one in found.sample) == [3, 4, 5]
    assert {(one["customer"], one["first_name"]) for one in found.sample} == {("pseudonym of 2", "(hidden)")}


def test_a_diff_tells_who_would_move_and_why(published: Connection) -> None:
    changed = DEFINITIONS.replacing(segment("buyers", "{field: order_count, between: [1, 3]}"))
    found = {one.segment: one for one in diff(published, changed, pseudonym=hidden)}
    buyers, both = found["buyers"], found["lyon_buyers"]
    assert (buyers.size_before, buyers.size_after, buyers.entered_count, buyers.left_count, buyers.because) == (
        3,
        3,
        2,
        2,
        "rule",
    )
    assert (both.size_before, both.size_after, both.because) == (1, 3, "buyers")
    assert "lyon" not in found
    # Who, under pseudonyms: with the value that lets them in, and with the one that had let them in.
    assert sorted(one["order_count"] for one in buyers.entering) == [1, 2]
    assert sorted(one["order_count"] for one in buyers.leaving) == [4, 5]
    assert {one["customer"] for one in (*buyers.entering, *buyers.leaving)} == {"pseudonym of 2"}


def test_a_diff_tells_new_and_gone_segments(published: Connection) -> None:
    changed = segments(DEFINITIONS.by_name["buyers"], segment("nice", "{field: city, equals: Nice}"))
    found = {
        one.segment: (one.because, one.entered_count, one.left_count)
        for one in diff(published, changed, pseudonym=hidden)
    }
    assert found == {"nice": ("new", 2, 0), "lyon": ("gone", 0, 3), "lyon_buyers": ("gone", 0, 1)}


def test_a_diff_of_nothing_is_empty(published: Connection) -> None:
    assert diff(published, DEFINITIONS, pseudonym=hidden) == ()
    with pytest.raises(UsageError, match='no segment "lion"; did you mean "lyon"'):
        diff(published, DEFINITIONS, {"lion"}, pseudonym=hidden)


def test_why_a_customer_is_in_a_segment_or_not(published: Connection) -> None:
    stays = memberships(published, "c2")
    assert [(one.segment, one.entered_on, one.left_on) for one in stays] == [
        ("buyers", DAY, None), ("lyon", DAY, None), ("lyon_buyers", DAY, None),
    ]  # fmt: skip
    assert stays[0].reason == {"order_count": 3}
    rule = "{all: [{field: order_count, at_least: 4}, {not: {field: city, equals: Nice}}]}"
    idea = DEFINITIONS.replacing(segment("idea", rule))
    told = {who: [one.holds for one in judge(published, idea, "idea", who)] for who in ("c0", "c3")}
    assert told == {"c0": [False, True], "c3": [True, False]}
    first = judge(published, idea, "idea", "c0")[0]
    assert (first.english, first.values) == ("number of orders is at least 4", {"order_count": 1})
    with pytest.raises(UsageError, match='no customer "c9" in the current publication'):
        judge(published, idea, "idea", "c9")


def test_an_explanation_is_in_both_languages_and_sql(warehouse: SmallWarehouse) -> None:
    rule = (
        "{all: [{field: order_count, at_least: 2}, {not: {performed: email_open, within_days: 90}}, "
        "{any: [{bought: {category: [shoes, bags]}, measure: amount_net, at_least: 99.5}, {reachable: [email, sms]}]}]}"
    )
    told = explain(
        segments(segment("asked", rule, control_group=0.1)), "asked", catalogue_of(warehouse.connection),
        as_of_on=DAY, time_zone="Europe/Paris",
    )  # fmt: skip
    assert told.english == (
        "Customers who meet all of these: number of orders is at least 2; it is not true that (the customer opened an e-mail "
        'in the last 90 days); (the customer bought (category "shoes" or "bags"): at least 99.5 net amount or the customer may '
        "be contacted by e-mail or SMS). Suppressed customers are left out. 10 % of members are a control group, drawn once "
        "for ever."
    )
    assert told.french == (
        "Clients qui remplissent toutes ces conditions : nombre de commandes : au moins 2 ; il n'est pas vrai que (le client a "
        "ouvert un e-mail dans les 90 derniers jours) ; (le client a acheté (catégorie « shoes » ou « bags ») : au moins 99,5 de "
        "montant net ou le client est joignable par e-mail ou SMS). Les clients en opposition sont exclus. 10 % des membres "
        "forment un groupe témoin, tiré une fois pour toutes."
    )
    assert told.sql.startswith("with\n") and "from marts.customer_360" in told.sql


@pytest.mark.parametrize(
    ("where", "english", "french"),
    [
        ("{field: birth_on, anniversary_within_days: 7}", "date of birth comes round within 7 days", "date de naissance : anniversaire dans les 7 jours"),
        ("{field: first_order_on, before: 2026-01-31}", "date of the first order is before 31 January 2026", "date de première commande : avant le 31/01/2026"),
        ("{field: is_minor, not_equals: true}", "under 18: no", "mineur : non"),
        ("{field: city, in: [Lyon, Nice]}", 'city is "Lyon" or "Nice"', "ville : « Lyon » ou « Nice »"),
        ("{field: lifecycle_stage, in: [at_risk, loyal]}", 'lifecycle stage is "at risk" or "loyal"',
         "étape du cycle de vie : « à risque » ou « fidèle »"),
        ("{consent: {purpose: profiling, channel: [email, sms], status: [refused, withdrawn]}, within_days: 30}",
         "the consent to profiling by e-mail or SMS is refused or withdrawn, said in the last 30 days",
         "le consentement pour le profilage par e-mail ou SMS est refusé ou retiré, exprimé dans les 30 derniers jours"),
        ("{consent: {purpose: partners, expires_within_days: 60}}",
         "the consent to passing on to partners is granted and runs out within 60 days",
         "le consentement pour la transmission aux partenaires est accordé et expire dans les 60 jours"),
        ("{custom: size, exists: false}", 'attribute "size" is unknown', "attribut « size » : inconnu"),
        ("{performed: cart, equals: 1}", "the customer filled a cart: exactly 1 time", "le client a rempli un panier : exactement 1 fois"),
        ("{field: amount_net, more_than: {field: order_count, times: 2.5}}",
         "amount net of returns is more than 2.5 × number of orders", "montant net des retours : plus de 2,5 × nombre de commandes"),
    ],
)  # fmt: skip
def test_conditions_in_words(where: str, english: str, french: str) -> None:
    condition = segment("asked", where).where
    assert (explain_condition(condition, "en"), explain_condition(condition, "fr")) == (english, french)


def test_every_ready_segment_can_be_explained(project: Path) -> None:
    from orchestration.contracts.catalogue import MARTS_CONTRACT
    from orchestration.contracts.segment import load_segments, read_catalogue

    catalogue = read_catalogue(MARTS_CONTRACT)
    found = load_segments(project / "declarations" / "segments", catalogue, project)
    for one in found:
        assert isinstance(one, Segment)
        told = explain(found, one.segment, catalogue, as_of_on=DAY, time_zone="Europe/Paris")
        assert told.english.endswith(".") and told.french.endswith(".") and told.english != told.french
