-- One row per living customer: the golden record.
{{ config(meta={'touched': {
    'key': 'customer_id',
    'by': {
        'int_customer_digests': 'customer_id', 'customer_attributes': 'customer_id',
        'int_household_members': 'customer_id', 'suppressions': 'customer_id',
        'events': {'columns': 'customer_id, event_type, occurred_at', 'key': 'customer_id'},
        'orders': {'columns': 'customer_id, is_purchase, ordered_at', 'key': 'customer_id'},
    },
    'through': ['record_customers', 'int_customer_records'],
}}) }}
-- depends_on: {{ ref('int_customer_digests') }}
with

records as (

    select
        links.customer_id,
        records.*
    from {{ source('identity', 'record_customers') }} as links
    inner join {{ ref('int_customer_records') }} as records
        on links.source = records.source and links.record_id = records.record_id
    where {{ only_touched('links.customer_id') }}

),

-- Columns of a group are taken from the one record that the rules chose.
chosen as (

    select
        customer_id,
        max(case when attribute = 'civility' then value end) as civility,
        max(case when attribute = 'birth_name' then value end) as birth_name,
        max(case when attribute = 'birth_on' then value end) as birth_on,
        max(case when attribute = 'sex' then value end) as sex,
        max(case when attribute = 'email' then value end) as email,
        max(case when attribute = 'phone' then value end) as phone,
        max(case when attribute = 'language' then value end) as language,
        max(case when attribute = 'national_number' then value end) as national_number,
        max(case when attribute = 'preferred_contact_channel' then value end) as preferred_contact_channel,
        max(case when attribute = 'contact_frequency' then value end) as contact_frequency,
        {%- for attribute in ['name', 'address', 'company'] %}
        max(case when attribute = '{{ attribute }}' then source end) as {{ attribute }}_source,
        max(case when attribute = '{{ attribute }}' then record_id end) as {{ attribute }}_record_id{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ ref('customer_attributes') }} as attributes
    where {{ only_touched('attributes.customer_id') }}
    group by customer_id

),

-- Who gives a country and no address still lives there; the company's country may be a default, so it waits.
countries as (

    select
        records.customer_id,
        records.country
    from records
    cross join {{ source('control', 'company') }} as company
    where records.country <> company.country
    qualify row_number() over (
        partition by records.customer_id
        order by records.observed_on desc, records.trust_rank, records.source, records.record_id
    ) = 1

),

-- Of the spellings of a name, the one with its accents and hyphens: Hélène before HELENE.
first_spellings as (

    select
        customer_id,
        first_name,
        first_name_shown
    from records
    where first_name is not null
    qualify row_number() over (
        partition by customer_id, first_name
        order by
            lower(first_name_shown) = first_name, first_name_shown like '%-%' desc,
            trust_rank, first_name_shown, source, record_id
    ) = 1

),

last_spellings as (

    select
        customer_id,
        last_name,
        last_name_shown
    from records
    where last_name is not null
    qualify row_number() over (
        partition by customer_id, last_name
        order by lower(last_name_shown) = last_name, trust_rank, last_name_shown, source, record_id
    ) = 1

),

counted as (

    select
        customer_id,
        cast(count(*) as integer) as record_count,
        cast(count(distinct source) as integer) as source_count,
        string_agg(distinct source, ',' order by source) as sources,
        min(least(first_seen_on, coalesce(cast(created_at as date), first_seen_on))) as first_seen_on,
        max(greatest(last_contact_at, created_at)) as last_contact_at,
        bool_or(is_active) as is_active
    from records
    group by customer_id

),

-- Contacts that came from the person. Opening a message is not one; unsubscribing is no interest either.
contacts as (

    select customer_id, max(occurred_at) as last_contact_at
    from {{ ref('events') }} as events
    where {{ only_touched('events.customer_id') }}
        and event_type in ('page_view', 'session', 'cart', 'email_click', 'call', 'survey_answer', 'store_visit', 'social')
    group by customer_id

),

