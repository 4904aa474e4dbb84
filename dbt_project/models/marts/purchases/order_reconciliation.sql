-- One row per source and currency: every line delivered is in the mart, or left out for a said reason.
{{ config(tags=['unify']) }}
with

delivered as (

    select
        lines.source,
        coalesce(upper(lines.currency), headers.currency) as currency,
        case
            when same_orders.order_id is not null then 'same_order'
            when repeats.row_key is not null then 'repeat'
            else 'kept'
        end as outcome,
        count(*) as line_count,
        sum({{ line_amount('lines') }}) as amount
    from {{ ref('stg_order_lines') }} as lines
    inner join {{ ref('int_order_systems') }} as systems on lines.source = systems.source
    inner join {{ ref('int_order_headers') }} as headers
        on systems.order_system = headers.order_system and lines.order_id = headers.source_order_id
    left join {{ ref('int_same_orders') }} as same_orders on headers.order_id = same_orders.order_id
    left join {{ ref('int_repeated_lines') }} as repeats
        on lines.source = repeats.source and lines.row_key = repeats.row_key
    group by 1, 2, 3

),

totals_only as (

    select
        source,
        currency,
        count(*) as line_count,
        sum(amount_delivered) as amount
    from {{ ref('int_order_lines') }}
    where order_line_id like '%|total'
    group by 1, 2

),

kept as (

    select
        source,
        currency,
        count(*) as line_count,
        sum(amount_delivered) as amount
    from {{ ref('order_lines') }}
    group by 1, 2

),

staged as (

    select
        source,
        count(*) as line_count
    from {{ ref('stg_order_lines') }}
    group by source

),

delivered_totals as (

    select
        source,
        currency,
        sum(line_count) as delivered_line_count,
        sum(amount) as delivered_amount,
        sum(case when outcome = 'repeat' then line_count else 0 end) as repeated_line_count,
        sum(case when outcome = 'repeat' then amount else 0 end) as repeated_amount,
        sum(case when outcome = 'same_order' then line_count else 0 end) as same_order_line_count,
        sum(case when outcome = 'same_order' then amount else 0 end) as same_order_amount
    from delivered
    group by source, currency

),

keys as (

    select source, currency from delivered_totals
    union
    select source, currency from kept

)

select
    keys.source,
    keys.currency,
    cast(coalesce(staged.line_count, 0) as bigint) as staged_line_count,
    cast(coalesce(delivered_totals.delivered_line_count, 0) as bigint) as delivered_line_count,
    {{ money('coalesce(delivered_totals.delivered_amount, 0)') }} as delivered_amount,
    cast(coalesce(totals_only.line_count, 0) as bigint) as added_line_count,
    {{ money('coalesce(totals_only.amount, 0)') }} as added_amount,
    cast(coalesce(delivered_totals.repeated_line_count, 0) as bigint) as repeated_line_count,
    {{ money('coalesce(delivered_totals.repeated_amount, 0)') }} as repeated_amount,
    cast(coalesce(delivered_totals.same_order_line_count, 0) as bigint) as same_order_line_count,
    {{ money('coalesce(delivered_totals.same_order_amount, 0)') }} as same_order_amount,
    cast(coalesce(kept.line_count, 0) as bigint) as kept_line_count,
    {{ money('coalesce(kept.amount, 0)') }} as kept_amount
from keys
left join staged on keys.source = staged.source
left join delivered_totals
    on keys.source = delivered_totals.source and keys.currency = delivered_totals.currency
left join totals_only on keys.source = totals_only.source and keys.currency = totals_only.currency
left join kept on keys.source = kept.source and keys.currency = kept.currency
