-- One row per lifecycle stage, plan, channel and reason: how many customers each plan covers, and who has none
-- and why. The counts of a stage add up to its customers.
{{ config(tags=['serve']) }}
with

customers as (

    select
        customer_id,
        lifecycle_stage,
        plan,
        plan_reason,
        plan_channel,
        email_contact_reason,
        sms_contact_reason,
        phone_contact_reason,
        post_contact_reason,
        as_of_on
    from {{ ref('customer_360') }}

),

offers as (

    select
        plan,
        label_en,
        label_fr,
        offer_en,
        offer_fr
    from {{ source('control', 'plans') }}

),

-- Why a customer whose plan has channels can be reached on none of them: the reason of its first channel.
first_channels as (

    select
        plan,
        channel
    from {{ source('control', 'plan_channels') }}
    where preference = 1

),

judged as (

    select
        customers.lifecycle_stage,
        coalesce(customers.plan, 'none') as plan,
        coalesce(customers.plan_channel, 'none') as channel,
        case
            when customers.plan is null then 'no_plan'
            when customers.plan_channel is null then 'unreachable'
            else 'covered'
        end as coverage,
        case
            when customers.plan is null then customers.plan_reason
            when customers.plan_channel is not null then 'covered'
            else
                first_channels.channel || ': '
                || coalesce(
                    case first_channels.channel
                        when 'email' then customers.email_contact_reason
                        when 'sms' then customers.sms_contact_reason
                        when 'phone' then customers.phone_contact_reason
                        else customers.post_contact_reason
                    end,
                    'not contactable'
                )
        end as reason,
        customers.as_of_on
    from customers
    left join first_channels on customers.plan = first_channels.plan

),

counted as (

    select
        lifecycle_stage,
        plan,
        channel,
        coverage,
        reason,
        as_of_on,
        count(*) as customer_count
    from judged
    group by 1, 2, 3, 4, 5, 6

)

select
    counted.lifecycle_stage,
    counted.plan,
    counted.channel,
    counted.coverage,
    counted.reason,
    offers.label_en as plan_label_en,
    offers.label_fr as plan_label_fr,
    offers.offer_en,
    offers.offer_fr,
    cast(counted.customer_count as bigint) as customer_count,
    cast(counted.customer_count as double) / sum(counted.customer_count) over (partition by counted.lifecycle_stage)
        as stage_rate,
    counted.as_of_on
from counted
left join offers on counted.plan = offers.plan
