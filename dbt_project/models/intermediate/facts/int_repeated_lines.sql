-- One row per line left out because an equal line of the same order came before it, in the sources
-- whose lines have no number of their own (`drop_exact_repeats` in value.yml).
{{ config(tags=['unify'], meta={'dagster': {'group': 'facts'}}) }}
with

lines as (

    select
        source,
        row_key,
        row_number() over (
            partition by
                source, order_id, ordered_at, status, currency, product_id, product_label, quantity, unit_price,
                amount_discount, amount_gross, amount_tax, line_kind, returned_order_id
            order by row_key
        ) as occurrence
    from {{ ref('stg_order_lines') }}
    where
        source in (select source from {{ source('control', 'repeat_sources') }})
        or exists (select 1 from {{ source('control', 'repeat_sources') }} where source = 'all')

)

select
    source,
    row_key
from lines
where occurrence > 1
