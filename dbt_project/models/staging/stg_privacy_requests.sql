-- One row per request under the data-protection law (source, row_key), with references that can be looked up.
with

privacy_requests as (

    select * from {{ source('landing', 'privacy_requests') }}

),

{{ reference_ctes('privacy_requests') }}

select
    privacy_requests.request_id,
    lower({{ tidy('privacy_requests.request_type') }}) as request_type,
    privacy_requests.requested_at,
    {{ clean_references('privacy_requests') }},
    {{ tidy('privacy_requests.details') }} as details,
    privacy_requests.source,
    privacy_requests.row_key,
    privacy_requests.business_on,
    privacy_requests.available_on
from privacy_requests
left join emails on privacy_requests.ref_email = emails.email_given
left join phones on privacy_requests.ref_phone = phones.phone_given
