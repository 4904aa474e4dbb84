-- One row per distinct set of references that an order or event carries: the one customer it leads to, or
-- 'unknown', and by which reference.
{{ config(tags=['unify'], meta={'dagster': {'group': 'facts'}, 'touched': {
    'key': reference_key(),
    'by': references_led_elsewhere('intermediate.int_references', ['int_references']),
    'through': ['record_customers', 'int_identity_records'],
}}) }}
-- depends_on: {{ ref('int_customer_digests') }}
with

given_references as (

    select * from {{ ref('int_references') }}
    where {{ only_touched(reference_key()) }}

),

{{ find_customers('given_references') }}

select
    {{ reference_columns() | join(',\n    ') }},
    customer_id,
    attached_by
from found_customers
