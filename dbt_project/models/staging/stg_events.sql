-- One row per event (source, row_key), with references that can be looked up.
{{ config(meta={'touched': {
    'key': 'row_key',
    'by': {'events': 'row_key'},
}}) }}
with

events as (

    select * from {{ source('landing', 'events') }} as events
    where {{ only_touched('events.row_key') }}

),

{{ reference_ctes('events') }}

select
    events.event_id,
    lower({{ tidy('events.event_type') }}) as event_type,
    events.occurred_at,
    lower({{ tidy('events.channel') }}) as channel,
    {{ clean_references('events') }},
    {{ tidy('events.campaign') }} as campaign,
    {{ tidy('events.product_id') }} as product_id,
    {{ tidy('events.reason') }} as reason,
    events.value,
    events.properties,
    events.source,
    events.row_key,
    events.business_on,
    events.available_on
from events
left join emails on events.ref_email = emails.email_given
left join phones on events.ref_phone = phones.phone_given
