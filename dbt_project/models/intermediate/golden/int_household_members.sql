-- One row per customer who shares a household with another: same address and last-name family, or declared
-- so by a source. Addresses that many families share (a shop, a hotel, a tower) make no household.
with

records as (

    select
        links.customer_id,
        records.source,
        records.record_id,
        records.household,
        records.last_name,
        records.last_name_bare,
        records.birth_name,
        records.address_line,
        records.street_name,
        records.postal_code,
        records.city_key,
        records.country,
        records.address_reason
    from {{ source('identity', 'record_customers') }} as links
    inner join {{ ref('int_customer_records') }} as records
        on links.source = records.source and links.record_id = records.record_id

),

chosen as (

    select
        customer_id,
        attribute,
        source,
        record_id
    from {{ ref('customer_attributes') }}
    where attribute in ('address', 'name')

),

-- The chosen address and name of each customer; the family is the first family name the person bears.
homes as (

    select
        addresses.customer_id,
        concat_ws('|', records.country, records.postal_code, records.city_key, records.address_line) as address_key
    from chosen as addresses
    inner join records on addresses.source = records.source and addresses.record_id = records.record_id
    where addresses.attribute = 'address' and records.address_reason is null and records.street_name is not null

),

families as (

    select
        chosen.customer_id,
        records.last_name,
        records.birth_name,
        {{ regex_replace('records.last_name', '^((de|du|des|d|la|le|les|l|da|dos|van|von|el|ben) )+', '') }} as family_words
    from chosen
    inner join records on chosen.source = records.source and chosen.record_id = records.record_id
    where chosen.attribute = 'name' and records.last_name is not null

),

-- Names at one address, each with the other names it shares a word with: Durand and Durand Petit.
residents as (

    select
        homes.customer_id,
        homes.address_key,
        families.family_words
    from homes
    inner join families on homes.customer_id = families.customer_id

),

crowds as (

    select address_key
    from residents
    group by address_key
    having count(distinct family_words) > 8 or count(*) > 24

),

names_at as (

    select distinct
        address_key,
        family_words
    from residents
    where address_key not in (select address_key from crowds)

),

kin as (

    select
        one.address_key,
        one.family_words,
        min(other.family_words) as family
    from names_at as one
    inner join names_at as other
        on one.address_key = other.address_key
        and (
            one.family_words = other.family_words
            or one.family_words like other.family_words || ' %'
            or one.family_words like '% ' || other.family_words
            or other.family_words like one.family_words || ' %'
            or other.family_words like '% ' || one.family_words
        )
    group by one.address_key, one.family_words

),

-- One more step joins Petit to Durand through Durand Petit.
families_at as (

    select
        kin.address_key,
        kin.family_words,
        least(kin.family, further.family) as family
    from kin
    inner join kin as further on kin.address_key = further.address_key and kin.family = further.family_words

),

by_address as (

    select
        residents.customer_id,
        'address' as basis,
        residents.address_key || '|' || families_at.family as household_key
    from residents
    inner join families_at
        on residents.address_key = families_at.address_key and residents.family_words = families_at.family_words

),

by_declaration as (

    select
        customer_id,
        'declared' as basis,
        min(source || '|' || household) as household_key
    from records
    where household is not null
    group by customer_id

),

-- What a source declared goes before what the address suggests.
members as (

    select
        customer_id,
        basis,
        household_key,
        count(*) over (partition by basis, household_key) as member_count,
        min(customer_id) over (partition by basis, household_key) as first_customer_id
    from (
        select * from by_declaration
        union all
        select * from by_address where customer_id not in (select customer_id from by_declaration)
    ) as every_member

)

select
    customer_id,
    'H' || substr(md5(basis || first_customer_id), 1, 12) as household_id,
    basis
from members
where member_count between 2 and 24
