-- One row per living customer: the plan they are in, why, and which plan came next.
--
-- The heaviest rule of plans.yml that fits the customer decides; at equal weight the plan that stands
-- first. The channel is the first of the plan's on which the customer can be reached.
{{ config(tags=['serve'], meta={'touched': {
    'key': 'customer_id',
    'by': {
        'customer_lifecycle': {'columns': 'customer_id, lifecycle_stage', 'key': 'customer_id'},
        'customer_scores': {'columns': 'customer_id, churn_risk_band', 'key': 'customer_id'},
        'customer_rfm': {'columns': 'customer_id, rfm_segment', 'key': 'customer_id'},
        'int_customer_contact': 'customer_id',
    },
}}) }}
with

customers as (

    select
        lifecycle.customer_id,
        lifecycle.lifecycle_stage,
        scores.churn_risk_band,
        rfm.rfm_segment
    from {{ ref('customer_lifecycle') }} as lifecycle
    left join {{ ref('customer_scores') }} as scores on lifecycle.customer_id = scores.customer_id
    left join {{ ref('customer_rfm') }} as rfm on lifecycle.customer_id = rfm.customer_id
    where {{ only_touched('lifecycle.customer_id') }}

),

profiles as (

    select distinct
        lifecycle_stage,
        churn_risk_band,
        rfm_segment
    from customers

),

fitting as (

    select
        profiles.lifecycle_stage,
        profiles.churn_risk_band,
        profiles.rfm_segment,
        rules.plan,
        rules.why,
        rules.weight,
        rules.position,
        row_number() over (
            partition by profiles.lifecycle_stage, profiles.churn_risk_band, profiles.rfm_segment, rules.plan
            order by rules.weight desc, rules.rule_number, rules.stage, rules.churn_risk_band, rules.rfm_segment
        ) as rule_rank
    from profiles
    inner join {{ source('control', 'plan_rules') }} as rules
        on
            (rules.stage is null or rules.stage = profiles.lifecycle_stage)
            and (rules.churn_risk_band is null or rules.churn_risk_band = profiles.churn_risk_band)
            and (rules.rfm_segment is null or rules.rfm_segment = profiles.rfm_segment)
    where profiles.lifecycle_stage <> 'suppressed'

),

ranked as (

    select
        lifecycle_stage,
        coalesce(churn_risk_band, '') as churn_risk_band,
        coalesce(rfm_segment, '') as rfm_segment,
        plan,
        why,
        row_number() over (
            partition by lifecycle_stage, churn_risk_band, rfm_segment order by weight desc, position, plan
        ) as plan_rank
    from fitting
    where rule_rank = 1

),

plan_channels as (

    select
        contact.customer_id,
        channels.plan,
        channels.channel,
        row_number() over (partition by contact.customer_id, channels.plan order by channels.preference) as choice
    from {{ ref('int_customer_contact') }} as contact
    cross join {{ source('control', 'plan_channels') }} as channels
    where {{ only_touched('contact.customer_id') }} and (
        {%- for channel in ['email', 'sms', 'phone', 'post'] %}
        {{ 'or ' if not loop.first }}(channels.channel = '{{ channel }}' and contact.is_contactable_{{ channel }})
        {%- endfor %}
    )

)

select
    customers.customer_id,
    first_choice.plan,
    case
        when customers.lifecycle_stage = 'suppressed' then 'on the suppression list: no plan'
        when first_choice.plan is null then 'no rule of plans.yml fits stage ' || customers.lifecycle_stage
        else first_choice.why
    end as plan_reason,
    plans.offer_en as plan_offer_en,
    plans.offer_fr as plan_offer_fr,
    plan_channels.channel as plan_channel,
    plans.every_days as plan_every_days,
    second_choice.plan as plan_runner_up,
    second_choice.why as plan_runner_up_reason
from customers
left join ranked as first_choice
    on
        customers.lifecycle_stage = first_choice.lifecycle_stage
        and coalesce(customers.churn_risk_band, '') = first_choice.churn_risk_band
        and coalesce(customers.rfm_segment, '') = first_choice.rfm_segment
        and first_choice.plan_rank = 1
left join ranked as second_choice
    on
        customers.lifecycle_stage = second_choice.lifecycle_stage
        and coalesce(customers.churn_risk_band, '') = second_choice.churn_risk_band
        and coalesce(customers.rfm_segment, '') = second_choice.rfm_segment
        and second_choice.plan_rank = 2
left join {{ source('control', 'plans') }} as plans on first_choice.plan = plans.plan
left join plan_channels
    on
        customers.customer_id = plan_channels.customer_id
        and first_choice.plan = plan_channels.plan
        and plan_channels.choice = 1
