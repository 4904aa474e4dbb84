-- One row per pair of records that waits for a steward's decision.
select
    pair_id,
    left_source,
    left_record_id,
    right_source,
    right_record_id,
    match_probability,
    reason,
    guard,
    left_customer_id,
    right_customer_id
from {{ source('identity', 'match_review') }}
