-- One row per order header (source, row_key), with references that can be looked up.
{{ config(meta={'touched': {
    'key': 'row_key',
    'by': {'orders': 'row_key'},
}}) }}
with

orders as (

    select * from {{ source('landing', 'orders') }} as orders
    where {{ only_touched('orders.row_key') }}

),

{{ reference_ctes('orders') }}

select
    orders.order_id,
    orders.ordered_at,
    lower({{ tidy('orders.channel') }}) as channel,
    {{ tidy('orders.store') }} as store,
    lower({{ tidy('orders.status') }}) as status,
    upper({{ tidy('orders.currency') }}) as currency,
    {{ tidy('orders.payment_method') }} as payment_method,
    {{ clean_references('orders') }},
    orders.amount_total,
    orders.custom,
    orders.source,
    orders.row_key,
    orders.business_on,
    orders.available_on
from orders
left join emails on orders.ref_email = emails.email_given
left join phones on orders.ref_phone = phones.phone_given
