-- One row per living record, kind of contact point and value it said: from which day on the record said so,
-- and until which day (null: it still does). What earlier versions said is standardised like the current.
{{ config(tags=['prepare'], meta={'touched': {
    'key': "source || ':' || record_id",
    'by': {'touched_records': {'rows': "source || ':' || record_id"}, 'int_customer_records': "source || ':' || record_id"},
    'through': ['customers'],
}}) }}
-- depends_on: {{ source('control', 'touched_records') }}
with

current_records as (

    select
        source,
        record_id,
        observed_on,
        email_key,
        phone_mobile,
        phone_landline,
        street_number,
        street_name,
        postal_code_given,
        case when address_line is not null then {{ post_value('records') }} end as post_value
    from {{ ref('int_customer_records') }} as records
    where {{ only_touched("records.source || ':' || records.record_id") }}

),

versions as (

    select
        customers.source,
        customers.record_id,
        customers.valid_from_on,
        customers.is_current,
        customers.email,
        customers.phone,
        customers.phone_other,
        customers.address_line,
        customers.postal_code,
        customers.city,
        customers.updated_at,
        customers.created_at,
        current_records.observed_on,
        company.country as home_country,
        row_number() over (
            partition by customers.source, customers.record_id order by customers.valid_from_on, customers.row_hash
        ) as version_number,
        count(*) over (partition by customers.source, customers.record_id) as version_count
    from {{ source('landing', 'customers') }} as customers
    inner join current_records
        on customers.source = current_records.source and customers.record_id = current_records.record_id
    cross join {{ source('control', 'company') }} as company
    where {{ only_touched("customers.source || ':' || customers.record_id") }}

),

-- A record says something the day its source dates it, else the day it was created, else delivered.
dated as (

    select
        *,
        least(
            coalesce(
                cast(updated_at as date),
                case when version_number = 1 then cast(created_at as date) end,
                valid_from_on
            ),
            valid_from_on
        ) as said_on
    from versions

),

earlier as (

    select * from dated
    where not is_current

),

earlier_emails as (

    select * from {{ with_email('earlier', 'email', 'email') }} as written
    where email_key is not null

),

earlier_phones as (

    select * from {{ with_phone('earlier', 'phone', 'home_country', 'phone') }} as written
    where phone_e164 is not null and phone_kind in ('mobile', 'landline')

),

earlier_streets as (

    select * from {{ with_street('earlier', 'address_line', 'street') }} as written
    where street_standard is not null

),

{%- set postal = regex_replace("coalesce(%s, '')", '[^0-9A-Za-z]', '') %}

-- `moved_key` tells one value from another: of an address the number and the postal code, which no way of
-- writing changes.
said as (

    select source, record_id, version_number, said_on, 'email' as kind, 'email' as channel, email_key as value,
        email_key as moved_key
    from earlier_emails
    union all
    select source, record_id, version_number, said_on, phone_kind, 'phone', phone_e164, phone_e164
    from earlier_phones
    union all
    select source, record_id, version_number, said_on, 'post', 'post',
        concat_ws(' ', street_standard, postal_code, {{ city_key('city') }}),
        coalesce(street_number, street_name) || ' ' || lpad({{ postal % 'postal_code' }}, 5, '0')
    from earlier_streets
    union all
    select records.source, records.record_id, dated.version_number, dated.said_on, 'email', 'email',
        records.email_key, records.email_key
    from current_records as records
    inner join dated on records.source = dated.source and records.record_id = dated.record_id and dated.is_current
    where records.email_key is not null
    union all
    select records.source, records.record_id, dated.version_number, dated.said_on, 'mobile', 'phone',
        records.phone_mobile, records.phone_mobile
    from current_records as records
    inner join dated on records.source = dated.source and records.record_id = dated.record_id and dated.is_current
    where records.phone_mobile is not null
    union all
    select records.source, records.record_id, dated.version_number, dated.said_on, 'landline', 'phone',
        records.phone_landline, records.phone_landline
    from current_records as records
    inner join dated on records.source = dated.source and records.record_id = dated.record_id and dated.is_current
    where records.phone_landline is not null
    union all
    select records.source, records.record_id, dated.version_number, dated.said_on, 'post', 'post',
        records.post_value,
        coalesce(records.street_number, records.street_name) || ' ' || lpad({{ postal % 'records.postal_code_given' }}, 5, '0')
    from current_records as records
    inner join dated on records.source = dated.source and records.record_id = dated.record_id and dated.is_current
    where records.post_value is not null

),

-- One row per run of versions that say the same.
placed as (

    select
        *,
        lag(moved_key) over (partition by source, record_id, kind order by version_number) as moved_key_before
    from said
    where moved_key is not null

),

numbered as (

    select
        *,
        sum(case when moved_key_before = moved_key then 0 else 1 end)
            over (partition by source, record_id, kind order by version_number) as value_number
    from placed

),

runs as (

    select
        source,
        record_id,
        kind,
        channel,
        value_number,
        min(moved_key) as moved_key,
        max_by(value, version_number) as value,
        min(said_on) as said_on,
        max(said_on) as last_said_on
    from numbered
    group by source, record_id, kind, channel, value_number

)

select
    source,
    record_id,
    kind,
    channel,
    value_number,
    value,
    moved_key,
    said_on,
    last_said_on,
    lead(said_on) over (partition by source, record_id, kind order by value_number) as until_on
from runs
