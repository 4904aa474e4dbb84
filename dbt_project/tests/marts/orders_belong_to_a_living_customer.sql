-- Orders of a customer that is not there: every order belongs to a living customer or to `unknown`.
select
    orders.order_id,
    orders.customer_id
from {{ ref('orders') }} as orders
left join {{ ref('customers') }} as customers on orders.customer_id = customers.customer_id
where customers.customer_id is null and orders.customer_id <> 'unknown'
