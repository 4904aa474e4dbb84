-- One row per distinct set of references that an order or event carries: the one customer it leads to, or
-- 'unknown', and by which reference.
{{ config(tags=['unify'], meta={'dagster': {'group': 'facts'}}) }}
with

{{ find_customers(ref('int_references')) }}

select
    {{ reference_columns() | join(',\n    ') }},
    customer_id,
    attached_by
from found_customers
