-- One row per living customer record (source, record_id): standardised values beside those given.
{{ config(meta={'touched': {
    'key': "source || ':' || record_id",
    'by': {'stg_customers': "source || ':' || record_id", 'int_person_names': "source || ':' || record_id"},
    'through': ['int_places'],
}}) }}

with

records as (

    select
        *,
        replace({{ name_text('last_name') }}, '-', ' ') as last_name_plain,
        replace({{ name_text('first_name') }}, '-', ' ') as first_name_plain,
        {{ plain_words('sex') }} as sex_words,
        {{ plain_words('country') }} as country_words,
        {{ plain_words('language') }} as language_words,
        {{ plain_words('preferred_channel') }} as channel_words
    from {{ ref('stg_customers') }} as customers
    where {{ only_touched("customers.source || ':' || customers.record_id") }}

),

person_names as (

    select * from {{ ref('int_person_names') }} as person_names
    where {{ only_touched("person_names.source || ':' || person_names.record_id") }}

),

places as (

    select * from {{ ref('int_places') }}

),

emails as (

    select
        source,
        record_id,
        email_standard,
        email_key,
        email_reason
    from {{ with_email('records', 'email', 'email') }} as written
    where email is not null

),

located as (

    select
        records.source,
        records.record_id,
        records.phone,
        records.phone_other,
        coalesce(places.country, company.country) as country
    from records
    left join places
        on coalesce(records.postal_code, '') = places.given_postal_code
        and coalesce(records.city, '') = places.given_city
        and coalesce(records.country, '') = places.given_country
    cross join {{ source('control', 'company') }} as company
    where records.phone is not null or records.phone_other is not null

),

main_phones as (

    select * from {{ with_phone('located', 'phone', 'country', 'main') }} as written

),

both_phones as (

    select
        source,
        record_id,
        country,
        phone,
        phone_other,
        main_e164,
        main_kind,
        main_reason,
        second_e164,
        second_kind,
        second_reason
    from {{ with_phone('main_phones', 'phone_other', 'country', 'second') }} as written

),

-- Numbers of countries whose plan the rules don't hold: each is looked up once.
foreign_phones as (

    select
        written,
        country,
        {{ foreign_phone('written', 'country') }} as told
    from (
        select phone as written, country from both_phones
        where main_kind = 'unknown' or main_reason = 'unknown_country'
        union
        select phone_other, country from both_phones
        where second_kind = 'unknown' or second_reason = 'unknown_country'
    ) as open_numbers

),

phones as (

    select
        both_phones.source,
        both_phones.record_id,
        case when main_told.told is null then both_phones.main_e164 else {{ regex_extract('main_told.told', '([+][0-9]+)') }} end as main_e164,
        case
            when main_told.told is null then both_phones.main_kind
            when main_told.told <> 'not_in_plan' then split_part(main_told.told, ' ', 1)
        end as main_kind,
        case
            when main_told.told is null then both_phones.main_reason
            when main_told.told = 'not_in_plan' then coalesce(both_phones.main_reason, 'not_in_plan')
        end as main_reason,
        case when second_told.told is null then both_phones.second_e164 else {{ regex_extract('second_told.told', '([+][0-9]+)') }} end as second_e164,
        case
            when second_told.told is null then both_phones.second_kind
            when second_told.told <> 'not_in_plan' then split_part(second_told.told, ' ', 1)
        end as second_kind,
        case
            when second_told.told is null then both_phones.second_reason
            when second_told.told = 'not_in_plan' then coalesce(both_phones.second_reason, 'not_in_plan')
        end as second_reason
    from both_phones
    left join foreign_phones as main_told
        on (both_phones.main_kind = 'unknown' or both_phones.main_reason = 'unknown_country')
        and both_phones.phone = main_told.written and both_phones.country = main_told.country
    left join foreign_phones as second_told
        on (both_phones.second_kind = 'unknown' or both_phones.second_reason = 'unknown_country')
        and both_phones.phone_other = second_told.written and both_phones.country = second_told.country

),

addresses as (

    select
        source,
        record_id,
        street_standard,
        street_number,
        street_name
    from {{ with_street('records', 'address_line', 'street') }} as written
    where address_line is not null

),

-- Two digits of year that read as a future date mean the century before.
births_read as (

    select
        source,
        record_id,
        valid_from_on,
        birth_on as birth_given_on,
        case
            when birth_on > valid_from_on then cast(birth_on - interval 100 year as date)
            else birth_on
        end as birth_read_on
    from records
    where birth_on is not null

),

-- A birth date is plausible when its owner was between 0 and 115 years old the day it was delivered.
births as (

    select
        source,
        record_id,
        birth_given_on,
        birth_read_on,
        birth_given_on in (
            date '1900-01-01', date '1901-01-01', date '1899-12-30', date '1899-12-31', date '1904-01-01',
            date '1970-01-01', date '1980-01-01', date '2000-01-01'
        ) as is_birth_on_placeholder,
        case
            when birth_given_on in
                (date '1900-01-01', date '1901-01-01', date '1899-12-30', date '1899-12-31', date '1904-01-01')
                then 'placeholder'
            when birth_read_on > valid_from_on or birth_read_on <= valid_from_on - interval 115 year then 'implausible'
        end as birth_on_reason
    from births_read

)

