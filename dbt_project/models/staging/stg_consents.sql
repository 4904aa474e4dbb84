-- One row per statement about being contacted (source, row_key), with references that can be looked up.
{{ config(meta={'touched': {
    'key': 'row_key',
    'by': {'consents': 'row_key'},
}}) }}
with

consents as (

    select * from {{ source('landing', 'consents') }} as consents
    where {{ only_touched('consents.row_key') }}

),

{{ reference_ctes('consents') }}

select
    consents.consent_id,
    lower({{ tidy('consents.channel') }}) as channel,
    lower({{ tidy('consents.purpose') }}) as purpose,
    lower({{ tidy('consents.status') }}) as status,
    lower({{ tidy('consents.basis') }}) as basis,
    {{ tidy('consents.text_version') }} as text_version,
    {{ tidy('consents.proof') }} as proof,
    consents.occurred_at,
    {{ clean_references('consents') }},
    consents.source,
    consents.row_key,
    consents.row_hash,
    consents.business_on,
    consents.available_on
from consents
left join emails on consents.ref_email = emails.email_given
left join phones on consents.ref_phone = phones.phone_given
