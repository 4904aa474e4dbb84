-- Orders whose amounts are not those of their lines, or whose gross less returned is not their net.
with

lines as (

    select
        order_id,
        count(*) as line_count,
        sum(amount_gross) as amount_gross,
        sum(amount_returned) as amount_returned,
        sum(amount_net) as amount_net
    from {{ ref('order_lines') }}
    group by order_id

)

select
    coalesce(orders.order_id, lines.order_id) as order_id,
    orders.line_count,
    lines.line_count as line_count_of_lines
from {{ ref('orders') }} as orders
full outer join lines on orders.order_id = lines.order_id
where
    orders.order_id is null
    or orders.line_count <> coalesce(lines.line_count, 0)
    or orders.amount_gross <> coalesce(lines.amount_gross, 0)
    or orders.amount_returned <> coalesce(lines.amount_returned, 0)
    or orders.amount_net <> coalesce(lines.amount_net, 0)
    or orders.amount_gross - orders.amount_returned <> orders.amount_net
