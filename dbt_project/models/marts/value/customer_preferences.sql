-- One row per customer, dimension and value bought: its share, and its rank (1 is what they prefer).
--
-- Shares of category, brand and audience are of the amount spent on products; those of channel, store,
-- day and hour are of the number of purchases.
{{ config(tags=['serve'], meta={'touched': {
    'key': 'customer_id',
    'by': {'orders': 'customer_id', 'order_lines': 'customer_id'},
}}) }}
{%- set values = {
    'category': 'lines.category',
    'brand': 'lines.brand',
    'audience': 'lines.audience',
    'channel': 'orders.channel',
    'store': 'orders.store',
    'week_day': 'cast(' ~ week_day('orders.ordered_on') ~ ' as varchar(2))',
    'hour': 'cast(orders.ordered_hour as varchar(2))',
} %}
with

{% for dimension, value in values.items() %}
{%- set is_of_product = value.startswith('lines.') %}
{%- set weight = 'amount' if is_of_product else 'times_bought' %}
by_{{ dimension }} as (

    select
        customer_id,
        {{ value }} as preferred_value,
        count(*) as times_bought,
        {{ money('sum(amount_gross)') }} as amount
    {%- if is_of_product %}
    from {{ ref('order_lines') }} as lines
    where customer_id <> 'unknown' and line_kind = 'sale' and is_product and {{ value }} is not null
        and {{ only_touched('customer_id') }}
    {%- else %}
    from {{ ref('orders') }} as orders
    where customer_id <> 'unknown' and is_purchase and {{ value }} is not null
        and {{ only_touched('customer_id') }}
    {%- endif %}
    group by 1, 2

),

ranked_by_{{ dimension }} as (

    select
        customer_id,
        '{{ dimension }}' as dimension,
        preferred_value,
        row_number() over (
            partition by customer_id order by {{ weight }} desc, times_bought desc, preferred_value
        ) as preference,
        times_bought,
        amount,
        -- Money adds up before it becomes a double: a sum of doubles depends on their order.
        cast({{ weight }} as double) as weight,
        cast(sum({{ weight }}) over (partition by customer_id) as double) as total_weight
    from by_{{ dimension }}

),

{% endfor -%}
ranked as (
    {% for dimension in values %}
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
    amount as amount_gross,
    case when total_weight > 0 then weight / total_weight else 0.0 end as share
from ranked
