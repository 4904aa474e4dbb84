-- One row per customer with an order who has a birth date. Orders are held against it, and against nothing else of
-- the golden record: so they stay as they are when another value of it changes.
{{ config(tags=['unify'], meta={'dagster': {'group': 'facts'}, 'touched': {
    'key': 'customer_id',
    'by': {
        'customer_attributes': {'columns': 'customer_id, attribute, value', 'key': 'customer_id'},
        'int_order_customers': 'customer_id',
    },
}}) }}

select
    customer_id,
    cast(value as date) as birth_on
from {{ ref('customer_attributes') }}
where
    attribute = 'birth_on' and value is not null and {{ only_touched('customer_id') }}
    and customer_id in (select customer_id from {{ ref('int_order_customers') }})
