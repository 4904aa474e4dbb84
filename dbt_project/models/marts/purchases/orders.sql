-- One row per order (tickets and credit notes too), of one customer or of 'unknown'.
--
-- A purchase is an order in which a product was sold for money, by the as-of date: what RFM, lifecycle
-- and scores count. Fees, vouchers, write-offs, tests, cancelled and pending lines are no part of gross.
{{ config(tags=['unify'], meta={'touched': {
    'key': 'order_id',
    'by': {
        'order_lines': 'unnest([order_id, returned_order_id])',
        'int_order_customers': {'query': 'select order_id from {changed} union all ' ~ orders_of_changed_customers()},
        'int_customer_births': {'query': orders_of_changed_customers()},
        'int_order_headers': 'order_id',
        'int_same_orders': 'order_id',
    },
    'further': orders_of_same_customers(),
}}) }}
with

lines as (

    select
        *,
        line_kind not in ('cancellation', 'pending', 'unconverted', 'return')
        and (quantity > 0 or (quantity is null and amount_line > 0)) as is_sold
    from {{ ref('order_lines') }} as lines
    where {{ when_touched('lines.order_id in {touched} or lines.returned_order_id in {touched}') }}

),

totals as (

    select
        order_id,
        count(*) as line_count,
        count(distinct case when is_product then product_id end) as product_count,
        sum(case when is_sold then 1 else 0 end) as sold_line_count,
        sum(case when line_kind = 'sale' then quantity else 0 end) as quantity_sold,
        sum(amount_gross) as amount_gross,
        sum(amount_returned) as amount_returned,
        sum(amount_net) as amount_net,
        sum(case when line_kind in ('sale', 'return') then amount_tax else 0 end) as amount_tax,
        sum(case when line_kind = 'sale' then amount_discount else 0 end) as amount_discount,
        sum(case when line_kind = 'fee' then amount_line else 0 end) as amount_fees,
        sum(case when line_kind = 'voucher' then amount_line else 0 end) as amount_vouchers,
        sum(case when line_kind in ('cancellation', 'pending') and amount_returned = 0 then amount_line else 0 end)
            as amount_cancelled,
        sum(case when is_sold then amount_line else 0 end) as amount_charged,
        sum(case when not is_sold and line_kind not in ('pending', 'unconverted') and amount_line < 0
            then - amount_line else 0 end) as amount_credited
    from lines
    group by order_id

),

returned_later as (

    select
        returned_order_id as order_id,
        sum(amount_returned) as amount_returned_later
    from lines
    where returned_order_id is not null and returned_order_id <> order_id
    group by returned_order_id

),

births as (

    select
        customer_id,
        birth_on
    from {{ ref('int_customer_births') }}

),

orders as (

    select
        headers.order_id,
        headers.source,
        headers.source_order_id,
        customers.customer_id,
        customers.attached_by,
        headers.ordered_at,
        headers.ordered_on,
        cast({{ local_hour('headers.ordered_at', 'company.time_zone') }} as integer) as ordered_hour,
        headers.is_date_inferred,
        headers.ordered_on > as_of.as_of_on as is_future,
        coalesce(headers.ordered_on < births.birth_on, false) as is_before_birth,
        headers.channel,
        headers.store,
        headers.status,
        headers.payment_method,
        headers.currency,
        headers.amount_stated,
        totals.line_count,
        totals.product_count,
        totals.sold_line_count,
        totals.quantity_sold,
        totals.amount_gross,
        totals.amount_returned,
        totals.amount_net,
        totals.amount_tax,
        totals.amount_discount,
        totals.amount_fees,
        totals.amount_vouchers,
        totals.amount_cancelled,
        totals.amount_charged,
        totals.amount_credited,
        coalesce(returned_later.amount_returned_later, 0) as amount_returned_later,
        coalesce(totals.amount_gross, 0) > 0 and headers.ordered_on <= as_of.as_of_on as is_purchase
    from {{ ref('int_order_headers') }} as headers
    inner join {{ ref('int_order_customers') }} as customers on headers.order_id = customers.order_id
    left join births on customers.customer_id = births.customer_id
    left join {{ ref('int_same_orders') }} as same_orders on headers.order_id = same_orders.order_id
    left join totals on headers.order_id = totals.order_id
    left join returned_later on headers.order_id = returned_later.order_id
    cross join {{ source('control', 'company') }} as company
    cross join {{ source('control', 'as_of') }} as as_of
    where same_orders.order_id is null and {{ only_touched('headers.order_id') }}

),

purchases as (

    select
        order_id,
        row_number() over (partition by customer_id order by ordered_on, ordered_at, order_id) as purchase_number
    from orders
    where is_purchase and customer_id <> 'unknown'

)

select
    orders.order_id,
    orders.source,
    orders.source_order_id,
    orders.customer_id,
    orders.attached_by,
    orders.ordered_at,
    orders.ordered_on,
    orders.ordered_hour,
    orders.is_date_inferred,
    orders.is_future,
    orders.is_before_birth,
    orders.channel,
    orders.store,
    orders.status,
    orders.payment_method,
    orders.currency,
    orders.is_purchase,
    cast(purchases.purchase_number as integer) as purchase_number,
    cast(coalesce(orders.line_count, 0) as integer) as line_count,
    cast(coalesce(orders.product_count, 0) as integer) as product_count,
    cast(coalesce(orders.sold_line_count, 0) as integer) as sold_line_count,
    {{ money('coalesce(orders.quantity_sold, 0)') }} as quantity_sold,
    {%- for amount in [
        'amount_gross', 'amount_returned', 'amount_net', 'amount_tax', 'amount_discount', 'amount_fees',
        'amount_vouchers', 'amount_cancelled', 'amount_charged', 'amount_credited', 'amount_returned_later',
    ] %}
    {{ money('coalesce(orders.' ~ amount ~ ', 0)') }} as {{ amount }},
    {%- endfor %}
    orders.amount_stated
from orders
left join purchases on orders.order_id = purchases.order_id
