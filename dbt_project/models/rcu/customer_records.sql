-- One row per living record: the customer it belongs to, since when and by what.
select
    links.source,
    links.record_id,
    links.customer_id,
    links.attached_on,
    links.attached_by,
    records.first_seen_on,
    landed.last_seen_on,
    records.is_active
from {{ source('identity', 'record_customers') }} as links
inner join {{ ref('int_customer_records') }} as records
    on links.source = records.source and links.record_id = records.record_id
-- From landing: it moves with each delivery, also of records that did not change.
inner join {{ source('landing', 'customers') }} as landed
    on links.source = landed.source and links.record_id = landed.row_key and landed.is_current
