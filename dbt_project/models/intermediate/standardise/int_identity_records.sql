-- One row per living record (source, record_id): what tells people apart, the input of identity.
{{ config(meta={'touched': {
    'key': "source || ':' || record_id",
    'by': {'int_customer_records': "source || ':' || record_id"},
}}) }}

with

records as (

    select * from {{ ref('int_customer_records') }} as records
    where {{ only_touched("records.source || ':' || records.record_id") }}

)

select
    source,
    record_id,
    trust_rank,
    first_seen_on,
    is_active,
    civility,
    -- told, or that of nearly all who bear the first name
    coalesce(sex, first_name_sex) as sex,
    -- an initial, in full where the person's own e-mail tells the name
    coalesce(first_name_from_email, first_name) as first_name,
    first_name_token,
    last_name,
    last_name_bare,
    birth_name,
    last_name_phonetic,
    first_name_phonetic,
    birth_on,
    birth_on_swapped,
    email_key as email,
    split_part(email_key, '@', 1) as email_local,
    split_part(email_key, '@', 2) as email_domain,
    phone_mobile,
    phone_landline,
    phone_other,
    -- number first, wherever it is written
    nullif(concat_ws(' ', street_number, street_name), '') as address_line,
    street_number,
    street_name,
    postal_code,
    city_key as city,
    commune_code,
    department,
    country,
    nullif(card_number, '') as card_number,
    account_source,
    account,
    nullif(national_number, '') as national_number,
    {{ plain_words('company_name') }} as company_name,
    nullif(company_number, '') as company_number,
    household,
    custom,
    is_birth_on_placeholder,
    row_hash,
    first_name_formal,
    is_name_swapped,
    first_name_usual,
    -- the members of one family at one address
    case
        when street_number is not null and street_name is not null
            then street_number || ' ' || street_name || '|' || postal_code || '|' || left(last_name_bare, 3)
    end as home,
    -- those of one family name in one town
    last_name_bare || '|' || city_key as kin
from records
