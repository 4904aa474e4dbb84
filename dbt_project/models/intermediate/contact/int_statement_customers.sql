-- One row per distinct set of references that a statement about being contacted carries (consents, requests, and
-- events that say no): the one customer it leads to, or 'unknown'. Apart from orders and events: a new consent
-- leaves those as they are.
{{ config(tags=['unify']) }}
with

given_references as (

    select {{ reference_columns() | join(', ') }}
    from {{ ref('stg_consents') }}
    union
    select {{ reference_columns() | join(', ') }}
    from {{ ref('stg_privacy_requests') }}
    union
    select {{ reference_columns() | join(', ') }}
    from {{ ref('stg_events') }}
    where event_type in ('email_unsubscribe', 'email_complaint')

),

{{ find_customers('given_references') }}

select
    {{ reference_columns() | join(',\n    ') }},
    customer_id,
    attached_by
from found_customers
