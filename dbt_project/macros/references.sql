{#-
    Who a fact is about, as cleaned references that can be looked up in `rcu.identifiers`: the facts of the
    CTE `facts` with their references standardised. Few distinct addresses and numbers make many facts, so
    each is standardised once. `ref_email` is the match key (lower case, provider mended, no +tag);
    `ref_phone` is E.164. Ends in the columns that `clean_references` names.
-#}
{% macro reference_ctes(facts) -%}
emails as (

    select
        ref_email as email_given,
        email_key
    from {{ with_email("(select distinct ref_email from " ~ facts ~ " where ref_email is not null) as given", 'ref_email', 'email') }}
        as written

),

phones as (

    select
        ref_phone as phone_given,
        phone_e164
    from {{ with_phone(
        "(select distinct ref_phone, (select country from " ~ source('control', 'company') ~ ") as home_country from "
        ~ facts ~ " where ref_phone is not null) as given", 'ref_phone', 'home_country', 'phone') }} as written

)
{%- endmacro %}

{#- The references of `facts` under their published names, after joining the CTEs `emails` and `phones`. -#}
{% macro clean_references(facts) -%}
    {{ tidy(facts ~ '.ref_account_source') }} as ref_account_source,
    {{ tidy(facts ~ '.ref_account') }} as ref_account,
    nullif({{ regex_replace('upper(' ~ facts ~ '.ref_card)', '[^A-Z0-9]', '') }}, '') as ref_card,
    emails.email_key as ref_email,
    phones.phone_e164 as ref_phone,
    {{ tidy(facts ~ '.ref_cookie') }} as ref_cookie,
    replace({{ name_text(facts ~ '.ref_last_name') }}, '-', ' ') as ref_last_name,
    replace({{ name_text(facts ~ '.ref_first_name') }}, '-', ' ') as ref_first_name
{%- endmacro %}

{#- For `touched` of the signs: the contact values that changed facts name, by themselves or by an account. -#}
{% macro values_referred_to() %}
    {{ return(
        'select unnest([ref_email, ref_phone]) from {changed} union all select history.value from {changed} as changed '
        ~ 'inner join {database}.intermediate.int_contact_history as history '
        ~ 'on changed.ref_account_source = history.source and changed.ref_account = history.record_id'
    ) }}
{% endmacro %}

{#- Whether a fact names one of those values. -#}
{% macro refers_to_touched() %}
    {{ return(
        'ref_email in {touched} or ref_phone in {touched} or (ref_account_source, ref_account) in '
        ~ '(select (source, record_id) from ' ~ ref('int_contact_history') ~ ' where value in {touched})'
    ) }}
{% endmacro %}
