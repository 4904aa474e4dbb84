-- One row per statement about being contacted and customer it concerns, in the words it was made. A refusal
-- that names an address concerns every customer who holds the address. Statements that lead to nobody
-- carry the customer 'unknown'. Nothing is ever overwritten: a statement delivered again with another content
-- is one more statement. A refusal without a time holds to the end of the day it was delivered about, a yes
-- from its beginning.
{{ config(meta={'touched': {
    'key': 'statement_id',
    'by': {
        'stg_consents': "'consent:' || source || ':' || row_key || ':' || left(row_hash, 12)",
        'stg_events': "'event:' || source || ':' || row_key",
        'stg_privacy_requests': "'request:' || source || ':' || row_key",
        'int_statement_customers': {'query': statements_with_changed_references()},
        'identifiers': {'query': statements_naming_changed_values()},
    },
}}) }}
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

given as (

    select
        'consent:' || source || ':' || row_key || ':' || left(row_hash, 12) as statement_id,
        source,
        'consent' as origin,
        case when channel in ('email', 'sms', 'phone', 'post', 'push') then channel else 'all' end as channel,
        case when purpose in ('marketing', 'profiling', 'open_tracking', 'partners') then purpose else 'all' end as purpose,
        case when status in ('granted', 'pending', 'refused', 'withdrawn') then status else 'refused' end as status,
        basis,
        text_version,
        proof,
        {{ said_at('occurred_at', "status = 'granted'") }} as occurred_at,
        ref_account_source,
        ref_account,
        ref_card,
        ref_email,
        ref_phone,
        ref_cookie,
        ref_last_name,
        ref_first_name
    from {{ ref('stg_consents') }} as consents
    where {{ only_touched("'consent:' || source || ':' || row_key || ':' || left(row_hash, 12)") }}

),

-- Unsubscribing from a message or reporting it as spam is a statement too.
told_by_events as (

    select
        'event:' || source || ':' || row_key as statement_id,
        source,
        case event_type when 'email_complaint' then 'complaint' else 'unsubscribe' end as origin,
        'email' as channel,
        -- who reports spam wants none of it
        case event_type when 'email_complaint' then 'all' else 'marketing' end as purpose,
        'withdrawn' as status,
        cast(null as varchar) as basis,
        cast(null as varchar) as text_version,
        campaign as proof,
        {{ said_at('occurred_at', 'false') }} as occurred_at,
        ref_account_source,
        ref_account,
        ref_card,
        ref_email,
        ref_phone,
        ref_cookie,
        ref_last_name,
        ref_first_name
    from {{ ref('stg_events') }}
    where event_type in ('email_unsubscribe', 'email_complaint')
        and {{ only_touched("'event:' || source || ':' || row_key") }}

),

told_by_requests as (

    select
        'request:' || source || ':' || row_key as statement_id,
        source,
        'objection' as origin,
        'all' as channel,
        'all' as purpose,
        'withdrawn' as status,
        cast(null as varchar) as basis,
        cast(null as varchar) as text_version,
        request_id as proof,
        {{ said_at('requested_at', 'false') }} as occurred_at,
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
        and {{ only_touched("'request:' || source || ':' || row_key") }}

),

statements as (

    select * from given
    union all
    select * from told_by_events
    union all
    select * from told_by_requests

),

{{ attach_customers('statements', found='int_statement_customers') }},

concerned as (

    select
        statement_id,
        customer_id,
        attached_by
    from attached
    union all
    select
        statements.statement_id,
        identifiers.customer_id,
        identifiers.type
    from statements
    inner join own_values as identifiers
        on identifiers.type = 'email' and statements.ref_email = identifiers.value
    where statements.status in ('refused', 'withdrawn')
    union all
    select
        statements.statement_id,
        identifiers.customer_id,
        identifiers.type
    from statements
    inner join own_values as identifiers
        on identifiers.type = 'phone' and statements.ref_phone = identifiers.value
    where statements.status in ('refused', 'withdrawn') and statements.ref_email is null

),

-- 'unknown' only where a statement found nobody at all.
once as (

    select
        statement_id,
        customer_id,
        min(attached_by) as attached_by,
        count(*) filter (where customer_id <> 'unknown') over (partition by statement_id) as found_count
    from concerned
    group by statement_id, customer_id

)

select
    statements.statement_id,
    once.customer_id,
    statements.origin,
    statements.channel,
    statements.purpose,
    statements.status,
    statements.basis,
    statements.text_version,
    statements.proof,
    statements.occurred_at,
    statements.source,
    once.attached_by
from statements
inner join once on statements.statement_id = once.statement_id
where once.customer_id <> 'unknown' or once.found_count = 0
