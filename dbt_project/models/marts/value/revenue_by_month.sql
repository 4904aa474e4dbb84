-- One row per month, channel, region and kind of buyer (new, returning, unknown).
--
-- An order is of a new buyer when it is the customer's first purchase; returns and cancellations count in
-- the month they happen.
{{ config(tags=['serve']) }}
with

orders as (

    select
        {{ month_of('orders.ordered_on') }} as month_on,
        coalesce(orders.channel, 'unknown') as channel,
        coalesce(customers.region, 'unknown') as region,
        case
            when orders.customer_id = 'unknown' then 'unknown'
            when orders.purchase_number = 1 then 'new'
            else 'returning'
        end as buyer,
        orders.customer_id,
        orders.is_purchase,
        orders.quantity_sold,
        orders.product_count,
        orders.amount_gross,
        orders.amount_returned,
        orders.amount_net,
        orders.amount_tax,
        orders.amount_discount,
        orders.amount_fees
    from {{ ref('orders') }} as orders
    left join {{ ref('customers') }} as customers on orders.customer_id = customers.customer_id
    where not orders.is_future

)

select
    month_on,
    channel,
    region,
    buyer,
    cast(count(distinct case when is_purchase and customer_id <> 'unknown' then customer_id end) as integer)
        as customer_count,
    cast(sum(case when is_purchase then 1 else 0 end) as integer) as order_count,
    {{ money('sum(quantity_sold)') }} as quantity_sold,
    cast(avg(case when is_purchase then product_count end) as double) as products_per_order,
    {{ money('sum(amount_gross)') }} as amount_gross,
    {{ money('sum(amount_returned)') }} as amount_returned,
    {{ money('sum(amount_net)') }} as amount_net,
    {{ money('sum(amount_tax)') }} as amount_tax,
    {{ money('sum(amount_discount)') }} as amount_discount,
    {{ money('sum(amount_fees)') }} as amount_fees
from orders
group by month_on, channel, region, buyer
