-- One row per product and product bought with it in the same order: the closest first.
--
-- Over the orders of the declared window; baskets larger than the declared size are left out, since they
-- say nothing of taste and would grow with their square.
{{ config(tags=['serve']) }}
with

settings as (

    select * from {{ source('control', 'affinity_settings') }}

),

baskets as (

    select distinct
        lines.order_id,
        lines.product_id
    from {{ ref('order_lines') }} as lines
    inner join {{ ref('orders') }} as orders on lines.order_id = orders.order_id
    cross join settings
    cross join {{ source('control', 'as_of') }} as as_of
    where
        lines.line_kind = 'sale'
        and lines.is_product
        and orders.is_purchase
        and orders.product_count between 2 and settings.largest_basket
        and orders.ordered_on > {{ days_after('as_of.as_of_on', '- settings.window_days') }}

),

product_orders as (

    select
        product_id,
        count(*) as order_count
    from baskets
    group by product_id

),

order_total as (

    select count(distinct order_id) as order_count from baskets

),

frequent as (

    select
        baskets.order_id,
        baskets.product_id
    from baskets
    inner join product_orders on baskets.product_id = product_orders.product_id
    cross join settings
    where product_orders.order_count >= settings.minimum_orders

),

pairs as (

    select
        one.product_id,
        other.product_id as with_product_id,
        count(*) as order_count
    from frequent as one
    inner join frequent as other on one.order_id = other.order_id and one.product_id < other.product_id
    group by one.product_id, other.product_id

),

both_ways as (

    select pairs.product_id, pairs.with_product_id, pairs.order_count
    from pairs
    cross join settings
    where pairs.order_count >= settings.minimum_orders
    union all
    select pairs.with_product_id as product_id, pairs.product_id as with_product_id, pairs.order_count
    from pairs
    cross join settings
    where pairs.order_count >= settings.minimum_orders

),

measured as (

    select
        both_ways.product_id,
        both_ways.with_product_id,
        both_ways.order_count,
        cast(both_ways.order_count as double) / order_total.order_count as support,
        cast(both_ways.order_count as double) / one.order_count as confidence,
        cast(both_ways.order_count as double) * order_total.order_count / (one.order_count * other.order_count) as lift
    from both_ways
    inner join product_orders as one on both_ways.product_id = one.product_id
    inner join product_orders as other on both_ways.with_product_id = other.product_id
    cross join order_total

),

ranked as (

    select
        *,
        row_number() over (
            partition by product_id order by confidence desc, lift desc, with_product_id
        ) as closeness
    from measured

)

select
    ranked.product_id,
    ranked.with_product_id,
    cast(ranked.closeness as integer) as closeness,
    cast(ranked.order_count as integer) as order_count,
    ranked.support,
    ranked.confidence,
    ranked.lift
from ranked
cross join settings
where ranked.closeness <= settings.kept_per_product
