-- One row per month from the first order to the as-of date, months without a purchase too: baskets,
-- new against returning customers, repeat rate.
{{ config(tags=['serve']) }}
with

orders as (

    select
        {{ month_of('orders.ordered_on') }} as month_on,
        orders.customer_id,
        orders.is_purchase,
        orders.purchase_number,
        orders.product_count,
        orders.quantity_sold,
        orders.amount_gross,
        orders.amount_returned,
        orders.amount_net
    from {{ ref('orders') }} as orders
    where not orders.is_future

),

months as (

    select {{ month_series('coalesce(bounds.first_month, bounds.last_month)', 'bounds.last_month') }} as month_on
    from (
        select
            {{ month_of('min(orders.ordered_on)') }} as first_month,
            {{ month_of('min(as_of.as_of_on)') }} as last_month
        from {{ source('control', 'as_of') }} as as_of
        left join {{ ref('orders') }} as orders on not orders.is_future
    ) as bounds

),

activity as (

    select
        month_on,
        sum(case when is_purchase then 1 else 0 end) as order_count,
        count(distinct case when is_purchase and customer_id <> 'unknown' then customer_id end) as customer_count,
        sum(case when purchase_number = 1 then 1 else 0 end) as new_customer_count,
        sum(case when purchase_number = 2 then 1 else 0 end) as second_purchase_count,
        avg(case when is_purchase then product_count end) as products_per_order,
        avg(case when is_purchase then quantity_sold end) as units_per_order,
        sum(amount_gross) as amount_gross,
        sum(amount_returned) as amount_returned,
        sum(amount_net) as amount_net,
        sum(case when purchase_number = 1 then amount_gross else 0 end) as amount_gross_new,
        sum(case when purchase_number > 1 then amount_gross else 0 end) as amount_gross_returning
    from orders
    group by month_on

),

filled as (

    select
        months.month_on,
        coalesce(activity.order_count, 0) as order_count,
        coalesce(activity.customer_count, 0) as customer_count,
        coalesce(activity.new_customer_count, 0) as new_customer_count,
        coalesce(activity.second_purchase_count, 0) as second_purchase_count,
        activity.products_per_order,
        activity.units_per_order,
        coalesce(activity.amount_gross, 0) as amount_gross,
        coalesce(activity.amount_returned, 0) as amount_returned,
        coalesce(activity.amount_net, 0) as amount_net,
        coalesce(activity.amount_gross_new, 0) as amount_gross_new,
        coalesce(activity.amount_gross_returning, 0) as amount_gross_returning
    from months
    left join activity on months.month_on = activity.month_on

),

cumulated as (

    select
        filled.*,
        sum(new_customer_count) over (order by month_on rows between unbounded preceding and current row)
            as buyer_count,
        sum(second_purchase_count) over (order by month_on rows between unbounded preceding and current row)
            as repeat_buyer_count
    from filled

)

select
    month_on,
    cast(order_count as integer) as order_count,
    cast(customer_count as integer) as customer_count,
    cast(new_customer_count as integer) as new_customer_count,
    cast(customer_count - new_customer_count as integer) as returning_customer_count,
    cast(products_per_order as double) as products_per_order,
    cast(units_per_order as double) as units_per_order,
    case when order_count > 0 then {{ money('amount_gross / order_count') }} end as average_order_amount,
    {{ money('amount_gross') }} as amount_gross,
    {{ money('amount_returned') }} as amount_returned,
    {{ money('amount_net') }} as amount_net,
    {{ money('amount_gross_new') }} as amount_gross_new,
    {{ money('amount_gross_returning') }} as amount_gross_returning,
    cast(buyer_count as integer) as buyer_count,
    cast(repeat_buyer_count as integer) as repeat_buyer_count,
    case when buyer_count > 0 then cast(repeat_buyer_count as double) / buyer_count end as repeat_rate
from cumulated
