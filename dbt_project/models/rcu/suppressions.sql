-- One row per customer and reason for which nobody may contact them: an erasure or objection was asked for.
-- A request that names an address binds every customer who holds that address.
with

-- An address that identity found to belong to too many people binds nobody by itself.
own_values as (

    select
        type,
        value,
        customer_id
    from {{ ref('identifiers') }}
    where value not in (select value from {{ source('identity', 'shared_values') }})

),

requests as (

    select
        source || ':' || row_key as request_key,
        case request_type when 'erasure' then 'erasure' else 'objection' end as reason,
        coalesce(requested_at, cast(business_on as timestamp)) as requested_at,
        ref_account_source,
        ref_account,
        ref_card,
        ref_email,
        ref_phone,
        ref_cookie,
        ref_last_name,
        ref_first_name
    from {{ ref('stg_privacy_requests') }}
    where request_type in ('erasure', 'objection')

),

{{ attach_customers('requests', found='int_statement_customers') }},

bound as (

    select requests.reason, requests.requested_at, attached.customer_id
    from requests
    inner join attached on requests.request_key = attached.request_key
    where attached.customer_id <> 'unknown'
    union all
    select requests.reason, requests.requested_at, identifiers.customer_id
    from requests
    inner join own_values as identifiers
        on identifiers.type = 'email' and requests.ref_email = identifiers.value
    union all
    select requests.reason, requests.requested_at, identifiers.customer_id
    from requests
    inner join own_values as identifiers
        on identifiers.type = 'phone' and requests.ref_phone = identifiers.value
    where requests.ref_email is null

),

-- The list of objections knows no as-of date: who is on it now is left alone in every run.
reasons as (

    select
        bound.customer_id,
        bound.reason,
        min({{ local_date('bound.requested_at', 'company.time_zone') }}) as since_on
    from bound
    cross join {{ source('control', 'company') }} as company
    group by bound.customer_id, bound.reason
    union all
    select
        listed.customer_id,
        'objection' as reason,
        listed.since_on
    from {{ source('control', 'suppressed_customers') }} as listed

)

select
    customer_id,
    reason,
    min(since_on) as since_on
from reasons
group by customer_id, reason
