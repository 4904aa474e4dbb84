-- One row per customer, dimension and value bought: its share, and its rank (1 is what they prefer).
--
-- Shares of category, brand and audience are of the amount spent on products; those of channel, store,
-- day and hour are of the number of purchases.
{{ config(tags=['serve']) }}
with

amounts as (

    select
        customer_id,
        category,
        brand,
        audience,
        sum(amount_gross) as amount,
        count(distinct order_id) as order_count
    from {{ ref('order_lines') }}
    where customer_id <> 'unknown' and line_kind = 'sale' and is_product
    group by customer_id, category, brand, audience

),

habits as (

    select
        customer_id,
        channel,
        store,
        cast({{ week_day('ordered_on') }} as varchar(2)) as week_day,
        cast(ordered_hour as varchar(2)) as purchase_hour,
        count(*) as order_count,
        sum(amount_gross) as amount
    from {{ ref('orders') }}
    where customer_id <> 'unknown' and is_purchase
    group by 1, 2, 3, 4, 5

),

shares as (

    {% for dimension in ['category', 'brand', 'audience'] %}
    select
        customer_id,
        '{{ dimension }}' as dimension,
        {{ dimension }} as preferred_value,
        sum(order_count) as order_count,
        sum(amount) as amount,
        cast(sum(amount) as double) as weight
    from amounts
    where {{ dimension }} is not null
    group by customer_id, {{ dimension }}
    union all
    {% endfor %}
    {% for dimension, column in [
        ('channel', 'channel'), ('store', 'store'), ('week_day', 'week_day'), ('hour', 'purchase_hour')
    ] %}
    select
        customer_id,
        '{{ dimension }}' as dimension,
        {{ column }} as preferred_value,
        sum(order_count) as order_count,
        sum(amount) as amount,
        cast(sum(order_count) as double) as weight
    from habits
    where {{ column }} is not null
    group by customer_id, {{ column }}
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

ranked as (

    select
        *,
        sum(weight) over (partition by customer_id, dimension) as total_weight,
        row_number() over (
            partition by customer_id, dimension order by weight desc, order_count desc, preferred_value
        ) as preference
    from shares

)

select
    customer_id,
    dimension,
    preferred_value,
    cast(preference as integer) as preference,
    cast(order_count as integer) as order_count,
    {{ money('amount') }} as amount_gross,
    case when total_weight > 0 then weight / total_weight else 0.0 end as share
from ranked
