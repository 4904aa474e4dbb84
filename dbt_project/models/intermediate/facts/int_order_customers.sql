-- One row per order: the one customer it is attached to, or 'unknown', and by which reference.
{{ config(tags=['unify'], meta={'dagster': {'group': 'facts'}, 'touched': {
    'key': 'order_id',
    'by': {
        'int_order_headers': 'order_id',
        'int_reference_customers': {'query': with_changed_references('order_id', 'intermediate.int_order_headers')},
    },
}}) }}
with

orders as (

    select
        order_id,
        ref_account_source,
        ref_account,
        ref_card,
        ref_email,
        ref_phone,
        ref_cookie,
        ref_last_name,
        ref_first_name
    from {{ ref('int_order_headers') }} as headers
    where {{ only_touched('headers.order_id') }}

),

{{ attach_customers('orders') }}

select
    order_id,
    customer_id,
    attached_by
from attached
