-- One row per order line: its kind, amounts in the company's currency, its customer and, for a return,
-- the order it undoes.
--
-- amount_gross - amount_returned = amount_net. A return is matched to the order it states, in its own
-- system or in the only other one that has that number, else to the last earlier purchase of the same
-- product by the same customer. An order whose status says `refunded` is netted by its own lines, unless
-- return lines tell it already.
{{ config(tags=['unify'], meta={'touched': {
    'key': 'order_id',
    'by': {
        'int_order_lines': {'query': 'select order_id from {changed} union all '
            ~ 'select headers.order_id from {changed} as changed inner join {database}.intermediate.int_order_headers '
            ~ 'as headers on changed.stated_returned_order = headers.source_order_id'},
        'int_order_customers': {'query': 'select order_id from {changed} union all ' ~ orders_of_changed_customers()},
        'int_order_headers': 'order_id',
        'int_same_orders': 'order_id',
        'int_products': {'columns': 'product_id, category, subcategory, brand, audience'},
    },
    'further': orders_of_same_customers() ~ ' union all '
        ~ 'select credits.order_id from touched inner join {database}.intermediate.int_order_lines as credits '
        ~ "on credits.stated_returned_order = substr(touched.touched_key, strpos(touched.touched_key, ':') + 1) union all "
        ~ 'select headers.order_id from touched inner join {database}.intermediate.int_order_lines as credits '
        ~ 'on credits.order_id = touched.touched_key inner join {database}.intermediate.int_order_headers as headers '
        ~ 'on headers.source_order_id = credits.stated_returned_order',
}}) }}
with

lines as (

    select
        lines.*,
        customers.customer_id,
        lines.line_kind = 'return' or (lines.line_kind = 'cancellation' and lines.amount_line < 0) as is_credit
    from {{ ref('int_order_lines') }} as lines
    inner join {{ ref('int_order_customers') }} as customers on lines.order_id = customers.order_id
    where {{ only_touched('lines.order_id') }}

),

kept_orders as (

    select
        headers.order_id,
        headers.order_system,
        headers.source_order_id
    from {{ ref('int_order_headers') }} as headers
    left join {{ ref('int_same_orders') }} as same_orders on headers.order_id = same_orders.order_id
    where same_orders.order_id is null

),

stating_credits as (

    select
        order_line_id,
        order_system,
        stated_returned_order
    from lines
    where is_credit and stated_returned_order is not null

),

stated_candidates as (

    select
        stating_credits.order_line_id,
        max(case when kept_orders.order_system = stating_credits.order_system then kept_orders.order_id end)
            as in_same_system,
        case when count(*) = 1 then max(kept_orders.order_id) end as in_only_system
    from stating_credits
    inner join kept_orders on stating_credits.stated_returned_order = kept_orders.source_order_id
    group by stating_credits.order_line_id

),

stated_matches as (

    select
        order_line_id,
        coalesce(in_same_system, in_only_system) as returned_order_id
    from stated_candidates
    where coalesce(in_same_system, in_only_system) is not null

),

unstated_credits as (

    select
        lines.order_line_id,
        lines.customer_id,
        lines.product_id,
        lines.ordered_on,
        lines.ordered_at
    from lines
    left join stated_matches on lines.order_line_id = stated_matches.order_line_id
    where
        lines.is_credit
        and stated_matches.order_line_id is null
        and lines.customer_id <> 'unknown'
        and lines.product_id is not null

),

returned_products as (

    select distinct
        customer_id,
        product_id
    from unstated_credits

),

sales_and_credits as (

    select
        lines.order_line_id,
        lines.customer_id,
        lines.product_id,
        lines.ordered_on,
        lines.ordered_at,
        0 as is_credit,
        lines.order_id as sold_in_order_id
    from lines
    inner join returned_products
        on lines.customer_id = returned_products.customer_id and lines.product_id = returned_products.product_id
    where lines.line_kind = 'sale'
    union all
    select
        order_line_id,
        customer_id,
        product_id,
        ordered_on,
        ordered_at,
        1 as is_credit,
        cast(null as varchar(200)) as sold_in_order_id
    from unstated_credits

),

last_sales as (

    select
        order_line_id,
        is_credit,
        {{ last_known('sold_in_order_id') }} over (
            partition by customer_id, product_id
            order by ordered_on, ordered_at, is_credit, order_line_id
            rows between unbounded preceding and current row
        ) as sold_in_order_id
    from sales_and_credits

),

matches as (

    select
        order_line_id,
        returned_order_id,
        'stated' as matched_by
    from stated_matches
    union all
    select
        order_line_id,
        sold_in_order_id as returned_order_id,
        'product' as matched_by
    from last_sales
    where is_credit = 1 and sold_in_order_id is not null

),

orders_with_returns as (

    select lines.order_id
    from lines
    where lines.is_credit
    union
    select returned_order_id as order_id
    from matches

),

valued as (

    select
        lines.*,
        matches.returned_order_id,
        matches.matched_by as return_matched_by,
        case when lines.line_kind = 'sale' then lines.amount_line else 0 end as gross,
        case
            when lines.is_credit then - lines.amount_line
            when lines.line_kind = 'sale' and lines.status = 'refunded' and orders_with_returns.order_id is null
                then lines.amount_line
            else 0
        end as returned
    from lines
    left join matches on lines.order_line_id = matches.order_line_id
    left join orders_with_returns on lines.order_id = orders_with_returns.order_id

)

select
    valued.order_line_id,
    valued.order_id,
    valued.source,
    valued.customer_id,
    valued.ordered_at,
    valued.ordered_on,
    valued.line_kind,
    valued.product_id,
    valued.product_label,
    products.category,
    products.subcategory,
    products.brand,
    products.audience,
    valued.is_product,
    valued.quantity,
    valued.unit_price,
    valued.currency,
    valued.amount_delivered,
    valued.amount_line,
    {{ money('valued.gross') }} as amount_gross,
    {{ money('valued.returned') }} as amount_returned,
    {{ money('valued.gross - valued.returned') }} as amount_net,
    valued.amount_tax,
    valued.amount_discount,
    valued.returned_order_id,
    valued.return_matched_by
from valued
left join {{ ref('int_products') }} as products on valued.product_id = products.product_id
