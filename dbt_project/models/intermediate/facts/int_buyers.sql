-- One row per customer with a purchase: what is told by looking at all of them together.
{{ config(tags=['serve'], meta={'dagster': {'group': 'facts'}}) }}
with

buyers as (

    select * from {{ ref('int_customer_orders') }}
    where order_count > 0

),

-- To the thousandth: one order more changes nobody else's.
discounts as (

    select round(cast(sum(discounted_order_count) as double) / nullif(sum(order_count), 0), 3) as discounted_order_rate
    from buyers

)

select
    buyers.customer_id,
    -- A buyer's place among all buyers: the hundredths of them whose net amount is below theirs or equal.
    case
        when count(*) over () = 1 then 99
        else least(
            floor(
                100.0 * (count(*) over () - rank() over (order by buyers.amount_net desc)) / (count(*) over () - 1)
            ), 99
        )
    end / 100.0 as value_percentile,
    -- Few purchases tell little: the customer's share is drawn towards that of all, as four more purchases would.
    (buyers.discounted_order_count + 4 * discounts.discounted_order_rate) / (buyers.order_count + 4) as price_sensitivity
from buyers
cross join discounts
