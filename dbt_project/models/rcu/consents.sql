-- One row per customer, channel and purpose about which something was said: the status that binds us. The
-- most restrictive statement holds unless an explicit opt-in for that same channel and purpose is later.
{{ config(meta={'touched': {
    'key': 'customer_id',
    'by': {'consent_ledger': 'customer_id'},
}}) }}
with

as_of as (

    select as_of_on from {{ source('control', 'as_of') }}

),

settings as (

    select
        channel,
        needs_double_opt_in,
        needs_proof,
        expires_after_days
    from {{ source('control', 'consent_channels') }}

),

channels as (

    select unnest(['email', 'sms', 'phone', 'post', 'push']) as channel

),

purposes as (

    select unnest(['marketing', 'profiling', 'open_tracking', 'partners']) as purpose

),

spread as (

    select
        ledger.customer_id,
        channels.channel,
        purposes.purpose,
        ledger.statement_id,
        ledger.origin,
        -- where a yes must be confirmed, one that was not is still waiting
        case
            when ledger.status = 'granted' and coalesce(settings.needs_double_opt_in, false)
                and coalesce(ledger.basis, 'opt_in') = 'opt_in' then 'pending'
            -- nor does one count that nobody could prove, where it has to be proven
            when ledger.status = 'granted' and coalesce(settings.needs_proof, false)
                and ledger.proof is null and ledger.text_version is null then 'pending'
            else ledger.status
        end as status,
        ledger.basis,
        ledger.occurred_at,
        -- two statements of one second contradict each other: sources round their clocks
        date_trunc('second', ledger.occurred_at) as said_at,
        ledger.source,
        -- a general yes never lifts a particular no
        ledger.channel = channels.channel and ledger.purpose = purposes.purpose
            and coalesce(ledger.basis, 'opt_in') in ('opt_in', 'double_opt_in', 'parental') as is_explicit
    from {{ ref('consent_ledger') }} as ledger
    cross join as_of
    inner join channels on ledger.channel in (channels.channel, 'all')
    inner join purposes on ledger.purpose in (purposes.purpose, 'all')
    left join settings on channels.channel = settings.channel
    where ledger.customer_id <> 'unknown' and {{ only_touched('ledger.customer_id') }}
        -- a yes dated after today is not one yet; a no counts whatever its date
        and (ledger.status in ('refused', 'withdrawn') or ledger.occurred_at < as_of.as_of_on + interval 2 day)

),

last_words as (

    select
        customer_id,
        channel,
        purpose,
        max(said_at) filter (where status in ('refused', 'withdrawn')) as refused_at,
        max(said_at) filter (where status = 'granted' and is_explicit) as opted_in_at,
        max(said_at) filter (where status = 'granted' and is_explicit and basis = 'parental') as parent_agreed_at,
        max(said_at) filter (where status = 'granted') as granted_at,
        count(*) as statement_count
    from spread
    group by customer_id, channel, purpose

),

resolved as (

    select
        *,
        case
            -- at the same second the refusal holds
            when refused_at is not null and coalesce(opted_in_at > refused_at, false) then 'granted'
            when refused_at is not null then 'refused'
            when granted_at is not null then 'granted'
            else 'pending'
        end as verdict
    from last_words

),

-- The statement that decided: the last one on the side that holds.
deciding as (

    select
        spread.customer_id,
        spread.channel,
        spread.purpose,
        spread.statement_id,
        spread.origin,
        spread.status,
        spread.basis,
        spread.occurred_at,
        spread.source,
        -- what a parent agreed to holds until somebody says no, whatever the child said since
        case when coalesce(resolved.parent_agreed_at > resolved.refused_at, true) then resolved.parent_agreed_at end
            as parent_agreed_at,
        resolved.statement_count
    from spread
    inner join resolved
        on spread.customer_id = resolved.customer_id
        and spread.channel = resolved.channel
        and spread.purpose = resolved.purpose
    where case resolved.verdict
        when 'refused' then spread.status in ('refused', 'withdrawn')
        when 'granted' then spread.status = 'granted' and (resolved.refused_at is null or spread.is_explicit)
        else spread.status = 'pending'
    end
    qualify row_number() over (
        partition by spread.customer_id, spread.channel, spread.purpose
        order by spread.occurred_at desc, spread.is_explicit desc, spread.statement_id
    ) = 1

),

termed as (

    select
        deciding.*,
        as_of.as_of_on,
        case
            when deciding.status = 'granted'
                then {{ days_after('cast(deciding.occurred_at as date)', 'settings.expires_after_days') }}
        end as expires_on,
        {{ days_after('cast(deciding.parent_agreed_at as date)', 'settings.expires_after_days') }} as agreement_ends_on
    from deciding
    cross join as_of
    left join settings on deciding.channel = settings.channel

)

select
    customer_id,
    channel,
    purpose,
    case when status = 'granted' and expires_on <= as_of_on then 'expired' else status end as status,
    case when status = 'granted' then coalesce(basis, 'opt_in') end as basis,
    origin,
    occurred_at as since_at,
    expires_on,
    source,
    statement_id,
    cast(statement_count as integer) as statement_count,
    case when coalesce(agreement_ends_on > as_of_on, true) then parent_agreed_at end as parent_agreed_at
from termed
