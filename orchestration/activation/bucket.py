"""Deliveries to a bucket of an S3-compatible store. An object appears whole or not at all."""

from __future__ import annotations

import botocore.exceptions
import s3fs

from orchestration.activation.destinations import DeliveryFailed, Parcel
from orchestration.contracts.activation import S3
from orchestration.settings import resolve_secret


def to_bucket(parcel: Parcel, declared: S3) -> str:
    """Put every file, the manifest last."""
    place = "/".join(part for part in (declared.bucket, declared.prefix.strip("/")) if part)
    options: dict[str, object] = {"use_listings_cache": False, "skip_instance_cache": True}
    if declared.access_key and declared.secret_key:
        options["key"] = resolve_secret(declared.access_key, parcel.workspace)
        options["secret"] = resolve_secret(declared.secret_key, parcel.workspace)
    if declared.endpoint:
        options["endpoint_url"] = declared.endpoint
    config = {"connect_timeout": 20, "read_timeout": 60, "retries": {"max_attempts": 4, "mode": "standard"}}
    client = {"region_name": declared.region} if declared.region else {}
    try:
        store = s3fs.S3FileSystem(config_kwargs=config, client_kwargs=client, **options)
        for file in parcel.in_order:
            store.put_file(str(file.path), f"{place}/{file.name}")
    except (OSError, botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        raise DeliveryFailed(
            f"{parcel.activation.activation}: s3://{place} did not take the delivery ({type(error).__name__}); "
            "check bucket, keys and endpoint; it is sent again"
        ) from None
    return f"s3://{place}"
