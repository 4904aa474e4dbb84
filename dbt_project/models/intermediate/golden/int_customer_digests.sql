-- One row per living customer: a digest of the records that are theirs, as they are now. It tells which customers
-- a delivery touched.
select
    links.customer_id,
    {{ digest_of_rows('records') }} as digest
from {{ source('identity', 'record_customers') }} as links
inner join {{ ref('int_customer_records') }} as records
    on links.source = records.source and links.record_id = records.record_id
group by links.customer_id
