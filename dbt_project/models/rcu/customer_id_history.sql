-- One row per thing that happened to a customer id; `current_customer_id` is the living customer it leads to.
select
    history.customer_id,
    history.event,
    history.event_on,
    history.successor_id,
    history.record_count,
    history.reason,
    current_ids.current_customer_id
from {{ source('identity', 'customer_id_history') }} as history
left join {{ source('identity', 'current_ids') }} as current_ids on history.customer_id = current_ids.customer_id