purchases as (

    select customer_id, max(ordered_at) as last_contact_at
    from {{ ref('orders') }} as orders
    where is_purchase and {{ only_touched('orders.customer_id') }}
    group by customer_id

),

-- Tags and interests add up, or come from one record, as declared.
{%- for list in ['tags', 'interests'] %}

{{ list }}_ranked as (

    select
        records.customer_id,
        records.{{ list }},
        lists.keep,
        row_number() over (
            partition by records.customer_id
            order by
                case lists.keep when 'most_trusted' then records.trust_rank else 0 end,
                records.observed_on desc, records.trust_rank, records.source, records.record_id
        ) as preference
    from records
    left join {{ source('control', 'survivorship_lists') }} as lists on lists.attribute = '{{ list }}'
    where records.{{ list }} is not null and records.{{ list }} <> '[]'

),

{{ list }}_kept as (

    select customer_id, {{ list }} from {{ list }}_ranked
    where preference = 1 or coalesce(keep, 'all') = 'all'

),

{{ list }} as (

    select customer_id, {{ json_text_array('item') }} as {{ list }}
    from ({{ rows_of(list ~ '_kept', 'customer_id', json_items(list)) }}) as items
    where trim(item) <> ''
    group by customer_id

),
{%- endfor %}

custom as (

    select
        customer_id,
        {{ json_object_of('substr(attribute, 8)', 'value') }} as custom
    from {{ ref('customer_attributes') }} as attributes
    where attribute like 'custom.%' and {{ only_touched('attributes.customer_id') }}
    group by customer_id

),

suppressed as (

    select customer_id, min(since_on) as suppressed_on
    from {{ ref('suppressions') }}
    group by customer_id

)

select
    counted.customer_id,
    households.household_id,
    chosen.civility,
    first_spellings.first_name_shown as first_name,
    last_spellings.last_name_shown as last_name,
    {{ name_display('chosen.birth_name') }} as birth_name,
    cast(chosen.birth_on as date) as birth_on,
    chosen.sex,
    chosen.email,
    chosen.phone,
    upper(addresses.address_line) as address_line,
    addresses.address_extra,
    addresses.postal_code,
    addresses.city,
    addresses.commune_code,
    addresses.department,
    addresses.region,
    coalesce(addresses.country, countries.country, company.country) as country,
    chosen.language,
    chosen.national_number,
    companies.company_name,
    nullif(companies.company_number, '') as company_number,
    chosen.preferred_contact_channel,
    chosen.contact_frequency,
    interests.interests,
    tags.tags,
    custom.custom,
    counted.first_seen_on,
    greatest(counted.last_contact_at, contacts.last_contact_at, purchases.last_contact_at) as last_contact_at,
    counted.record_count,
    counted.source_count,
    counted.sources,
    counted.is_active,
    suppressed.customer_id is not null as is_suppressed,
    suppressed.suppressed_on,
    run.as_of_on
from counted
cross join {{ source('control', 'as_of') }} as run
cross join {{ source('control', 'company') }} as company
left join chosen on counted.customer_id = chosen.customer_id
left join records as names on chosen.name_source = names.source and chosen.name_record_id = names.record_id
left join first_spellings
    on counted.customer_id = first_spellings.customer_id and names.first_name = first_spellings.first_name
left join last_spellings
    on counted.customer_id = last_spellings.customer_id and names.last_name = last_spellings.last_name
left join records as addresses
    on chosen.address_source = addresses.source and chosen.address_record_id = addresses.record_id
left join countries on counted.customer_id = countries.customer_id
left join records as companies
    on chosen.company_source = companies.source and chosen.company_record_id = companies.record_id
left join {{ ref('int_household_members') }} as households on counted.customer_id = households.customer_id
left join contacts on counted.customer_id = contacts.customer_id
left join purchases on counted.customer_id = purchases.customer_id
left join tags on counted.customer_id = tags.customer_id
left join interests on counted.customer_id = interests.customer_id
left join custom on counted.customer_id = custom.customer_id
left join suppressed on counted.customer_id = suppressed.customer_id
