{#- Statements about being contacted. -#}

{#-
    When a statement was made; one without a time holds from the side that protects: a yes from the beginning
    of the day it was delivered about, a no until the end of it.
-#}
{% macro said_at(column, is_yes) -%}
    coalesce(
        {{ column }},
        case
            when {{ is_yes }} then cast(business_on as timestamp)
            else cast(business_on as timestamp) + interval '86399' second
        end
    )
{%- endmacro %}

{#- Whole years from `birth` to `day`. -#}
{% macro age_in_years(birth, day) -%}
    (
        year({{ day }}) - year({{ birth }})
        - case when month({{ day }}) * 100 + day({{ day }}) < month({{ birth }}) * 100 + day({{ birth }}) then 1 else 0 end
    )
{%- endmacro %}

{#- For `touched` of the ledger: the statements whose references now lead elsewhere, and those that name a changed value. -#}
{% macro statements_with_changed_references() %}
    {%- set parts = [] -%}
    {%- for statements in statement_tables() -%}
        {%- do parts.append(with_changed_references(statements.key, statements.place, statements.where)) -%}
    {%- endfor -%}
    {{ return(parts | join(' union all ')) }}
{% endmacro %}

{% macro statements_naming_changed_values() %}
    {%- set parts = [] -%}
    {%- for statements in statement_tables() -%}
        {%- for kind in ['email', 'phone'] -%}
            {%- do parts.append(
                'select ' ~ statements.key ~ ' from {database}.' ~ statements.place ~ ' where ' ~ statements.where
                ~ ' and ref_' ~ kind ~ " in (select value from {changed} where type = '" ~ kind ~ "')"
            ) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(parts | join(' union all ')) }}
{% endmacro %}

{% macro statement_tables() %}
    {{ return([
        {'place': 'staging.stg_consents', 'where': 'true',
         'key': "'consent:' || source || ':' || row_key || ':' || left(row_hash, 12)"},
        {'place': 'staging.stg_events', 'where': "event_type in ('email_unsubscribe', 'email_complaint')",
         'key': "'event:' || source || ':' || row_key"},
        {'place': 'staging.stg_privacy_requests', 'where': "request_type in ('erasure', 'objection')",
         'key': "'request:' || source || ':' || row_key"},
    ]) }}
{% endmacro %}
