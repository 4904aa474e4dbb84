-- One row per customer and channel whose golden contact point is in some doubt: what to verify first. The stake
-- is the customer's value times the doubt; `ask_by` is the surest other way to reach them.
{{ config(tags=['serve'], meta={'dagster': {'group': 'marts'}}) }}
with

chosen as (

    select
        points.customer_id,
        points.channel,
        points.kind,
        points.source,
        points.freshness,
        points.age_days,
        points.last_confirmed_on,
        points.last_confirmed_by,
        points.reason
    from {{ ref('customer_attributes') }} as attributes
    inner join {{ ref('contact_points') }} as points
        on attributes.customer_id = points.customer_id
        and attributes.value = points.value
        and points.channel = case attributes.attribute when 'address' then 'post' else attributes.attribute end
    where attributes.attribute in ('email', 'phone', 'address')

),

-- What the customer is expected to bring in a year; without a score, what they brought in the last.
customers as (

    select
        customer_id,
        {{ money('greatest(coalesce(expected_value_365d, amount_net_365d, 0), 0)') }} as customer_value,
        is_suppressed
    from {{ ref('customer_360') }}

),

other_ways as (

    select
        chosen.customer_id,
        chosen.channel,
        other.channel as ask_by
    from chosen
    inner join {{ ref('contact_points') }} as other
        on chosen.customer_id = other.customer_id and chosen.channel <> other.channel and other.is_valid
    qualify row_number() over (
        partition by chosen.customer_id, chosen.channel
        order by other.freshness desc, other.channel, other.value
    ) = 1

),

staked as (

    select
        chosen.customer_id,
        chosen.channel,
        chosen.kind,
        chosen.source,
        chosen.freshness,
        round(1 - chosen.freshness, 4) as doubt_rate,
        customers.customer_value,
        {{ money('customers.customer_value * cast(1 - chosen.freshness as decimal(18, 6))') }} as stake,
        chosen.age_days,
        chosen.last_confirmed_on,
        chosen.last_confirmed_by,
        chosen.reason,
        other_ways.ask_by
    from chosen
    inner join customers on chosen.customer_id = customers.customer_id
    left join other_ways on chosen.customer_id = other_ways.customer_id and chosen.channel = other_ways.channel
    where not customers.is_suppressed and chosen.freshness < 1

)

select
    staked.customer_id,
    staked.channel,
    staked.kind,
    staked.source,
    cast(row_number() over (order by staked.stake desc, staked.doubt_rate desc, staked.customer_id, staked.channel) as integer)
        as priority,
    staked.stake,
    staked.customer_value,
    cast(staked.doubt_rate as double) as doubt_rate,
    cast(staked.freshness as double) as freshness,
    staked.age_days,
    staked.last_confirmed_on,
    staked.last_confirmed_by,
    staked.reason,
    staked.ask_by,
    as_of.as_of_on
from staked
cross join {{ source('control', 'as_of') }} as as_of
