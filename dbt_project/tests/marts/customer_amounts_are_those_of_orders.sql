-- A row when customers' amounts do not add up to those of the orders that are theirs.
with

orders as (

    select sum(amount_net) as amount_net
    from {{ ref('orders') }}
    where customer_id <> 'unknown' and not is_future

),

customers as (

    select sum(amount_net) as amount_net from {{ ref('customer_360') }}

)

select
    orders.amount_net as amount_of_orders,
    customers.amount_net as amount_of_customers
from orders
cross join customers
where coalesce(orders.amount_net, 0) <> coalesce(customers.amount_net, 0)
