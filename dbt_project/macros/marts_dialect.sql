{#-
    The expressions of facts and marts that engines write differently. Models call the short name; a
    Spark version is one more macro with its prefix.
-#}

{#- The date some days after another. -#}
{% macro days_after(day, days) %}{{ return(adapter.dispatch('days_after')(day, days)) }}{% endmacro %}
{% macro default__days_after(day, days) %}cast(({{ day }}) + cast({{ days }} as integer) as date){% endmacro %}
{% macro spark__days_after(day, days) %}date_add({{ day }}, cast({{ days }} as int)){% endmacro %}

{#- A date as a number of days, to order windows by ranges of days. -#}
{% macro day_number(day) %}{{ return(adapter.dispatch('day_number')(day)) }}{% endmacro %}
{% macro default__day_number(day) %}cast(({{ day }}) - date '1970-01-01' as integer){% endmacro %}
{% macro spark__day_number(day) %}datediff({{ day }}, date '1970-01-01'){% endmacro %}

{#- First day of the month of a date. -#}
{% macro month_of(day) %}{{ return(adapter.dispatch('month_of')(day)) }}{% endmacro %}
{% macro default__month_of(day) %}cast(date_trunc('month', {{ day }}) as date){% endmacro %}

{#- Whole months between two first days of a month. -#}
{% macro months_between(earlier, later) %}{{ return(adapter.dispatch('months_between')(earlier, later)) }}{% endmacro %}
{% macro default__months_between(earlier, later) %}cast(
    (year({{ later }}) - year({{ earlier }})) * 12 + month({{ later }}) - month({{ earlier }}) as integer
){% endmacro %}

{#- The company's hour of a UTC timestamp. -#}
{% macro local_hour(moment, time_zone) %}{{ return(adapter.dispatch('local_hour')(moment, time_zone)) }}{% endmacro %}
{% macro default__local_hour(moment, time_zone) %}cast(
    hour(timezone({{ time_zone }}, timezone('UTC', {{ moment }}))) as integer
){% endmacro %}
{% macro spark__local_hour(moment, time_zone) %}hour(from_utc_timestamp({{ moment }}, {{ time_zone }})){% endmacro %}

{#- ISO day of the week: 1 is Monday, 7 Sunday. -#}
{% macro week_day(day) %}{{ return(adapter.dispatch('week_day')(day)) }}{% endmacro %}
{% macro default__week_day(day) %}cast(isodow({{ day }}) as integer){% endmacro %}
{% macro spark__week_day(day) %}(weekday({{ day }}) + 1){% endmacro %}

{#- True where a pattern is found in a text, whatever its case. -#}
{% macro is_found(text, pattern) %}{{ return(adapter.dispatch('is_found')(text, pattern)) }}{% endmacro %}
{% macro default__is_found(text, pattern) %}regexp_matches({{ text }}, '(?i)' || {{ pattern }}){% endmacro %}
{% macro spark__is_found(text, pattern) %}({{ text }} rlike concat('(?i)', {{ pattern }})){% endmacro %}

{#- A text without the first place where a pattern is found. -#}
{% macro without(text, pattern) %}{{ return(adapter.dispatch('without')(text, pattern)) }}{% endmacro %}
{% macro default__without(text, pattern) %}regexp_replace({{ text }}, {{ pattern }}, ''){% endmacro %}
{% macro spark__without(text, pattern) %}regexp_replace({{ text }}, {{ pattern }}, ''){% endmacro %}

{#- Texts of a group, in order, joined by a comma. -#}
{% macro listed(expression, ordering) %}{{ return(adapter.dispatch('listed')(expression, ordering)) }}{% endmacro %}
{% macro default__listed(expression, ordering) %}string_agg({{ expression }}, ',' order by {{ ordering }}){% endmacro %}
{% macro spark__listed(expression, ordering) %}concat_ws(',', sort_array(collect_list({{ expression }}))){% endmacro %}

{#- A number from 0 to 99 that depends on a text and on nothing else. -#}
{% macro stable_bucket(text) %}{{ return(adapter.dispatch('stable_bucket')(text)) }}{% endmacro %}
{% macro default__stable_bucket(text) %}cast(
    cast('0x' || substr(md5({{ text }}), 1, 8) as bigint) % 100 as integer
){% endmacro %}
{% macro spark__stable_bucket(text) %}cast(
    cast(conv(substr(md5({{ text }}), 1, 8), 16, 10) as bigint) % 100 as int
){% endmacro %}

{#- Interpolated quantile of a column (aggregate), as a double. -#}
{% macro quantile(column, share) %}{{ return(adapter.dispatch('quantile')(column, share)) }}{% endmacro %}
{% macro default__quantile(column, share) %}quantile_cont(cast({{ column }} as double), {{ share }}){% endmacro %}
{% macro spark__quantile(column, share) %}percentile(cast({{ column }} as double), {{ share }}){% endmacro %}

{#- The last value that is not null, up to the row of a window. -#}
{% macro last_known(expression) %}{{ return(adapter.dispatch('last_known')(expression)) }}{% endmacro %}
{% macro default__last_known(expression) %}last_value({{ expression }} ignore nulls){% endmacro %}
{% macro spark__last_known(expression) %}last_value({{ expression }}) ignore nulls{% endmacro %}

{#- First days of the months from one date to another, one a row (select list item). -#}
{% macro month_series(first, last) %}{{ return(adapter.dispatch('month_series')(first, last)) }}{% endmacro %}
{% macro default__month_series(first, last) %}cast(
    unnest(generate_series(cast({{ first }} as timestamp), cast({{ last }} as timestamp), interval 1 month)) as date
){% endmacro %}
{% macro spark__month_series(first, last) %}explode(
    sequence({{ first }}, {{ last }}, interval 1 month)
){% endmacro %}

{#- First day of the month some months after another first day. -#}
{% macro months_after(month, months) %}{{ return(adapter.dispatch('months_after')(month, months)) }}{% endmacro %}
{% macro default__months_after(month, months) %}cast(
    {{ month }} + cast({{ months }} as integer) * interval 1 month as date
){% endmacro %}
{% macro spark__months_after(month, months) %}add_months({{ month }}, {{ months }}){% endmacro %}
