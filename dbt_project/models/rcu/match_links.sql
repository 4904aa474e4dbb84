-- One row per link between two records: the rule or the score that speaks for one person.
select
    left_source,
    left_record_id,
    right_source,
    right_record_id,
    kind,
    rule,
    match_probability,
    match_weight,
    field_weights,
    band,
    is_within_customer
from {{ source('identity', 'match_links') }}
