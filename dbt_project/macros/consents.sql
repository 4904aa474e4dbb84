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
