-- One row per customer with an order: what they bought, when, where and how.
{{ config(tags=['serve'], meta={'dagster': {'group': 'facts'}, 'touched': {
    'key': 'customer_id',
    'by': {'orders': 'customer_id'},
}}) }}
with

orders as (

    select
        orders.*,
        orders.ordered_on > {{ days_after('as_of.as_of_on', -365) }} as is_last_year
    from {{ ref('orders') }} as orders
    cross join {{ source('control', 'as_of') }} as as_of
    where orders.customer_id <> 'unknown' and not orders.is_future and {{ only_touched('orders.customer_id') }}

)

select
    customer_id,
    min(case when is_purchase then ordered_on end) as first_order_on,
    max(case when is_purchase then ordered_on end) as last_order_on,
    sum(case when is_purchase then 1 else 0 end) as order_count,
    sum(case when is_purchase and is_last_year then 1 else 0 end) as order_count_365d,
    count(distinct case when is_purchase then ordered_on end) as purchase_day_count,
    sum(amount_gross) as amount_gross,
    sum(amount_returned) as amount_returned,
    sum(amount_net) as amount_net,
    sum(case when is_last_year then amount_net else 0 end) as amount_net_365d,
    sum(amount_discount) as amount_discount,
    sum(case when is_purchase and amount_discount > 0 then 1 else 0 end) as discounted_order_count,
    sum(case when amount_returned > 0 then 1 else 0 end) as return_count,
    count(distinct case when is_purchase then channel end) as channel_count,
    max(case when is_purchase and channel in ('web', 'app') then 1 else 0 end) as has_web_order,
    max(case when is_purchase and channel = 'store' then 1 else 0 end) as has_store_order
from orders
group by customer_id
