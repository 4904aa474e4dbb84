-- One row per distinct set of references that a statement about being contacted carries (consents, requests, and
-- events that say no): the one customer it leads to, or 'unknown'. Apart from orders and events: a new consent
-- leaves those as they are.
{{ config(tags=['unify'], meta={'touched': {
    'key': reference_key(),
    'by': references_led_elsewhere(
        'intermediate.int_statement_customers', ['stg_consents', 'stg_privacy_requests', 'stg_events']
    ),
    'through': ['record_customers', 'int_identity_records'],
}}) }}
-- depends_on: {{ ref('int_customer_digests') }}
with

given_references as (

    select {{ reference_columns() | join(', ') }}
    from {{ ref('stg_consents') }}
    where {{ only_touched(reference_key()) }}
    union
    select {{ reference_columns() | join(', ') }}
    from {{ ref('stg_privacy_requests') }}
    where {{ only_touched(reference_key()) }}
    union
    select {{ reference_columns() | join(', ') }}
    from {{ ref('stg_events') }}
    where event_type in ('email_unsubscribe', 'email_complaint') and {{ only_touched(reference_key()) }}

),

{{ find_customers('given_references') }}

select
    {{ reference_columns() | join(',\n    ') }},
    customer_id,
    attached_by
from found_customers
