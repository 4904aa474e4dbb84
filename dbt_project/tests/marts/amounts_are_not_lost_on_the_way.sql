-- Marts whose amounts are not those of the orders: what is sold is the same by month, by channel and region,
-- by customer and cohort.
with

orders as (

    select
        sum(amount_gross) as gross,
        sum(amount_returned) as returned,
        sum(amount_net) as net,
        sum(case when is_purchase and customer_id <> 'unknown' then amount_gross else 0 end) as gross_of_customers
    from {{ ref('orders') }}
    where not is_future

),

others as (

    select
        'purchases_by_month' as mart,
        sum(amount_gross) as gross,
        sum(amount_returned) as returned,
        sum(amount_net) as net
    from {{ ref('purchases_by_month') }}
    union all
    select
        'revenue_by_month' as mart,
        sum(amount_gross) as gross,
        sum(amount_returned) as returned,
        sum(amount_net) as net
    from {{ ref('revenue_by_month') }}

)

select others.mart
from others
cross join orders
where
    coalesce(others.gross, 0) <> coalesce(orders.gross, 0)
    or coalesce(others.returned, 0) <> coalesce(orders.returned, 0)
    or coalesce(others.net, 0) <> coalesce(orders.net, 0)
union all
select 'purchases_by_month: new and returning' as mart
from (select sum(amount_gross_new + amount_gross_returning) as gross from {{ ref('purchases_by_month') }}) as parts
cross join orders
where coalesce(parts.gross, 0) <> coalesce(orders.gross_of_customers, 0)
