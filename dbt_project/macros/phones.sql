{#- Telephone numbers: every French way of writing them, and foreign ones written with their country. -#}

{#- Calling code and trunk prefix of the countries whose national numbers can be read. -#}
{% macro calling_codes() -%}
    {{ return({
        'BE': ('32', '0'), 'CH': ('41', '0'), 'LU': ('352', ''), 'DE': ('49', '0'), 'ES': ('34', ''), 'IT': ('39', ''),
        'GB': ('44', '0'), 'NL': ('31', '0'), 'PT': ('351', ''), 'MC': ('377', ''), 'AT': ('43', '0'), 'IE': ('353', '0')
    }) }}
{%- endmacro %}

{#-
    What the numbering plans of the world say of a number: `mobile +48512345678`, `landline ...`, `unknown ...`, or
    `not_in_plan`. Slow: for distinct values that the rules below leave open.
-#}
{% macro foreign_phone(written, country) -%}
    {{ return(adapter.dispatch('foreign_phone', 'rcu')(written, country)) }}
{%- endmacro %}
{% macro default__foreign_phone(written, country) -%}
    foreign_phone({{ written }}, {{ country }})
{%- endmacro %}
{#- Without that function the number stays as the rules read it. -#}
{% macro spark__foreign_phone(written, country) -%}
    cast(null as string)
{%- endmacro %}

{#-
    `relation` with columns about the number in its column `column`, of a person in `country` (a column,
    two letters):
    <name>_e164    the number as +33612345678; null when it can't be one
    <name>_kind    mobile, landline or unknown (foreign numbers that don't tell)
    <name>_reason  null when fit for use, else not_a_number, too_short, too_long, unknown_country,
                   special_number or placeholder
    Each stage is a select of its own: a column reused within one select is worked out again at each use.
-#}
{% macro with_phone(relation, column, country, name='phone') -%}
    {%- set digits = name ~ '_digits' -%}
    {%- set plain = name ~ '_plain' -%}
    {%- set full = name ~ '_full' -%}
    {#- two numbers in one field: the first; an extension: dropped; what a spreadsheet added: dropped -#}
    {%- set tidy_sql = "lower(" ~ column ~ ")" -%}
    {%- set tidy_sql = regex_replace(tidy_sql, '^(([^0-9/;]*[0-9]){9,}[^0-9/;]*)(/|;| ou ).*$', '\\1') -%}
    {%- set tidy_sql = regex_replace(tidy_sql, '(poste|ext\\.?|p\\.)\\s*[0-9]+\\s*$', '') -%}
    {%- set tidy_sql = regex_replace(tidy_sql, '\\.0\\s*$', '') -%}
    {%- set tidy_sql = regex_replace(tidy_sql, '\\(\\s*0\\s*\\)', '') -%}
    (
        select
            *,
            case when {{ full }} is not null and {{ name }}_reason is null then '+' || {{ full }} end as {{ name }}_e164,
            case
                when {{ full }} is null or {{ name }}_reason is not null then null
                when {{ regex_matches(full, '^33[67]|^(590|594|596)69|^262(69|639)|^324[5-9]|^417[5-9]|^3526|^491[5-7]|^34[67]|^393|^447|^316|^3519|^377[46]|^436|^3538') }}
                    then 'mobile'
                when {{ regex_matches(full, '^33[1-59]|^(590|594|596|262)|^32|^41|^352|^49|^34|^39|^44|^31|^351|^377|^43|^353') }}
                    then 'landline'
                else 'unknown'
            end as {{ name }}_kind
        from (
            select
                *,
                case
                    when coalesce({{ name }}_tidy, '') = '' then null
                    when {{ digits }} = '' then 'not_a_number'
                    when length({{ digits }}) < 8 then 'too_short'
                    when length(replace(right({{ digits }}, 8), right({{ digits }}, 1), '')) = 0
                        or right({{ digits }}, 9) = '123456789' then 'placeholder'
                    when {{ full }} is null and length({{ digits }}) > 10 then 'too_long'
                    when {{ full }} is null and length({{ digits }}) < 9 then 'too_short'
                    when {{ full }} is null or left({{ full }}, 1) = '0' then 'unknown_country'
                    when {{ full }} like '33%' and length({{ full }}) < 11 then 'too_short'
                    when {{ full }} like '33%' and length({{ full }}) > 11 then 'too_long'
                    when {{ full }} like '338%' then 'special_number'
                    when length({{ full }}) > 15 then 'too_long'
                    when length({{ full }}) < 8 then 'too_short'
                end as {{ name }}_reason
            from (
                select
                    *,
                    -- overseas departments have calling codes of their own
                    case
                        when {{ plain }} is null then null
                        when {{ regex_matches(plain, '^33(590|690|691)[0-9]{6}$') }} then '590' || substr({{ plain }}, 3)
                        when {{ regex_matches(plain, '^33(594|694)[0-9]{6}$') }} then '594' || substr({{ plain }}, 3)
                        when {{ regex_matches(plain, '^33(596|696|697)[0-9]{6}$') }} then '596' || substr({{ plain }}, 3)
                        when {{ regex_matches(plain, '^33((262|263|269|692|693)[0-9]{6}|639[0126][0-9]{5})$') }}
                            then '262' || substr({{ plain }}, 3)
                        else {{ plain }}
                    end as {{ full }}
                from (
                    select
                        *,
                        -- country code and number, without the plus sign
                        case
                            when coalesce({{ digits }}, '') = '' then null
                            when {{ name }}_tidy like '+%' then {{ regex_replace(digits, '^330', '33') }}
                            when {{ regex_matches(digits, '^00[1-9][0-9]{8,13}$') }}
                                then {{ regex_replace("substr(" ~ digits ~ ", 3)", '^330', '33') }}
                            when {{ regex_matches(digits, '^330?[1-9][0-9]{8}$') }} and coalesce({{ country }}, 'FR') in ('FR', 'MC')
                                then {{ regex_replace(digits, '^330', '33') }}
                            when coalesce({{ country }}, 'FR') = 'FR'
                                then case
                                    when {{ regex_matches(digits, '^0[1-9][0-9]{8}$') }} then '33' || substr({{ digits }}, 2)
                                    -- the leading zero is lost
                                    when {{ regex_matches(digits, '^[1-9][0-9]{8}$') }} then '33' || {{ digits }}
                                end
                            -- a French mobile of a person who lives abroad
                            when {{ regex_matches(digits, '^0[67][0-9]{8}$') }} and {{ country }} not in ('BE', 'DE', 'GB', 'NL', 'CH')
                                then '33' || substr({{ digits }}, 2)
                            {%- for code, rule in calling_codes().items() %}
                            when {{ country }} = '{{ code }}'
                                then case
                                    when {{ digits }} like '{{ rule[0] }}%' and length({{ digits }}) >= 10 then {{ digits }}
                                    when length({{ digits }}) between 6 and 12
                                        then '{{ rule[0] }}' || {{ "ltrim(" ~ digits ~ ", '0')" if rule[1] else digits }}
                                end
                            {%- endfor %}
                        end as {{ plain }}
                    from (
                        select *, {{ regex_replace(name ~ "_tidy", '[^0-9]', '') }} as {{ digits }}
                        from (
                            select
                                *,
                                case
                                    when {{ regex_matches(column, '^\\s*[0-9][.,][0-9]+[eE]\\+?[0-9]+\\s*$') }}
                                        then cast(try_cast(try_cast(replace({{ column }}, ',', '.') as double) as bigint) as varchar)
                                    else trim({{ tidy_sql }})
                                end as {{ name }}_tidy
                            from {{ relation }}
                        ) as {{ name }}_1
                    ) as {{ name }}_2
                ) as {{ name }}_3
            ) as {{ name }}_4
        ) as {{ name }}_5
    )
{%- endmacro %}
