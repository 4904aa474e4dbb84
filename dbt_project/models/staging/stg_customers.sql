-- One row per living customer record (source, record_id), as given, tidied: blanks are nulls.
{{ config(meta={'touched': {
    'key': "source || ':' || record_id",
    'by': {'touched_records': {'rows': "source || ':' || record_id"}},
    'through': ['customers'],
}}) }}
-- depends_on: {{ source('control', 'touched_records') }}

with

customers as (

    select * from {{ source('landing', 'customers') }}

),

sources as (

    select
        source,
        trust_rank
    from {{ source('control', 'sources') }}

),

living as (

    select *
    from customers
    where is_current and not is_deleted and {{ only_touched("customers.source || ':' || customers.record_id") }}

)

select
    living.source,
    living.record_id,
    cast(coalesce(sources.trust_rank, 99) as integer) as trust_rank,
    living.row_hash,
    living.first_seen_on,
    living.valid_from_on,
    -- when the values were last known to be what the person said: the source's own date, else the delivery's
    least(
        coalesce(cast(living.updated_at as date), cast(living.created_at as date), living.valid_from_on),
        living.valid_from_on
    ) as observed_on,
    {{ tidy('living.civility') }} as civility,
    {{ tidy('living.full_name') }} as full_name,
    coalesce({{ tidy('living.full_name_order') }}, 'unknown') as full_name_order,
    {{ tidy('living.last_name') }} as last_name,
    {{ tidy('living.birth_name') }} as birth_name,
    {{ tidy('living.first_name') }} as first_name,
    living.birth_on,
    {{ tidy('living.sex') }} as sex,
    {{ tidy('living.email') }} as email,
    {{ tidy('living.phone') }} as phone,
    {{ tidy('living.phone_other') }} as phone_other,
    {{ tidy('living.address_line') }} as address_line,
    {{ tidy('living.address_extra') }} as address_extra,
    {{ tidy('living.postal_code') }} as postal_code,
    {{ tidy('living.city') }} as city,
    {{ tidy('living.country') }} as country,
    {{ tidy('living.language') }} as language,
    {{ tidy('living.card_number') }} as card_number,
    {{ tidy('living.account_source') }} as account_source,
    {{ tidy('living.account') }} as account,
    {{ tidy('living.national_number') }} as national_number,
    {{ tidy('living.company_name') }} as company_name,
    {{ tidy('living.company_number') }} as company_number,
    {{ tidy('living.household') }} as household,
    {{ tidy('living.preferred_channel') }} as preferred_channel,
    {{ tidy('living.contact_frequency') }} as contact_frequency,
    living.interests,
    living.tags,
    coalesce(living.is_active, true) as is_active,
    living.created_at,
    living.updated_at,
    living.last_contact_at,
    living.custom
from living
left join sources on living.source = sources.source