select
    records.source,
    records.record_id,
    records.trust_rank,
    records.row_hash,
    records.first_seen_on,
    records.valid_from_on,
    records.observed_on,
    records.is_active,
    -- names
    records.last_name as last_name_given,
    records.first_name as first_name_given,
    records.full_name as full_name_given,
    person_names.civility,
    coalesce(
        {{ sex_standard('records.sex_words') }},
        case person_names.civility when 'M.' then 'M' when 'Mme' then 'F' end
    ) as sex,
    person_names.first_name,
    person_names.first_name_token,
    person_names.first_name_formal,
    person_names.first_name_from_email,
    person_names.last_name,
    person_names.last_name_bare,
    person_names.birth_name,
    person_names.last_name_phonetic,
    person_names.first_name_phonetic,
    person_names.is_name_swapped,
    person_names.first_name_usual,
    person_names.first_name_sex,
    -- for people to read: as written, where what was written is the name and nothing more
    {{ name_display("case
        when person_names.last_name = records.last_name_plain then records.last_name
        when person_names.last_name = records.first_name_plain then records.first_name
        else person_names.last_name
    end") }} as last_name_shown,
    {{ name_display("case
        when person_names.first_name = records.first_name_plain then records.first_name
        when person_names.first_name = records.last_name_plain then records.last_name
        else person_names.first_name
    end") }} as first_name_shown,
    -- birth
    births.birth_given_on,
    case when births.birth_on_reason is null then births.birth_read_on end as birth_on,
    case
        when births.birth_on_reason is null
            and day(births.birth_read_on) <= 12
            and day(births.birth_read_on) <> month(births.birth_read_on)
            then {{ date_from_parts('year(births.birth_read_on)', 'day(births.birth_read_on)', 'month(births.birth_read_on)') }}
    end as birth_on_swapped,
    coalesce(births.is_birth_on_placeholder, false) as is_birth_on_placeholder,
    births.birth_on_reason,
    -- contact points
    records.email as email_given,
    emails.email_standard as email,
    emails.email_key,
    emails.email_reason,
    records.phone as phone_given,
    records.phone_other as phone_other_given,
    phones.main_reason as phone_reason,
    phones.second_reason as phone_other_reason,
    case
        when phones.main_kind = 'mobile' then phones.main_e164
        when phones.second_kind = 'mobile' then phones.second_e164
    end as phone_mobile,
    case
        when phones.main_kind = 'landline' then phones.main_e164
        when phones.second_kind = 'landline' then phones.second_e164
    end as phone_landline,
    case
        when phones.main_kind = 'unknown' then phones.main_e164
        when phones.second_kind = 'unknown' then phones.second_e164
        when phones.second_kind = phones.main_kind and phones.second_e164 <> phones.main_e164 then phones.second_e164
    end as phone_other,
    records.address_line as address_line_given,
    records.address_extra,
    addresses.street_standard as address_line,
    addresses.street_number,
    addresses.street_name,
    records.postal_code as postal_code_given,
    records.city as city_given,
    places.postal_code,
    places.city_key,
    places.city,
    places.commune_code,
    places.department,
    places.region,
    -- No word means home; a word that no country has means that we don't know.
    case
        when coalesce(records.country_words, '') = '' or {{ country_code('records.country_words') }} is not null
            then coalesce(places.country, {{ country_code('records.country_words') }}, company.country)
    end as country,
    case
        when records.address_line is null and records.postal_code is null and records.city is null then null
        when addresses.street_standard is null and records.address_line is not null then 'placeholder'
        when addresses.street_standard is null then 'no_street'
        when places.place_status in ('exact', 'town_corrected', 'postal_code_corrected', 'completed', 'cedex', 'foreign')
            then null
        else 'place_' || coalesce(places.place_status, 'missing')
    end as address_reason,
    places.place_status,
    -- the rest
    {{ language_code('records.language_words') }} as language,
    {{ regex_replace("upper(records.card_number)", '[^A-Z0-9]', '') }} as card_number,
    records.account_source,
    records.account,
    {{ regex_replace("upper(records.national_number)", '[^A-Z0-9]', '') }} as national_number,
    records.company_name,
    {{ regex_replace("upper(records.company_number)", '[^A-Z0-9]', '') }} as company_number,
    records.household,
    {{ contact_channel('records.channel_words') }} as preferred_contact_channel,
    records.contact_frequency,
    records.interests,
    records.tags,
    records.created_at,
    records.updated_at,
    records.last_contact_at,
    records.custom
from records
cross join {{ source('control', 'company') }} as company
left join person_names on records.source = person_names.source and records.record_id = person_names.record_id
left join emails on records.source = emails.source and records.record_id = emails.record_id
left join phones on records.source = phones.source and records.record_id = phones.record_id
left join addresses on records.source = addresses.source and records.record_id = addresses.record_id
left join births on records.source = births.source and records.record_id = births.record_id
left join places
    on coalesce(records.postal_code, '') = places.given_postal_code
    and coalesce(records.city, '') = places.given_city
    and coalesce(records.country, '') = places.given_country
