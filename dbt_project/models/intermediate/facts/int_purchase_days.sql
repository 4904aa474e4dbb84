-- One row per customer and day with a purchase: the ground of intervals and lifecycle.
--
-- `rhythm_group` says whose rhythm the customer is held against: the whole shop's, or that of the
-- channel or main category of the day's purchase (`rhythm_by` in value.yml).
{{ config(tags=['serve'], meta={'dagster': {'group': 'facts'}, 'touched': {
    'key': 'customer_id',
    'by': {'orders': 'customer_id', 'order_lines': 'customer_id'},
}}) }}
with

settings as (

    select rhythm_by from {{ source('control', 'lifecycle_settings') }}

),

category_amounts as (

    select
        lines.order_id,
        lines.category,
        sum(lines.amount_gross) as amount
    from {{ ref('order_lines') }} as lines
    cross join settings
    where settings.rhythm_by = 'category' and lines.line_kind = 'sale' and lines.category is not null
        and {{ only_touched('lines.customer_id') }}
    group by lines.order_id, lines.category

),

categories_ranked as (

    select
        order_id,
        category,
        row_number() over (partition by order_id order by amount desc, category) as preference
    from category_amounts

),

purchases as (

    select
        orders.customer_id,
        orders.ordered_on,
        case settings.rhythm_by
            when 'channel' then coalesce(orders.channel, 'none')
            when 'category' then coalesce(categories_ranked.category, 'none')
            else 'shop'
        end as rhythm_group
    from {{ ref('orders') }} as orders
    cross join settings
    left join categories_ranked on orders.order_id = categories_ranked.order_id and categories_ranked.preference = 1
    where orders.is_purchase and orders.customer_id <> 'unknown' and {{ only_touched('orders.customer_id') }}

),

days as (

    select
        customer_id,
        ordered_on,
        count(*) as order_count,
        min(rhythm_group) as rhythm_group
    from purchases
    group by customer_id, ordered_on

)

select
    customer_id,
    ordered_on,
    rhythm_group,
    cast(order_count as integer) as order_count,
    lag(ordered_on) over (partition by customer_id order by ordered_on) as previous_on,
    lag(rhythm_group) over (partition by customer_id order by ordered_on) as previous_rhythm_group,
    lead(ordered_on) over (partition by customer_id order by ordered_on) as next_on,
    cast(sum(order_count) over (
        partition by customer_id order by {{ day_number('ordered_on') }} range between 364 preceding and current row
    ) as integer) as order_count_365d
from days
