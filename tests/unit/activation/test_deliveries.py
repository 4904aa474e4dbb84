"""Full lists and deltas, repeats, refusals, dry runs, crashes and full disks."""

from __future__ import annotations

import csv
import datetime as dt
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import duckdb
import pytest

from orchestration import activation
from orchestration.activation import destinations, ledger
from orchestration.contracts.trigger import Limits
from orchestration.errors import UsageError
from tests.unit.activation.conftest import CUSTOMERS, DAY, NOW, Shop, declare

LATER = dt.datetime(2026, 4, 1, 9, 0, tzinfo=dt.UTC)
NEXT = dt.date(2026, 4, 1)


def table(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def named(shop: Shop, name: str, ending: str) -> Path:
    (found,) = [path for path in shop.exports(name) if path.name.endswith(ending)]
    return found


# --- full and delta ------------------------------------------------------------------------------


def test_a_delta_adds_and_removes_what_changed_since_the_last_delivery(shop: Shop) -> None:
    delta = declare(mode="delta")
    shop.send(shop.publish(members=["c01", "c02", "c03"]), delta)
    second = shop.publish("20260401-0001", members=["c02", "c03", "c09"], day=NEXT)
    (outcome,) = shop.send(second, delta, now=LATER)
    assert (outcome.sent, outcome.removed) == (1, 1)
    assert [row["customer_id"] for row in table(named(shop, "letter", "20260401-0001-add.csv"))] == ["c09"]
    assert table(named(shop, "letter", "20260401-0001-remove.csv")) == [{"customer_id": "c01"}]
    told = json.loads(named(shop, "letter", "20260401-0001.manifest.json").read_text(encoding="utf-8"))
    assert (told["since_version"], told["list_count"]) == ("20260331-0001", 3)


COLUMNS = ["customer_id", "first_name", "order_count"]


def test_a_delta_tells_changed_attributes_as_an_update(shop: Shop) -> None:
    link = {"url": "https://shop.example/u?t={token}"}
    delta = declare(mode="delta", columns=COLUMNS, unsubscribe=link)
    shop.send(shop.publish(members=["c01", "c02", "c03"]), delta)
    renamed = {"c02": {"first_name": "Jean"}, "c03": {"email": "zoe.petit@free.fr"}}
    second = shop.publish("20260401-0001", members=["c02", "c03", "c09"], day=NEXT, changed=renamed)
    (outcome,) = shop.send(second, delta, now=LATER)
    assert (outcome.sent, outcome.updated, outcome.removed) == (1, 1, 1)
    assert [row["first_name"] for row in table(named(shop, "letter", "20260401-0001-update.csv"))] == ["Jean"]
    told = json.loads(named(shop, "letter", "20260401-0001.manifest.json").read_text(encoding="utf-8"))
    assert [(file["action"], file["rows"]) for file in told["files"]] == [("add", 1), ("update", 1), ("remove", 1)]
    # c03 has another address, which is no column of the file; the link of each is of another day.
    third = shop.publish("20260402-0001", members=["c02", "c03", "c09"], day=NEXT, changed=renamed)
    assert shop.send(third, delta, now=LATER)[0].status == "unchanged"


def test_a_platform_without_updates_is_given_the_changed_again(shop: Shop) -> None:
    delta = declare(mode="delta", format="meta")
    shop.send(shop.publish(members=["c01", "c02"]), delta)
    second = shop.publish("20260401-0001", members=["c01", "c02"], day=NEXT, changed={"c02": {"first_name": "Jean"}})
    (outcome,) = shop.send(second, delta, now=LATER)
    assert (outcome.sent, outcome.updated, outcome.removed) == (1, 0, 0)


def test_a_delivery_from_before_there_were_updates_is_brought_up_to_date_once(shop: Shop) -> None:
    delta = declare(mode="delta", columns=COLUMNS)
    shop.send(shop.publish(members=["c01", "c02"]), delta)
    for name, added in (("activation_members", "content"), ("activation_deliveries", "updated_count")):
        for file in (shop.workspace.registry / name).glob("*.parquet"):
            with duckdb.connect() as connection:
                connection.execute(f"create table t as select * exclude ({added}) from read_parquet('{file}')")
                connection.execute(f"copy t to '{file}' (format parquet)")
    for number, updated in ((1, 2), (2, 0)):
        published = shop.publish(f"2026040{number}-0001", members=["c01", "c02"], day=NEXT)
        assert shop.send(published, delta, now=LATER)[0].updated == updated


def test_deltas_laid_over_each_other_are_the_full_list(shop: Shop) -> None:
    days = [["c01", "c02"], ["c02", "c03"], ["c01", "c03", "c09"], ["c09"], list(CUSTOMERS)]
    held: dict[str, str] = {}
    for number, members in enumerate(days):
        day = DAY + dt.timedelta(days=number)
        version = f"{day:%Y%m%d}-0001"
        moment = dt.datetime.combine(day, dt.time(9), dt.UTC)
        published = shop.publish(version, members=members, day=day)
        shop.send(published, declare(mode="delta"), declare("whole"), now=moment)
        for row in table(named(shop, "letter", f"{version}-remove.csv")):
            del held[row["customer_id"]]
        for row in table(named(shop, "letter", f"{version}-add.csv")):
            assert row["customer_id"] not in held
            held[row["customer_id"]] = row["email"]
        whole = table(named(shop, "whole", f"{version}-full.csv"))
        assert held == {row["customer_id"]: row["email"] for row in whole}


def test_whoever_has_a_new_address_is_removed_under_the_old_and_added_under_the_new(shop: Shop) -> None:
    delta = declare(format="mailchimp", mode="delta")
    shop.send(shop.publish(members=["c01", "c09"]), delta)
    changed = {"c09": {"email": "nina.new@free.fr"}}
    shop.send(shop.publish("20260401-0001", members=["c01", "c09"], day=NEXT, changed=changed), delta, now=LATER)
    added = table(named(shop, "letter", "20260401-0001-add.csv"))
    assert [row["Email Address"] for row in added] == ["nina.new@free.fr"]
    assert table(named(shop, "letter", "20260401-0001-remove.csv")) == [{"Email Address": "nina@free.fr"}]


def test_someone_who_refused_since_is_removed_by_the_next_delta(shop: Shop) -> None:
    delta = declare(mode="delta")
    shop.send(shop.publish(members=["c01", "c09"]), delta)
    second = shop.publish("20260401-0001", members=["c01", "c09"], day=NEXT)
    shop.land("event", "since", event_type="email_unsubscribe", ref_email="nina@free.fr")
    shop.send(second, delta, now=LATER)
    assert table(named(shop, "letter", "20260401-0001-remove.csv")) == [{"customer_id": "c09"}]


def test_a_delta_without_change_sends_nothing_and_counts(shop: Shop) -> None:
    delta = declare(mode="delta")
    shop.send(shop.publish(), delta)
    (outcome,) = shop.send(shop.publish("20260401-0001", day=NEXT), delta, now=LATER)
    assert outcome.status == "unchanged"
    assert not [path for path in shop.exports("letter") if "20260401" in path.name]
    assert ledger.last_done(shop.workspace, "letter").version == "20260401-0001"


# --- repeats -------------------------------------------------------------------------------------


def test_a_version_is_delivered_once(shop: Shop) -> None:
    published = shop.publish()
    shop.send(published, declare())
    before = {path: path.stat().st_mtime_ns for path in shop.exports("letter")}
    (outcome,) = shop.send(published, declare())
    assert outcome.status == "already"
    assert {path: path.stat().st_mtime_ns for path in shop.exports("letter")} == before


@pytest.mark.parametrize("mode", ["full", "delta"])
def test_sent_again_a_version_brings_the_same_bytes_under_the_same_names(shop: Shop, mode: str) -> None:
    declared = declare(mode=mode, unsubscribe={"url": "https://shop.example/u?t={token}"})
    shop.send(shop.publish(members=["c01", "c03"]), declared)
    second = shop.publish("20260401-0001", members=["c02", "c03"], day=NEXT)
    shop.send(second, declared, now=LATER)
    before = {path.name: path.read_bytes() for path in shop.exports("letter")}
    (outcome,) = shop.send(second, declared, now=LATER + dt.timedelta(hours=3), again=True)
    assert outcome.status == "delivered"
    assert {path.name: path.read_bytes() for path in shop.exports("letter")} == before


def test_what_dies_after_sending_is_sent_again_under_the_same_key(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = []
    published = shop.publish()

    def sent_and_then_killed(parcel: destinations.Parcel) -> str:
        keys.append((parcel.key, [file.name for file in parcel.in_order]))
        if len(keys) == 1:
            raise KeyboardInterrupt
        return "there"

    monkeypatch.setitem(activation.activate.__globals__, "send", sent_and_then_killed)
    with pytest.raises(KeyboardInterrupt):
        shop.send(published, declare())
    assert activation.deliveries(shop.workspace) == []
    (outcome,) = shop.send(published, declare())
    assert outcome.status == "delivered"
    assert keys[0] == keys[1]
    assert keys[0][0] == "letter:20260331-0001"


def test_members_without_a_delivery_count_for_nothing(shop: Shop) -> None:
    """What a crash between the two writes of the registry leaves: the next delta does not build on it."""
    delta = declare(mode="delta")
    published = shop.publish(members=["c01", "c03"])
    shop.send(published, delta)
    for file in (shop.workspace.registry / "activation_deliveries").iterdir():
        file.unlink()
    (outcome,) = shop.send(published, delta)
    assert (outcome.status, outcome.sent, outcome.removed) == ("delivered", 2, 0)


def test_addresses_of_old_lists_are_not_kept(shop: Shop) -> None:
    for number in range(5):
        day = DAY + dt.timedelta(days=number)
        moment = dt.datetime.combine(day, dt.time(9), dt.UTC)
        shop.send(shop.publish(f"{day:%Y%m%d}-0001", day=day), declare(deliver={"folder": {"keep": 2}}), now=moment)
    assert len(list((shop.workspace.registry / "activation_members").iterdir())) == 2
    kept = {path.name.split("-")[1] for path in shop.exports("letter")}
    assert kept == {"20260403", "20260404"}
    assert len(activation.deliveries(shop.workspace)) == 5


# --- triggers ------------------------------------------------------------------------------------


def event_keys(shop: Shop, version: str) -> list[str]:
    files = [path for path in shop.exports("letter") if f"{version}-add" in path.name]
    return [row["event_key"] for file in files for row in json.loads(file.read_text(encoding="utf-8"))]


def test_an_event_leaves_once_and_one_that_failed_leaves_with_the_next(shop: Shop) -> None:
    declared = declare(audience={"trigger": "cart_left"}, format="json", columns=["customer_id", "email"])
    v1, v2, v3 = "20260331-0001", "20260331-0002", "20260331-0003"
    early = ("cart_left:0", "c01", "20260330-0001")  # fired before the activation was there
    first = [early, ("cart_left:1", "c01", v1)]
    shop.send(shop.publish(v1, events=first), declared)
    assert event_keys(shop, v1) == ["cart_left:1"]

    blocked = shop.workspace.exports / "letter"
    aside = blocked.with_name("aside")
    blocked.rename(aside)
    blocked.write_text("a file where the folder should be", encoding="utf-8")
    second = [*first, ("cart_left:2", "c03", v2), ("cart_left:3", "c04", v2)]
    (outcome,) = shop.send(shop.publish(v2, events=second), declared)
    assert outcome.status == "failed"
    blocked.unlink()
    aside.rename(blocked)

    (outcome,) = shop.send(shop.publish(v3, events=[*second, ("cart_left:4", "c09", v3)]), declared)
    assert event_keys(shop, v3) == ["cart_left:2", "cart_left:4"]
    assert outcome.left_out == {"no_consent": 1}  # c04 refuses


def test_a_message_whose_window_is_over_leaves_in_the_next_or_never(shop: Shop) -> None:
    declared = declare(audience={"trigger": "cart_left"}, format="json", columns=["customer_id"])
    limits = Limits.model_validate({"quiet_hours": {"from": "20:00", "to": "09:00"}, "quiet_week_days": ["wednesday"]})
    published = shop.publish(events=[("cart_left:1", "c01", "20260331-0001")])  # its window ends on the 31st, 20:00

    def windows(now: dt.datetime) -> list[tuple[str, str]]:
        shop.send(published, declared, now=now, limits=limits, time_zone="UTC", again=True)
        (file,) = [path for path in shop.exports("letter") if "-add" in path.name] or [None]
        rows = json.loads(file.read_text(encoding="utf-8")) if file else []
        return [(row["send_from_at"], row["send_until_at"]) for row in rows]

    assert windows(NOW) == [("2026-03-31T08:00:00+00:00", "2026-03-31T20:00:00+00:00")]
    # In the evening; Wednesday is quiet, and the message is good until Thursday.
    assert windows(NOW.replace(hour=22)) == [("2026-04-02T09:00:00+00:00", "2026-04-02T20:00:00+00:00")]
    quiet = limits.model_copy(update={"quiet_week_days": ("wednesday", "thursday")})
    (outcome,) = shop.send(published, declared, now=NOW.replace(hour=22), limits=quiet, again=True, dry_run=True)
    assert outcome.audience == 0


# --- refusing ------------------------------------------------------------------------------------


def refusal(shop: Shop, **options: object) -> str:
    published = options.pop("published", None) or shop.publish()
    (outcome,) = shop.send(published, declare(**options.pop("declared", {})), **options)
    assert outcome.status == "refused"
    assert shop.exports("letter") == []
    (kept,) = activation.deliveries(shop.workspace)
    assert (kept.status, kept.message) == ("refused", outcome.message)
    return outcome.message


def test_a_publication_older_than_declared_is_refused(shop: Shop) -> None:
    told = refusal(shop, declared={"max_age_hours": 20}, now=NOW + dt.timedelta(hours=21))
    assert told == "version 20260331-0001 is 21 h old, and max_age_hours is 20; publish again (`rcu run`)"


def test_a_publication_of_a_day_long_past_is_old_however_fresh_it_is(shop: Shop) -> None:
    assert "h old" in refusal(shop, published=shop.publish(day=dt.date(2026, 3, 1), made_at=NOW))


def test_a_publication_whose_gate_failed_is_refused(shop: Shop) -> None:
    assert refusal(shop, published=shop.publish(failed_gates=("publish",))) == (
        "gate publish of version 20260331-0001 failed"
    )


def test_a_universal_segment_is_refused(shop: Shop) -> None:
    assert "the size of segment readers is universal" in refusal(shop, published=shop.publish(size_status="universal"))


def test_an_empty_segment_is_refused_unless_that_is_declared(shop: Shop) -> None:
    published = shop.publish(size_status="empty")
    (outcome,) = shop.send(published, declare(mode="delta"))
    assert (outcome.status, shop.exports("letter")) == ("refused", [])
    assert outcome.message == "the size of segment readers is empty; look at it (`rcu segment preview readers`)"
    (outcome,) = shop.send(published, declare("allowed", refuse_sizes=["universal"]))
    assert outcome.status == "delivered"


def test_a_size_out_of_its_range_is_refused_where_it_is_declared(shop: Shop) -> None:
    published = shop.publish(size_status="above")
    assert shop.send(published, declare("lax"))[0].status == "delivered"
    (outcome,) = shop.send(published, declare(refuse_sizes=["above"]))
    assert outcome.status == "refused"


def test_a_segment_that_is_newer_than_the_publication_is_refused(shop: Shop) -> None:
    assert "segment newcomers is not in version" in refusal(shop, declared={"audience": {"segment": "newcomers"}})


def test_one_refused_activation_does_not_keep_the_others(shop: Shop) -> None:
    outcomes = shop.send(
        shop.publish(), declare("a", max_age_hours=0.001), declare("b"), now=NOW + dt.timedelta(hours=1)
    )
    assert [outcome.status for outcome in outcomes] == ["refused", "delivered"]


def test_a_name_that_is_not_declared_is_an_error_with_the_nearest(shop: Shop) -> None:
    with pytest.raises(UsageError, match=r'no activation "leter"; did you mean "letter"\?'):
        shop.send(shop.publish(), declare(), only={"leter"})


# --- nothing half sent -----------------------------------------------------------------------------


def everything(shop: Shop) -> set[Path]:
    return {path for path in shop.workspace.data.rglob("*") if path.is_file()}


def test_a_dry_run_counts_and_leaves_no_trace(shop: Shop) -> None:
    published = shop.publish()
    before = everything(shop)
    (dry,) = shop.send(published, declare(deliver={"webhook": {"url": "https://nobody.example/", "secret": "env:NO"}}),
                       dry_run=True)  # fmt: skip
    assert everything(shop) == before
    (real,) = shop.send(published, declare())
    assert (dry.status, dry.audience, dry.sent, dry.left_out) == ("dry_run", real.audience, real.sent, real.left_out)


def test_a_folder_that_cannot_be_written_gets_nothing_and_is_tried_again(shop: Shop) -> None:
    (shop.workspace.exports / "letter").write_text("in the way", encoding="utf-8")
    published = shop.publish()
    (outcome,) = shop.send(published, declare())
    assert outcome.status == "failed"
    assert "cannot be written" in outcome.message
    (shop.workspace.exports / "letter").unlink()
    assert shop.send(published, declare())[0].status == "delivered"


def test_a_disk_that_fills_up_leaves_nothing_half_written(shop: Shop, tmp_path: Path) -> None:
    """The system refuses to write more than 100 bytes a file: what a full disk does, file by file."""
    published = shop.publish()
    script = tmp_path / "full.py"
    script.write_text(textwrap.dedent(f"""
        import resource, signal
        from tests.unit.activation.conftest import DAY, NOW, declare
        from orchestration import activation
        from orchestration.activation import Published
        from orchestration.settings import Workspace
        from pathlib import Path
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        published = Published("20260331-0001", DAY, NOW, Path({str(published.database)!r}))
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        (one,) = activation.activate(
            Workspace(Path({str(shop.workspace.root)!r})), {{"letter": declare()}}, published, run_id="r", now=NOW,
            sources={{}},
        )
        print(one.status, one.message)
    """), encoding="utf-8")  # fmt: skip
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=False,
                          cwd=Path(__file__).parents[3], env={"PYTHONPATH": str(Path(__file__).parents[3]), "PATH": ""})  # fmt: skip
    assert done.stdout.startswith("failed letter: "), done.stderr[-2000:]
    assert shop.exports("letter") == []
    assert list((shop.workspace.build / "activation").glob("**/*")) == []
    assert shop.send(published, declare())[0].status == "delivered"


def test_files_are_private_to_their_owner(shop: Shop) -> None:
    shop.send(shop.publish(), declare())
    assert {path.stat().st_mode & 0o077 for path in shop.exports("letter")} == {0}


def test_the_ledger_holds_what_an_erasure_needs_and_the_destination_knows(shop: Shop) -> None:
    shop.send(shop.publish(members=["c01"]), declare(format="brevo"))
    with duckdb.connect() as connection:
        rows = connection.execute(
            "select activation, member_key, customer_id, identity "
            f"from read_parquet('{shop.workspace.registry}/activation_members/*.parquet')"
        ).fetchall()
    assert rows == [("letter", "c01", "c01", '{"EMAIL": "eleonore.martin@gmail.com", "EXT_ID": "c01"}')]
