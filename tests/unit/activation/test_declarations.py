"""What a declaration of an activation may not say, and the words that tell so."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.contracts.activation import load_activation
from orchestration.contracts.catalogue import load_catalogue
from orchestration.errors import DeclarationError

HEAD = """\
activation: letter
label: {en: Letter, fr: Lettre}
objective: write to them
"""


def read(tmp_path: Path, text: str) -> object:
    file = tmp_path / "letter.yml"
    file.write_text(HEAD + text, encoding="utf-8")
    return load_activation(file, tmp_path)


PLAIN = "audience: {segment: readers}\nformat: csv\n"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("audience: {segment: a, trigger: b}\nformat: csv\n", 4, "an audience is one of segment, segments, trigger"),
        ("audience: {}\nformat: csv\n", 4, "an audience is one of"),
        ("audience: {segment: readers}\nformat: csb\n", 5, '"format": '),
        (PLAIN + "chanel: email\n", 6, 'unknown key "chanel"; did you mean "channel"?'),
        (PLAIN + "deliver: {folder: {}, s3: {bucket: b}}\n", 6, "delivers to one of"),
        (PLAIN + "deliver:\n  webhook:\n    url: https://x.example/\n    secret: hunter2\n", 9, "a secret is never written"),
        (PLAIN + "deliver:\n  postgres:\n    dsn: host=db password=hunter2\n    table: a.b\n", 8, "a secret is never written"),
        (PLAIN + "deliver:\n  sftp:\n    host: h\n    user: u\n    password: hunter2\n    host_key: ssh-rsa AA\n", 10,
         "a secret is never written"),
        (PLAIN + "deliver:\n  s3:\n    bucket: b\n    access_key: AKIA123\n    secret_key: env:X\n", 9, "a secret is never written"),
        (PLAIN + "deliver: {webhook: {url: 'http://x.example/', secret: env:X}}\n", 6, "over https only"),
        (PLAIN + "deliver: {webhook: {url: 'https://u:hunter2@x.example/', secret: env:X}}\n", 6, "holds no user"),
        (PLAIN + "deliver: {folder: ../elsewhere}\n", 6, '".." leads out'),
        (PLAIN + "deliver: {postgres: {dsn: env:X, table: 'a.b; drop table c'}}\n", 6, "is no table"),
        (PLAIN + "unsubscribe: {url: 'https://x.example/u'}\n", 6, "with {token} in it"),
        (PLAIN + "unsubscribe: {url: 'http://x.example/u?t={token}'}\n", 6, "https address"),
        (PLAIN + "channel: post\nunsubscribe: {url: 'https://x.example/u?t={token}'}\n", 1, "a letter has no link"),
        ("audience: {segment: readers}\nformat: meta\nattributes: {A: city}\n", 1, "takes hashed identifiers only"),
        ("audience: {segment: readers}\nformat: brevo\ncolumns: [email]\n", 1, "brevo dictates its columns"),
        ("audience: {trigger: t}\nformat: csv\nmode: delta\n", 1, "mode: delta is for segments"),
        ("audience: {trigger: t}\nformat: google\n", 1, "takes lists of people"),
        (PLAIN + "max_age_hours: 0\n", 6, '"max_age_hours"'),
    ],
)  # fmt: skip
def test_a_declaration_that_makes_no_sense_is_refused_with_its_line(
    tmp_path: Path, text: str, line: int, message: str
) -> None:
    with pytest.raises(DeclarationError) as error:
        read(tmp_path, text)
    assert str(error.value).startswith(f"letter.yml:{line}: ")
    assert message in str(error.value)
    assert "hunter2" not in str(error.value)


def test_the_name_is_that_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "other.yml"
    file.write_text(HEAD + PLAIN, encoding="utf-8")
    with pytest.raises(DeclarationError, match=r"other\.yml:1: .*should be named as its file"):
        load_activation(file, tmp_path)


def catalogue_with(project: Path, tmp_path: Path, text: str) -> str:
    """What the checks across files say of one more activation in a copy of the declarations."""
    import shutil

    shutil.copytree(project / "declarations", tmp_path / "declarations")
    (tmp_path / "declarations" / "activations" / "letter.yml").write_text(HEAD + text, encoding="utf-8")
    with pytest.raises(DeclarationError) as error:
        load_catalogue(tmp_path / "declarations")
    return str(error.value)


def test_names_that_nobody_declares_are_told_with_the_nearest(project: Path, tmp_path: Path) -> None:
    told = catalogue_with(
        project, tmp_path, "audience: {segments: [vip_at_risk, vip_at_rsk]}\nformat: csv\ncolumns: {NAME: last_nam}\n"
        "attributes: {CITY: cty}\n",
    )  # fmt: skip
    assert told.splitlines() == [
        'declarations/activations/letter.yml:4: no segment "vip_at_rsk"; did you mean "vip_at_risk"?',
        'declarations/activations/letter.yml:6: customer_360 has no field "last_nam"; did you mean "last_name"?',
        'declarations/activations/letter.yml:7: customer_360 has no field "cty"; did you mean "city"?',
    ]


def test_a_trigger_without_the_channel_is_told(project: Path, tmp_path: Path) -> None:
    told = catalogue_with(project, tmp_path, "audience: {trigger: cart_abandoned}\nformat: csv\nchannel: post\n")
    assert told.endswith(':6: trigger "cart_abandoned" has no channel post; it has email, sms')


def test_every_activation_of_the_demo_stays_on_this_machine(project: Path) -> None:
    declared = load_catalogue(project / "declarations").activations
    assert {one.deliver.kind for one in declared.values()} == {"folder"}
    assert {one.format for one in declared.values()} == {
        "brevo", "klaviyo", "mailchimp", "meta", "google", "csv", "parquet", "json", "jsonl",
    }  # fmt: skip
    assert all(one.deliver.folder and one.deliver.folder.path is None for one in declared.values())
