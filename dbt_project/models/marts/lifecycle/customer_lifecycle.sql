-- One row per living customer: the stage they are in, since when, why, and what comes next without a
-- purchase. A suppressed customer is in stage `suppressed`, whatever they bought.
{{ config(tags=['serve'], meta={'touched': {
    'key': 'customer_id',
    'by': {
        'lifecycle_history': 'customer_id',
        'int_purchase_days': 'customer_id',
        'customers': {'columns': 'customer_id, is_suppressed, suppressed_on, first_seen_on', 'key': 'customer_id'},
    },
}}) }}
with

current_stages as (

    select
        customer_id,
        stage,
        since_on,
        days_in_stage,
        previous_stage,
        reason_code,
        reason
    from {{ ref('lifecycle_history') }}
    where is_current and {{ only_touched('customer_id') }}

),

last_purchases as (

    select
        days.customer_id,
        days.ordered_on as last_purchase_on,
        deadlines.at_risk_on,
        deadlines.lost_on
    from {{ ref('int_purchase_days') }} as days
    inner join {{ ref('int_lifecycle_deadlines') }} as deadlines
        on days.rhythm_group = deadlines.rhythm_group and days.ordered_on = deadlines.ordered_on
    where days.next_on is null and {{ only_touched('days.customer_id') }}

)

select
    customers.customer_id,
    case when customers.is_suppressed then 'suppressed' else coalesce(stages.stage, 'prospect') end as lifecycle_stage,
    case
        when customers.is_suppressed then coalesce(customers.suppressed_on, stages.since_on, customers.first_seen_on)
        else coalesce(stages.since_on, customers.first_seen_on)
    end as lifecycle_since_on,
    cast(
        case
            when customers.is_suppressed and customers.suppressed_on is not null
                then {{ days_between('customers.suppressed_on', 'as_of.as_of_on') }}
            else coalesce(stages.days_in_stage, 0)
        end as integer
    ) as days_in_stage,
    case when customers.is_suppressed then 'on the suppression list' else stages.reason end as lifecycle_reason,
    case when customers.is_suppressed then 'suppressed' else stages.reason_code end as lifecycle_reason_code,
    case when customers.is_suppressed then stages.stage else stages.previous_stage end as previous_lifecycle_stage,
    case
        when customers.is_suppressed or stages.stage in ('prospect', 'abandoner') then null
        when stages.stage = 'at_risk' then 'abandoner'
        else 'at_risk'
    end as next_stage_if_silent,
    case
        when customers.is_suppressed or stages.stage in ('prospect', 'abandoner') then null
        when stages.stage = 'at_risk' then last_purchases.lost_on
        else last_purchases.at_risk_on
    end as next_stage_on
from {{ ref('customers') }} as customers
cross join {{ source('control', 'as_of') }} as as_of
left join current_stages as stages on customers.customer_id = stages.customer_id
left join last_purchases on customers.customer_id = last_purchases.customer_id
where {{ only_touched('customers.customer_id') }}
