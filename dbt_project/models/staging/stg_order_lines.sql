-- One row per order line (source, row_key), with references that can be looked up.
{{ config(meta={'touched': {
    'key': 'row_key',
    'by': {'order_lines': 'row_key'},
}}) }}
with

order_lines as (

    select * from {{ source('landing', 'order_lines') }} as order_lines
    where {{ only_touched('order_lines.row_key') }}

),

{{ reference_ctes('order_lines') }}

select
    order_lines.order_id,
    order_lines.line_id,
    order_lines.ordered_at,
    lower({{ tidy('order_lines.channel') }}) as channel,
    {{ tidy('order_lines.store') }} as store,
    lower({{ tidy('order_lines.status') }}) as status,
    upper({{ tidy('order_lines.currency') }}) as currency,
    {{ tidy('order_lines.payment_method') }} as payment_method,
    {{ clean_references('order_lines') }},
    {{ tidy('order_lines.product_id') }} as product_id,
    {{ tidy('order_lines.product_label') }} as product_label,
    order_lines.quantity,
    order_lines.unit_price,
    order_lines.amount_discount,
    order_lines.amount_gross,
    order_lines.amount_tax,
    order_lines.tax_rate,
    lower({{ tidy('order_lines.line_kind') }}) as line_kind,
    {{ tidy('order_lines.returned_order_id') }} as returned_order_id,
    order_lines.custom,
    order_lines.source,
    order_lines.row_key,
    order_lines.business_on,
    order_lines.available_on
from order_lines
left join emails on order_lines.ref_email = emails.email_given
left join phones on order_lines.ref_phone = phones.phone_given
