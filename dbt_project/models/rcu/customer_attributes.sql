-- One row per customer and attribute: the value we trust most, where it came from, which declared
-- strategy decided, and the values it beat.
{{ config(meta={'touched': {
    'key': 'customer_id',
    'by': {
        'int_customer_digests': 'customer_id',
        'contact_points': {'columns': 'customer_id, channel, value, is_valid, last_confirmed_on', 'key': 'customer_id'},
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

points as (

    select
        customer_id,
        channel,
        value,
        is_valid,
        last_confirmed_on
    from {{ ref('contact_points') }} as points
    where {{ only_touched('points.customer_id') }}

),

-- `complete` grows with how much the value says.
plain_candidates as (
    {% set plain = {
        'civility': 'civility', 'birth_name': 'birth_name', 'birth_on': 'cast(birth_on as varchar)', 'sex': 'sex',
        'language': 'language', 'national_number': "nullif(national_number, '')",
        'preferred_contact_channel': 'preferred_contact_channel', 'contact_frequency': 'contact_frequency'
    } %}
    {%- for attribute, expression in plain.items() %}
    select
        customer_id, source, record_id, trust_rank, observed_on,
        '{{ attribute }}' as attribute,
        {{ expression }} as value,
        lower({{ expression }}) as value_key,
        {{ 'not is_birth_on_placeholder' if attribute == 'birth_on' else 'true' }} as is_valid,
        length({{ expression }}) as complete,
        observed_on as confirmed_on
    from records
    where {{ expression }} is not null
    union all
    {%- endfor %}
    select
        customer_id, source, record_id, trust_rank, observed_on,
        'name',
        concat_ws(' ', first_name_shown, last_name_shown),
        concat_ws(' ', first_name, last_name),
        last_name is not null and not is_name_swapped,
        case when first_name is null then 0 when length(first_name) = 1 then 1 else 2 end
        + case when last_name is null then 0 else 2 end,
        observed_on
    from records
    where last_name is not null or first_name is not null
    union all
    select
        customer_id, source, record_id, trust_rank, observed_on,
        'company',
        concat_ws(' ', company_name, nullif(company_number, '')),
        lower(concat_ws(' ', company_name, nullif(company_number, ''))),
        true,
        case when company_name is null then 0 else 1 end + case when nullif(company_number, '') is null then 0 else 1 end,
        observed_on
    from records
    where company_name is not null or nullif(company_number, '') is not null

),

-- Attributes of the sources' own, each by itself: `custom.<name>`.
custom_items as (

    select
        customer_id, source, record_id, trust_rank, observed_on,
        item as name,
        {{ json_value('custom', 'item') }} as value
    from ({{ rows_of('records', 'customer_id, source, record_id, trust_rank, observed_on, custom', json_names('custom')) }}) as items

),

custom_candidates as (

    select
        customer_id, source, record_id, trust_rank, observed_on,
        'custom.' || name as attribute,
        value,
        lower(value) as value_key,
        true as is_valid,
        length(value) as complete,
        observed_on as confirmed_on
    from custom_items
    where trim(value) <> ''

),

contact_values as (

    select
        customer_id, source, record_id, trust_rank, observed_on,
        'email' as attribute,
        'email' as channel,
        email as value,
        1 as complete
    from records
    where email is not null
    union all
    select customer_id, source, record_id, trust_rank, observed_on, 'phone', 'phone', phone_mobile, 2
    from records
    where phone_mobile is not null
    union all
    select customer_id, source, record_id, trust_rank, observed_on, 'phone', 'phone', phone_landline, 1
    from records
    where phone_landline is not null
    union all
    select customer_id, source, record_id, trust_rank, observed_on, 'phone', 'phone', phone_other, 0
    from records
    where phone_other is not null
    union all
    select
        customer_id, source, record_id, trust_rank, observed_on,
        'address', 'post', upper({{ post_value() }}),
        case when street_number is null then 0 else 1 end
        + case when commune_code is null then 0 else 1 end
        + case when address_extra is null then 0 else 1 end
    from records
    where address_line_given is not null
    union all
    -- a town without a street is better than nothing
    select
        customer_id, source, record_id, trust_rank, observed_on,
        'address', 'town', upper(concat_ws(' ', postal_code, city_key)), -1
    from records
    where address_line_given is null and (postal_code is not null or city_key is not null)

),

contact_candidates as (

    select
        contact_values.customer_id,
        contact_values.source,
        contact_values.record_id,
        contact_values.trust_rank,
        contact_values.observed_on,
        contact_values.attribute,
        contact_values.value,
        contact_values.value as value_key,
        coalesce(points.is_valid, false) as is_valid,
        contact_values.complete,
        coalesce(points.last_confirmed_on, contact_values.observed_on) as confirmed_on
    from contact_values
    left join points
        on contact_values.customer_id = points.customer_id
        and contact_values.channel = points.channel
        and contact_values.value = points.value

),

candidates as (

    select * from plain_candidates
    union all
    select * from contact_candidates
    union all
    select * from custom_candidates

),

-- A steward's pin: take the attribute from this record. Of several the last holds, until it is taken back.
pins as (

    select
        links.customer_id,
        lower(trim(decisions.attribute)) as attribute,
        decisions.left_source as source,
        decisions.left_record_id as record_id,
        lower(trim(decisions.decision)) as decision
    from {{ source('landing', 'steward_decisions') }} as decisions
    inner join {{ source('identity', 'record_customers') }} as links
        on decisions.left_source = links.source and decisions.left_record_id = links.record_id
    where lower(trim(decisions.decision)) in ('pin', 'unpin') and decisions.attribute is not null
        and {{ only_touched('links.customer_id') }}
    qualify row_number() over (
        partition by links.customer_id, lower(trim(decisions.attribute))
        order by
            decisions.decided_at desc nulls last,
            case lower(trim(decisions.decision)) when 'unpin' then 0 else 1 end,
            decisions.decision_id, decisions.left_source, decisions.left_record_id
    ) = 1

),

rules as (

    select
        attribute,
        max(case when position = 1 then strategy end) as strategy_1,
        max(case when position = 2 then strategy end) as strategy_2,
        max(case when position = 3 then strategy end) as strategy_3,
        max(case when position = 4 then strategy end) as strategy_4,
        max(case when position = 5 then strategy end) as strategy_5
    from {{ source('control', 'survivorship_rules') }}
    group by attribute

),

weighed as (

    select
        candidates.*,
        count(*) over (
            partition by candidates.customer_id, candidates.attribute, candidates.value_key
        ) as frequency,
        -- sources that the attribute prefers come before all others
        coalesce(preferred.preference - 1000, candidates.trust_rank) as trust,
        case when pins.customer_id is null then 1 else 0 end as key_0
    from candidates
    left join {{ source('control', 'survivorship_sources') }} as preferred
        on preferred.attribute = {{ general_attribute('candidates.attribute') }}
        and candidates.source = preferred.source
    left join pins
        on candidates.customer_id = pins.customer_id
        and candidates.attribute = pins.attribute
        and candidates.source = pins.source
        and candidates.record_id = pins.record_id
        and pins.decision = 'pin'

),

-- Each strategy as a number, the least first.
keyed as (

    select
        weighed.*,
        {%- for position in range(1, 6) %}
        rules.strategy_{{ position }},
        case rules.strategy_{{ position }}
            when 'valid_first' then case when weighed.is_valid then 0 else 1 end
            when 'most_trusted' then weighed.trust
            when 'most_recent' then {{ days_between('weighed.observed_on', "date '2200-01-01'") }}
            when 'last_confirmed' then {{ days_between('weighed.confirmed_on', "date '2200-01-01'") }}
            when 'most_frequent' then -weighed.frequency
            when 'most_complete' then -weighed.complete
            else 0
        end as key_{{ position }}{{ ',' if not loop.last }}
        {%- endfor %}
    from weighed
    left join rules on rules.attribute = {{ general_attribute('weighed.attribute') }}

),

-- The best record of each distinct value.
best_of_value as (

    select *
    from keyed
    qualify row_number() over (
        partition by customer_id, attribute, value_key
        order by key_0, key_1, key_2, key_3, key_4, key_5, trust, observed_on desc, source, record_id, value
    ) = 1

),

ranked as (

    select
        *,
        row_number() over best_first as preference,
        count(*) over (partition by customer_id, attribute) as value_count,
        {%- for position in range(1, 6) %}
        lead(key_{{ position }}) over best_first as next_{{ position }},
        {%- endfor %}
        lead(key_0) over best_first as next_0
    from best_of_value
    window best_first as (
        partition by customer_id, attribute
        order by key_0, key_1, key_2, key_3, key_4, key_5, trust, observed_on desc, source, record_id, value
    )

),

beaten as (

    select
        customer_id,
        attribute,
        {{ json_list_of(['value', 'source', 'record_id', 'observed_on'], 'preference') }} as values_beaten
    from ranked
    where preference > 1
    group by customer_id, attribute

)

select
    ranked.customer_id,
    ranked.attribute,
    ranked.value,
    ranked.source,
    ranked.record_id,
    ranked.observed_on,
    case
        when ranked.value_count = 1 then 'only_value'
        when ranked.key_0 <> ranked.next_0 then 'pinned'
        {%- for position in range(1, 6) %}
        when ranked.key_{{ position }} <> ranked.next_{{ position }} then ranked.strategy_{{ position }}
        {%- endfor %}
        else 'tie_break'
    end as rule,
    ranked.is_valid,
    cast(ranked.frequency as integer) as record_count,
    cast(ranked.value_count as integer) as value_count,
    beaten.values_beaten
from ranked
left join beaten on ranked.customer_id = beaten.customer_id and ranked.attribute = beaten.attribute
where ranked.preference = 1
