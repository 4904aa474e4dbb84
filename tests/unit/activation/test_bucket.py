"""Deliveries to an S3 server on loopback (moto's)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from orchestration import activation
from orchestration.contracts.subject import Subject
from tests.unit.activation.conftest import Shop, declare

server_module = pytest.importorskip("moto.server", reason="moto's server is not installed (dev dependency)")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("RCU_TEST_ACCESS", "testing")
    monkeypatch.setenv("RCU_TEST_SECRET", "testing")
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    client.create_bucket(Bucket="audiences")
    yield client
    for item in client.list_objects_v2(Bucket="audiences").get("Contents", []):
        client.delete_object(Bucket="audiences", Key=item["Key"])
    client.delete_bucket(Bucket="audiences")


def declared(endpoint: str, **keys: Any) -> Any:
    place = {"bucket": "audiences", "prefix": "rcu/today", "endpoint": endpoint, "region": "us-east-1",
             "access_key": "env:RCU_TEST_ACCESS", "secret_key": "env:RCU_TEST_SECRET", **keys}  # fmt: skip
    return declare(deliver={"s3": place})


def test_objects_arrive_under_the_prefix_and_hold_what_the_files_hold(shop: Shop, endpoint: str, bucket: Any) -> None:
    published = shop.publish()
    (outcome,) = shop.send(published, declared(endpoint))
    assert outcome.status == "delivered", outcome.message
    keys = sorted(item["Key"] for item in bucket.list_objects_v2(Bucket="audiences")["Contents"])
    assert keys == [
        "rcu/today/letter-20260331-0001-full.csv", "rcu/today/letter-20260331-0001.manifest.json",
    ]  # fmt: skip
    shop.send(published, declare("local"))
    (here,) = [path for path in shop.exports("local") if path.suffix == ".csv"]
    assert bucket.get_object(Bucket="audiences", Key=keys[0])["Body"].read() == here.read_bytes()


def test_a_bucket_that_does_not_exist_is_a_clear_error(shop: Shop, endpoint: str, bucket: Any) -> None:
    (outcome,) = shop.send(shop.publish(), declared(endpoint, bucket="nowhere"))
    assert outcome.status == "failed"
    assert "s3://nowhere/rcu/today did not take the delivery" in outcome.message


def test_an_erased_person_is_told_the_way_they_went(shop: Shop, endpoint: str, bucket: Any) -> None:
    letter = declared(endpoint)
    shop.send(shop.publish(), letter)
    anne = Subject(customer_ids=frozenset({"c01"}))
    activation.erase(shop.workspace, anne, request_id="R-1", on=dt.date(2026, 4, 2))
    assert activation.send_removals(shop.workspace, {"letter": letter}) == activation.RemovalsSent(1)
    keys = [
        item["Key"] for item in bucket.list_objects_v2(Bucket="audiences", Prefix="rcu/today/erase-letter")["Contents"]
    ]
    (file,) = [key for key in keys if key.endswith(".jsonl")]
    text = bucket.get_object(Bucket="audiences", Key=file)["Body"].read().decode()
    assert '"c01"' in text and "eleonore.martin" not in text and text.count("\n") == 1
    assert [key for key in keys if key.endswith(".manifest.json")]
