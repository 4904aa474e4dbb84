-- One row per order of a system: its header, from a header file or repeated on flat lines.
--
-- A header file wins over what lines repeat; of two headers, the one of the most trusted source.
-- `ordered_on` is the company's day; an order that nobody dates takes the day of its delivery.
{{ config(tags=['unify'], meta={'dagster': {'group': 'facts'}, 'touched': {
    'key': 'source_order_id',
    'by': {'stg_orders': 'order_id', 'stg_order_lines': 'order_id'},
}}) }}
{%- set texts = [
    'channel', 'store', 'status', 'currency', 'payment_method', 'ref_account_source', 'ref_account', 'ref_card',
    'ref_email', 'ref_phone', 'ref_cookie', 'ref_last_name', 'ref_first_name',
] %}
with

headers_ranked as (

    select
        systems.order_system,
        headers.order_id,
        headers.source,
        headers.ordered_at,
        headers.business_on,
        headers.amount_total,
        {%- for text in texts %}
        headers.{{ text }},
        {%- endfor %}
        row_number() over (
            partition by systems.order_system, headers.order_id
            order by coalesce(sources.trust_rank, 1000), headers.source, headers.row_key
        ) as preference
    from {{ ref('stg_orders') }} as headers
    inner join {{ ref('int_order_systems') }} as systems on headers.source = systems.source
    left join {{ source('control', 'sources') }} as sources on headers.source = sources.source
    where {{ only_touched('headers.order_id') }}

),

headers as (

    select
        order_system,
        order_id,
        source,
        ordered_at,
        business_on,
        amount_total,
        {{ texts | join(',\n        ') }}
    from headers_ranked
    where preference = 1

),

line_headers as (

    select
        systems.order_system,
        lines.order_id,
        min(lines.source) as source,
        min(lines.ordered_at) as ordered_at,
        min(lines.business_on) as business_on,
        count(*) as line_count,
        {{ money('sum(' ~ line_amount('lines') ~ ')') }} as amount_of_lines,
        {%- for text in texts %}
        max(lines.{{ text }}) as {{ text }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ ref('stg_order_lines') }} as lines
    inner join {{ ref('int_order_systems') }} as systems on lines.source = systems.source
    where {{ only_touched('lines.order_id') }}
    group by systems.order_system, lines.order_id

),

joined as (

    select
        coalesce(headers.order_system, line_headers.order_system) as order_system,
        coalesce(headers.order_id, line_headers.order_id) as source_order_id,
        coalesce(headers.source, line_headers.source) as source,
        coalesce(headers.ordered_at, line_headers.ordered_at) as ordered_at,
        coalesce(headers.business_on, line_headers.business_on) as business_on,
        coalesce(line_headers.line_count, 0) as line_count,
        coalesce(line_headers.amount_of_lines, headers.amount_total, 0) as amount_delivered,
        headers.amount_total as amount_stated,
        {%- for text in texts %}
        coalesce(headers.{{ text }}, line_headers.{{ text }}) as {{ text }}{{ ',' if not loop.last }}
        {%- endfor %}
    from headers
    full outer join line_headers
        on headers.order_system = line_headers.order_system and headers.order_id = line_headers.order_id

)

select
    joined.order_system || ':' || joined.source_order_id as order_id,
    joined.order_system,
    joined.source_order_id,
    joined.source,
    joined.ordered_at,
    coalesce({{ local_date('joined.ordered_at', 'company.time_zone') }}, joined.business_on) as ordered_on,
    joined.ordered_at is null as is_date_inferred,
    joined.line_count,
    {{ money('joined.amount_delivered') }} as amount_delivered,
    joined.amount_stated,
    joined.channel,
    joined.store,
    coalesce(lower(joined.status), 'completed') as status,
    coalesce(upper(joined.currency), company.currency) as currency,
    joined.payment_method,
    joined.ref_account_source,
    joined.ref_account,
    joined.ref_card,
    joined.ref_email,
    joined.ref_phone,
    joined.ref_cookie,
    joined.ref_last_name,
    joined.ref_first_name
from joined
cross join {{ source('control', 'company') }} as company
