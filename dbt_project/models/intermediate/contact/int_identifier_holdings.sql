-- One row per identifier and customer who holds it or held it, and when: from the records, their earlier versions and
-- sessions, each customer by itself. What others hold is looked at in `rcu.identifiers`.
{{ config(tags=['unify'], meta={'touched': {
    'key': 'customer_id',
    'by': {
        'int_customer_digests': 'customer_id',
        'touched_records': {'rows': '(select any_value(links.customer_id) from {database}.identity.record_customers as links '
            ~ 'where links.source = touched_records.source and links.record_id = touched_records.record_id)'},
        'stg_events': {'query': 'select links.customer_id from {changed} as changed '
            ~ 'inner join {database}.identity.record_customers as links '
            ~ 'on changed.ref_account_source = links.source and changed.ref_account = links.record_id '
            ~ 'where changed.ref_cookie is not null union all select links.customer_id from {changed} as changed '
            ~ 'inner join {database}.intermediate.int_customer_records as records on changed.ref_email = records.email_key '
            ~ 'inner join {database}.identity.record_customers as links '
            ~ 'on records.source = links.source and records.record_id = links.record_id '
            ~ 'where changed.ref_cookie is not null and changed.ref_account is null'},
    },
    'through': ['record_customers', 'current_ids', 'int_customer_records', 'customers'],
}}) }}
-- depends_on: {{ ref('int_customer_digests') }}
-- depends_on: {{ source('control', 'touched_records') }}
with

record_customers as (

    select
        source,
        record_id,
        customer_id
    from {{ source('identity', 'record_customers') }} as links
    where {{ only_touched('links.customer_id') }}

),

records as (

    select
        links.customer_id,
        records.source,
        records.record_id,
        records.first_seen_on,
        records.email_key,
        records.phone_mobile,
        records.phone_landline,
        records.phone_other,
        nullif(records.card_number, '') as card_number,
        records.account_source,
        records.account
    from record_customers as links
    inner join {{ ref('int_customer_records') }} as records
        on links.source = records.source and links.record_id = records.record_id

),

-- What a living record held before: events and orders of that time still name it.
earlier as (

    select
        links.customer_id,
        versions.first_seen_on,
        versions.last_seen_on,
        versions.email,
        versions.phone,
        versions.card_number,
        company.country as home_country
    from {{ source('landing', 'customers') }} as versions
    inner join record_customers as links
        on versions.source = links.source and versions.record_id = links.record_id
    cross join {{ source('control', 'company') }} as company
    where not versions.is_current

),

earlier_emails as (

    select * from {{ with_email('earlier', 'email', 'email') }} as written
    where email_key is not null

),

earlier_phones as (

    select * from {{ with_phone('earlier', 'phone', 'home_country', 'phone') }} as written
    where phone_e164 is not null

),

-- A visitor's cookie is known from a session that also names an account or an address.
sessions as (

    select
        ref_cookie,
        ref_account_source,
        ref_account,
        ref_email,
        cast(min(occurred_at) as date) as first_seen_on
    from {{ ref('stg_events') }}
    where ref_cookie is not null and (ref_account is not null or ref_email is not null)
    group by ref_cookie, ref_account_source, ref_account, ref_email

),

holdings as (

    select 'account' as type, record_id as value, source, customer_id, first_seen_on as since_on, cast(null as date) as until_on
    from records
    union all
    select 'account', account, account_source, customer_id, first_seen_on, null
    from records
    where account is not null and account_source is not null
    union all
    select 'card', card_number, null, customer_id, first_seen_on, null
    from records
    where card_number is not null
    union all
    select 'email', email_key, null, customer_id, first_seen_on, null
    from records
    where email_key is not null
    union all
    select 'phone', phone_mobile, null, customer_id, first_seen_on, null
    from records
    where phone_mobile is not null
    union all
    select 'phone', phone_landline, null, customer_id, first_seen_on, null
    from records
    where phone_landline is not null
    union all
    select 'phone', phone_other, null, customer_id, first_seen_on, null
    from records
    where phone_other is not null
    union all
    select 'email', email_key, null, customer_id, first_seen_on, last_seen_on
    from earlier_emails
    union all
    select 'phone', phone_e164, null, customer_id, first_seen_on, last_seen_on
    from earlier_phones
    union all
    select 'card', {{ regex_replace("upper(card_number)", '[^A-Z0-9]', '') }}, null, customer_id, first_seen_on, last_seen_on
    from earlier
    where card_number is not null
    union all
    select 'cookie', sessions.ref_cookie, null, records.customer_id, sessions.first_seen_on, null
    from sessions
    inner join records
        on sessions.ref_account_source = records.source and sessions.ref_account = records.record_id
    union all
    select 'cookie', sessions.ref_cookie, null, records.customer_id, sessions.first_seen_on, null
    from sessions
    inner join records on sessions.ref_email = records.email_key
    where sessions.ref_account is null
    union all
    -- the ids of this warehouse itself, those of merged customers too: unsubscribe links hold them
    select
        'account',
        own_ids.customer_id,
        'rcu',
        own_ids.current_customer_id,
        min(records.first_seen_on),
        null
    from {{ source('identity', 'current_ids') }} as own_ids
    inner join records on own_ids.current_customer_id = records.customer_id
    group by own_ids.customer_id, own_ids.current_customer_id

)

select
    type,
    value,
    source,
    customer_id,
    min(since_on) as since_on,
    case when count(*) = count(until_on) then max(until_on) end as until_on
from holdings
group by type, value, source, customer_id
