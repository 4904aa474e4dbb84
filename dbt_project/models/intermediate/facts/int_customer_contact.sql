-- One row per living customer: on which channels they can be reached for marketing, else why not, and
-- how fresh each contact point is.
{{ config(tags=['serve'], meta={'dagster': {'group': 'facts'}, 'touched': {
    'key': 'customer_id',
    'by': {
        'contactability': 'customer_id',
        'customer_attributes': {'columns': 'customer_id, attribute, value', 'key': 'customer_id'},
        'contact_points': {'columns': 'customer_id, channel, value, freshness', 'key': 'customer_id'},
        'customers': {'columns': 'customer_id', 'key': 'customer_id'},
    },
}}) }}
with

contactable as (

    select
        customer_id,
        {%- for channel in ['email', 'sms', 'phone', 'post'] %}
        max(case when channel = '{{ channel }}' and is_contactable then 1 else 0 end) as is_contactable_{{ channel }},
        max(case when channel = '{{ channel }}' and not is_contactable then reason end) as {{ channel }}_contact_reason{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ ref('contactability') }}
    where purpose = 'marketing' and {{ only_touched('customer_id') }}
    group by customer_id

),

-- Of the values that the golden record chose.
freshness as (

    select
        points.customer_id,
        {%- for column, attribute, channel in [
            ('email', 'email', 'email'), ('phone', 'phone', 'phone'), ('address', 'address', 'post')
        ] %}
        max(case when chosen.attribute = '{{ attribute }}' and points.channel = '{{ channel }}' then points.freshness end)
            as {{ column }}_freshness{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ ref('customer_attributes') }} as chosen
    inner join {{ ref('contact_points') }} as points
        on chosen.customer_id = points.customer_id and chosen.value = points.value
    where chosen.attribute in ('email', 'phone', 'address')
        and {{ only_touched('chosen.customer_id') }} and {{ only_touched('points.customer_id') }}
    group by points.customer_id

)

select
    customers.customer_id,
    {%- for channel in ['email', 'sms', 'phone', 'post'] %}
    coalesce(contactable.is_contactable_{{ channel }}, 0) = 1 as is_contactable_{{ channel }},
    case
        when coalesce(contactable.is_contactable_{{ channel }}, 0) = 1 then null
        else coalesce(contactable.{{ channel }}_contact_reason, 'no_consent')
    end as {{ channel }}_contact_reason,
    {%- endfor %}
    freshness.email_freshness,
    freshness.phone_freshness,
    freshness.address_freshness
from {{ ref('customers') }} as customers
left join contactable on customers.customer_id = contactable.customer_id
left join freshness on customers.customer_id = freshness.customer_id
where {{ only_touched('customers.customer_id') }}
