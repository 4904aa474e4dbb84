-- One row per customer, channel and purpose: whether we may and can contact the customer so, and why not.
{{ config(meta={'touched': {
    'key': 'customer_id',
    'by': {
        'customers': {
            'columns': 'customer_id, birth_on, is_suppressed, company_name, company_number', 'key': 'customer_id',
        },
        'contact_points': {'columns': 'customer_id, channel, kind, is_valid, reason', 'key': 'customer_id'},
        'orders': {'columns': 'customer_id, is_purchase, ordered_on', 'key': 'customer_id'},
        'consents': 'customer_id',
    },
}}) }}
with

customers as (

    select
        customer_id,
        birth_on,
        is_suppressed,
        company_name is not null or company_number is not null as is_professional
    from {{ ref('customers') }} as customers
    where {{ only_touched('customers.customer_id') }}

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
    from {{ ref('contact_points') }} as points
    where {{ only_touched('points.customer_id') }}
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

settings as (

    select
        soft_opt_in_days,
        minor_under,
        unknown_age_is_minor,
        parental_consent,
        professionals,
        calls_need_yes_from
    from {{ source('control', 'consent_settings') }}

),

-- Own customers: the exception for similar products lasts a while after the last purchase.
own_customers as (

    select distinct orders.customer_id
    from {{ ref('orders') }} as orders
    cross join {{ source('control', 'as_of') }} as as_of
    cross join settings
    where orders.is_purchase and {{ only_touched('orders.customer_id') }}
        and {{ days_between('orders.ordered_on', 'as_of.as_of_on') }} between 0 and settings.soft_opt_in_days

),

facts as (

    select
        customers.customer_id,
        channels.channel,
        purposes.purpose,
        customers.is_suppressed,
        -- a professional may be written to about the profession (B2B)
        customers.is_professional and coalesce(settings.professionals, false)
            and channels.channel = 'email' and purposes.purpose = 'marketing' as is_by_profession,
        -- below that age a parent has to agree (LIL 45)
        coalesce(
            {{ age_in_years('customers.birth_on', 'as_of.as_of_on') }} < settings.minor_under,
            settings.unknown_age_is_minor
        ) as is_child,
        points_once.customer_id is not null as has_point,
        coalesce(points_once.is_valid, false) as has_valid_point,
        coalesce(points_once.is_bounced, false) as is_bounced,
        consents.status,
        consents.basis,
        consents.origin,
        settings.parental_consent and consents.parent_agreed_at is not null as has_parental_yes,
        own_customers.customer_id is not null as is_own_customer,
        channels.channel in ('email', 'sms')
            or (channels.channel = 'phone' and as_of.as_of_on >= settings.calls_need_yes_from) as needs_opt_in,
        coalesce(consent_channels.allows_soft_opt_in, false) as allows_soft_opt_in
    from customers
    cross join channels
    cross join purposes
    cross join {{ source('control', 'as_of') }} as as_of
    cross join settings
    left join {{ source('control', 'consent_channels') }} as consent_channels
        on channels.channel = consent_channels.channel
    left join points_once
        on customers.customer_id = points_once.customer_id and channels.channel = points_once.channel
    left join {{ ref('consents') }} as consents
        on customers.customer_id = consents.customer_id
        and channels.channel = consents.channel
        and purposes.purpose = consents.purpose
    left join own_customers on customers.customer_id = own_customers.customer_id

),

-- Own customers may be written to about similar products as long as they never said no (CPCE L34-5).
grounds as (

    select
        *,
        case
            -- a child's own yes carries nothing, a parent's does until the child is old enough
            when is_child then case when has_parental_yes then 'parental' end
            when status = 'granted' and basis in ('opt_in', 'double_opt_in') then basis
            -- no other ground replaces the yes that e-mails, texts and calls need
            when status = 'granted' and basis = 'legitimate_interest' and (not needs_opt_in or is_by_profession)
                then basis
            when purpose = 'marketing' and allows_soft_opt_in and is_own_customer
                and coalesce(status, 'granted') in ('granted', 'expired') then 'soft_opt_in'
            when purpose = 'marketing' and not needs_opt_in and coalesce(status, 'granted') in ('granted', 'expired')
                then 'legitimate_interest'
        end as ground
    from facts

),

judged as (

    select
        *,
        case
            when is_suppressed then 'suppressed'
            when is_child and not has_parental_yes then 'minor'
            when not has_point then 'no_contact_point'
            when not has_valid_point and is_bounced then 'hard_bounce'
            when not has_valid_point then 'invalid_contact_point'
            when status = 'refused' then 'refused'
            when status = 'withdrawn' then coalesce(nullif(origin, 'consent'), 'withdrawn')
            when ground is not null then null
            when status = 'granted' then 'no_valid_basis'
            else coalesce(status, 'no_consent')
        end as reason
    from grounds

)

select
    customer_id,
    channel,
    purpose,
    reason is null as is_contactable,
    reason,
    case when reason is null then ground end as basis
from judged
