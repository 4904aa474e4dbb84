"""GoldenMatch without configuration on a CSV: run by `identity_public` in GoldenMatch's own environment."""

from __future__ import annotations

import sys

import goldenmatch
import polars as pl

given, answer = sys.argv[1:3]
people = pl.read_csv(given, infer_schema_length=0)
# The key is not evidence; rows come back by their position.
result = goldenmatch.dedupe_df(people.drop("unique_id"), confidence_required=False, allow_red_config=True)
keys = people["unique_id"].to_list()
clusters = {key: f"single {key}" for key in keys}
for number, cluster in result.clusters.items():
    members = cluster["members"] if isinstance(cluster, dict) else cluster
    for member in members:
        clusters[keys[int(member)]] = f"cluster {number}"
pl.DataFrame({"unique_id": keys, "cluster": [clusters[key] for key in keys]}).write_csv(answer)
