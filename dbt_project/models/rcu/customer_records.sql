-- One row per living record: the customer it belongs to, since when and by what.
select
    links.source,
    links.record_id,
    links.customer_id,
    links.attached_on,
    links.attached_by,
    records.first_seen_on,
    records.last_seen_on,
    records.is_active
from {{ source('identity', 'record_customers') }} as links
inner join {{ ref('int_customer_records') }} as records
    on links.source = records.source and links.record_id = records.record_id
