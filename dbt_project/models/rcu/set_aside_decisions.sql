-- One row per steward decision that could not be applied: it contradicts another, names a record that is not
-- there, or cannot be read.
select
    left_source,
    left_record_id,
    right_source,
    right_record_id,
    decision,
    decided_by,
    decided_at,
    told_in,
    reason
from {{ source('identity', 'set_aside_decisions') }}
