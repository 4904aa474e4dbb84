-- One row per month of first purchase and month since: who came back, and what they spent.
--
-- Every month from the cohort's to the as-of one is there, empty ones too.
{{ config(tags=['serve']) }}
with

purchases as (

    select
        orders.customer_id,
        {{ month_of('orders.ordered_on') }} as month_on,
        min({{ month_of('orders.ordered_on') }}) over (partition by orders.customer_id) as cohort_on,
        orders.amount_gross,
        orders.amount_net
    from {{ ref('orders') }} as orders
    cross join {{ source('control', 'cohort_settings') }} as settings
    where
        orders.customer_id <> 'unknown'
        and not orders.is_future
        and (orders.is_purchase or (settings.counts = 'everything' and orders.amount_charged > 0))

),

activity as (

    select
        cohort_on,
        month_on,
        count(distinct customer_id) as customer_count,
        count(*) as order_count,
        sum(amount_gross) as amount_gross,
        sum(amount_net) as amount_net
    from purchases
    group by cohort_on, month_on

),

cohorts as (

    select
        cohort_on,
        customer_count as cohort_size
    from activity
    where month_on = cohort_on

),

months as (

    select
        cohorts.cohort_on,
        cohorts.cohort_size,
        {{ month_series('cohorts.cohort_on', month_of('as_of.as_of_on')) }} as month_on
    from cohorts
    cross join {{ source('control', 'as_of') }} as as_of

)

select
    months.cohort_on,
    months.month_on,
    {{ months_between('months.cohort_on', 'months.month_on') }} as months_since,
    cast(months.cohort_size as integer) as cohort_size,
    cast(coalesce(activity.customer_count, 0) as integer) as customer_count,
    cast(coalesce(activity.customer_count, 0) as double) / months.cohort_size as retention_rate,
    cast(coalesce(activity.order_count, 0) as integer) as order_count,
    {{ money('coalesce(activity.amount_gross, 0)') }} as amount_gross,
    {{ money('coalesce(activity.amount_net, 0)') }} as amount_net
from months
left join activity on months.cohort_on = activity.cohort_on and months.month_on = activity.month_on
