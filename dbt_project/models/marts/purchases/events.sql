-- One row per event (session, cart, e-mail, call, survey answer, visit), of one customer or 'unknown'.
{{ config(tags=['unify'], meta={'touched': {
    'key': 'event_id',
    'by': {
        'stg_events': "source || ':' || row_key",
        'int_reference_customers': {'query': with_changed_references("source || ':' || row_key", 'staging.stg_events')},
    },
}}) }}
with

events as (

    select
        source || ':' || row_key as event_key,
        event_type,
        occurred_at,
        channel,
        campaign,
        product_id,
        reason,
        value,
        properties,
        source,
        ref_account_source,
        ref_account,
        ref_card,
        ref_email,
        ref_phone,
        ref_cookie,
        ref_last_name,
        ref_first_name
    from {{ ref('stg_events') }} as events
    where {{ only_touched("events.source || ':' || events.row_key") }}

),

{{ attach_customers('events') }}

select
    events.event_key as event_id,
    events.source,
    events.customer_id,
    events.attached_by,
    events.event_type,
    events.occurred_at,
    {{ local_date('events.occurred_at', 'company.time_zone') }} as occurred_on,
    events.channel,
    events.campaign,
    events.product_id,
    events.reason,
    events.value,
    events.properties
from attached as events
cross join {{ source('control', 'company') }} as company
