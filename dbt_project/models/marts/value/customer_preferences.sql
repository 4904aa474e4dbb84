-- One row per customer, dimension and value bought: its share, and its rank (1 is what they prefer).
--
-- Shares of category, brand and audience are of the amount spent on products; those of channel, store,
-- day and hour are of the number of purchases.
{{ config(tags=['serve']) }}
with

bought as (

    select
        customer_id,
        category,
        brand,
        audience,
        count(*) as times_bought,
        sum(amount_gross) as amount
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
        cast(ordered_hour as varchar(2)) as hour,
        count(*) as times_bought,
        sum(amount_gross) as amount
    from {{ ref('orders') }}
    where customer_id <> 'unknown' and is_purchase
    group by 1, 2, 3, 4, 5

),

{% for dimension in ['category', 'brand', 'audience', 'channel', 'store', 'week_day', 'hour'] %}
{%- set is_of_product = dimension in ['category', 'brand', 'audience'] %}
by_{{ dimension }} as (

    select
        customer_id,
        {{ dimension }} as preferred_value,
        sum(times_bought) as times_bought,
        sum(amount) as amount,
        cast(sum({{ 'amount' if is_of_product else 'times_bought' }}) as double) as weight
    from {{ 'bought' if is_of_product else 'habits' }}
    where {{ dimension }} is not null
    group by customer_id, {{ dimension }}

),

totals_of_{{ dimension }} as (

    select
        customer_id,
        -- Money adds up before it becomes a double: a sum of doubles depends on their order.
        cast(sum({{ 'amount' if is_of_product else 'times_bought' }}) as double) as total_weight
    from by_{{ dimension }}
    group by customer_id

),

ranked_by_{{ dimension }} as (

    select
        by_{{ dimension }}.customer_id,
        '{{ dimension }}' as dimension,
        by_{{ dimension }}.preferred_value,
        row_number() over (
            partition by by_{{ dimension }}.customer_id
            order by
                by_{{ dimension }}.weight desc, by_{{ dimension }}.times_bought desc,
                by_{{ dimension }}.preferred_value
        ) as preference,
        by_{{ dimension }}.times_bought,
        by_{{ dimension }}.amount,
        by_{{ dimension }}.weight,
        totals.total_weight
    from by_{{ dimension }}
    inner join totals_of_{{ dimension }} as totals on by_{{ dimension }}.customer_id = totals.customer_id

),

{% endfor -%}
ranked as (
    {% for dimension in ['category', 'brand', 'audience', 'channel', 'store', 'week_day', 'hour'] %}
    select * from ranked_by_{{ dimension }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select
    customer_id,
    dimension,
    preferred_value,
    cast(preference as integer) as preference,
    cast(times_bought as integer) as times_bought,
    {{ money('amount') }} as amount_gross,
    case when total_weight > 0 then weight / total_weight else 0.0 end as share
from ranked
