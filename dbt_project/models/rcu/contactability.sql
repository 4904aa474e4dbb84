-- One row per customer, channel and purpose: whether we may and can contact the customer so, and why not.
with

customers as (

    select
        customer_id,
        birth_on,
        is_suppressed
    from {{ ref('customers') }}

),

channels as (

    select unnest(['email', 'sms', 'phone', 'post']) as channel

),

purposes as (

    select unnest(['marketing', 'partners']) as purpose

),

-- A text message needs a mobile; any number can be called.
reachable as (

    select
        customer_id,
        case when channel = 'phone' and kind = 'mobile' then 'sms' else channel end as channel,
        bool_or(is_valid) as is_valid,
        bool_or(reason = 'hard_bounce') as is_bounced
    from {{ ref('contact_points') }}
    group by 1, 2

),

points as (

    select customer_id, channel, is_valid, is_bounced from reachable
    union all
    select customer_id, 'phone', is_valid, is_bounced from reachable where channel = 'sms'

),

points_once as (

    select
        customer_id,
        channel,
        bool_or(is_valid) as is_valid,
        bool_or(is_bounced) as is_bounced
    from points
    group by customer_id, channel

),

-- Own customers: the exception for similar products lasts three years after the last purchase.
own_customers as (

    select distinct orders.customer_id
    from {{ ref('orders') }} as orders
    cross join {{ source('control', 'as_of') }} as as_of
    where orders.is_purchase
        and orders.ordered_on between cast(as_of.as_of_on - interval 3 year as date) and as_of.as_of_on

),

facts as (

    select
        customers.customer_id,
        channels.channel,
        purposes.purpose,
        customers.is_suppressed,
        -- under 15 a parent has to agree (LIL 45)
        coalesce(customers.birth_on > as_of.as_of_on - interval 15 year, false) as is_child,
        points_once.customer_id is not null as has_point,
        coalesce(points_once.is_valid, false) as has_valid_point,
        coalesce(points_once.is_bounced, false) as is_bounced,
        consents.status,
        consents.basis,
        consents.origin,
        own_customers.customer_id is not null as is_own_customer,
        -- calls need an opt-in since 11 August 2026 (law 2025-594)
        channels.channel in ('email', 'sms') or (channels.channel = 'phone' and as_of.as_of_on >= date '2026-08-11')
            as needs_opt_in
    from customers
    cross join channels
    cross join purposes
    cross join {{ source('control', 'as_of') }} as as_of
    left join points_once
        on customers.customer_id = points_once.customer_id and channels.channel = points_once.channel
    left join {{ ref('consents') }} as consents
        on customers.customer_id = consents.customer_id
        and channels.channel = consents.channel
        and purposes.purpose = consents.purpose
    left join own_customers on customers.customer_id = own_customers.customer_id

),

judged as (

    select
        *,
        case
            when is_suppressed then 'suppressed'
            when is_child then 'minor'
            when not has_point then 'no_contact_point'
            when not has_valid_point and is_bounced then 'hard_bounce'
            when not has_valid_point then 'invalid_contact_point'
            when status = 'refused' then 'refused'
            when status = 'withdrawn' then coalesce(nullif(origin, 'consent'), 'withdrawn')
            when status = 'granted' then null
            when purpose = 'partners' then coalesce(status, 'no_consent')
            when channel in ('email', 'sms') and is_own_customer and status is null then null
            when needs_opt_in then coalesce(status, 'no_consent')
        end as reason
    from facts

)

select
    customer_id,
    channel,
    purpose,
    reason is null as is_contactable,
    reason,
    case
        when reason is not null then null
        when status = 'granted' then basis
        when needs_opt_in then 'soft_opt_in'
        else 'legitimate_interest'
    end as basis
from judged
