{#- Expressions that each warehouse writes its own way. Models call these names, never the functions. -#}

{#- `expr` with every match of `pattern` replaced; groups are `\1`. -#}
{% macro regex_replace(expr, pattern, replacement='') -%}
    {{ return(adapter.dispatch('regex_replace', 'rcu')(expr, pattern, replacement)) }}
{%- endmacro %}
{% macro default__regex_replace(expr, pattern, replacement) -%}
    regexp_replace({{ expr }}, '{{ pattern }}', '{{ replacement }}', 'g')
{%- endmacro %}
{% macro spark__regex_replace(expr, pattern, replacement) -%}
    regexp_replace({{ expr }}, r'{{ pattern }}', '{{ replacement | replace("\\", "$") }}')
{%- endmacro %}

{#- True where `pattern` is found anywhere in `expr`. -#}
{% macro regex_matches(expr, pattern) -%}
    {{ return(adapter.dispatch('regex_matches', 'rcu')(expr, pattern)) }}
{%- endmacro %}
{% macro default__regex_matches(expr, pattern) -%}
    regexp_matches({{ expr }}, '{{ pattern }}')
{%- endmacro %}
{% macro spark__regex_matches(expr, pattern) -%}
    ({{ expr }} rlike r'{{ pattern }}')
{%- endmacro %}

{#- The text of group `group` of the first match of `pattern`, null where there is none. -#}
{% macro regex_extract(expr, pattern, group=1) -%}
    {{ return(adapter.dispatch('regex_extract', 'rcu')(expr, pattern, group)) }}
{%- endmacro %}
{% macro default__regex_extract(expr, pattern, group) -%}
    nullif(regexp_extract({{ expr }}, '{{ pattern }}', {{ group }}), '')
{%- endmacro %}
{% macro spark__regex_extract(expr, pattern, group) -%}
    nullif(regexp_extract({{ expr }}, r'{{ pattern }}', {{ group }}), '')
{%- endmacro %}

{#- `expr` without accents. -#}
{% macro without_accents(expr) -%}
    {{ return(adapter.dispatch('without_accents', 'rcu')(expr)) }}
{%- endmacro %}
{% macro default__without_accents(expr) -%}
    strip_accents({{ expr }})
{%- endmacro %}
{% macro spark__without_accents(expr) -%}
    regexp_replace(translate(
        {{ expr }},
        'àáâãäåçèéêëìíîïñòóôõöùúûüýÿÀÁÂÃÄÅÇÈÉÊËÌÍÎÏÑÒÓÔÕÖÙÚÛÜÝ',
        'aaaaaaceeeeiiiinooooouuuuyyAAAAAACEEEEIIIINOOOOOUUUUY'
    ), r'\p{M}', '')
{%- endmacro %}

{#- A date from numbers, null where there is no such day. -#}
{% macro date_from_parts(year, month, day) -%}
    {{ return(adapter.dispatch('date_from_parts', 'rcu')(year, month, day)) }}
{%- endmacro %}
{% macro default__date_from_parts(year, month, day) -%}
    try_cast(format('{:04d}-{:02d}-{:02d}', {{ year }}, {{ month }}, {{ day }}) as date)
{%- endmacro %}
{% macro spark__date_from_parts(year, month, day) -%}
    try_cast(format_string('%04d-%02d-%02d', {{ year }}, {{ month }}, {{ day }}) as date)
{%- endmacro %}

{#- Whole days from `from_date` to `to_date`. -#}
{% macro days_between(from_date, to_date) -%}
    {{ return(adapter.dispatch('days_between', 'rcu')(from_date, to_date)) }}
{%- endmacro %}
{% macro default__days_between(from_date, to_date) -%}
    date_diff('day', {{ from_date }}, {{ to_date }})
{%- endmacro %}
{% macro spark__days_between(from_date, to_date) -%}
    datediff({{ to_date }}, {{ from_date }})
{%- endmacro %}

{#- The distinct texts of a group as one JSON array, sorted. -#}
{% macro json_text_array(expr) -%}
    {{ return(adapter.dispatch('json_text_array', 'rcu')(expr)) }}
{%- endmacro %}
{% macro default__json_text_array(expr) -%}
    cast(to_json(list(distinct {{ expr }} order by {{ expr }})) as varchar)
{%- endmacro %}
{% macro spark__json_text_array(expr) -%}
    to_json(array_sort(collect_set({{ expr }})))
{%- endmacro %}

{#- A UTC timestamp as a date in the company's time zone; `zone` is an expression. -#}
{% macro local_date(timestamp, zone) -%}
    {{ return(adapter.dispatch('local_date', 'rcu')(timestamp, zone)) }}
{%- endmacro %}
{% macro default__local_date(timestamp, zone) -%}
    cast(timezone({{ zone }}, timezone('UTC', {{ timestamp }})) as date)
{%- endmacro %}
{% macro spark__local_date(timestamp, zone) -%}
    cast(from_utc_timestamp({{ timestamp }}, {{ zone }}) as date)
{%- endmacro %}

{#- One JSON object from pairs of a group: the keys in order, values as texts. -#}
{% macro json_object_of(key, value) -%}
    {{ return(adapter.dispatch('json_object_of', 'rcu')(key, value)) }}
{%- endmacro %}
{% macro default__json_object_of(key, value) -%}
    cast(to_json(map_from_entries(list({'k': {{ key }}, 'v': {{ value }}} order by {{ key }}))) as varchar)
{%- endmacro %}
{% macro spark__json_object_of(key, value) -%}
    to_json(map_from_entries(array_sort(collect_list(struct({{ key }}, {{ value }})))))
{%- endmacro %}

{#- The items of a JSON array of texts, as a list to unnest. -#}
{% macro json_items(expr) -%}
    {{ return(adapter.dispatch('json_items', 'rcu')(expr)) }}
{%- endmacro %}
{% macro default__json_items(expr) -%}
    from_json({{ expr }}, '["varchar"]')
{%- endmacro %}
{% macro spark__json_items(expr) -%}
    from_json({{ expr }}, 'array<string>')
{%- endmacro %}

{#- One `item` row per element of a list, beside `columns` of `relation`. -#}
{% macro rows_of(relation, columns, items) -%}
    {{ return(adapter.dispatch('rows_of', 'rcu')(relation, columns, items)) }}
{%- endmacro %}
{% macro default__rows_of(relation, columns, items) -%}
    select {{ columns }}, unnest({{ items }}) as item from {{ relation }}
{%- endmacro %}
{% macro spark__rows_of(relation, columns, items) -%}
    select {{ columns }}, explode({{ items }}) as item from {{ relation }}
{%- endmacro %}

{#- The keys of a JSON object, as a list to unnest; `json_value` reads one. -#}
{% macro json_names(expr) -%}
    {{ return(adapter.dispatch('json_names', 'rcu')(expr)) }}
{%- endmacro %}
{% macro default__json_names(expr) -%}
    json_keys({{ expr }})
{%- endmacro %}
{% macro spark__json_names(expr) -%}
    json_object_keys({{ expr }})
{%- endmacro %}
{% macro json_value(expr, key) -%}
    {{ return(adapter.dispatch('json_value', 'rcu')(expr, key)) }}
{%- endmacro %}
{% macro default__json_value(expr, key) -%}
    json_extract_string({{ expr }}, '$."' || replace({{ key }}, '"', '\"') || '"')
{%- endmacro %}
{% macro spark__json_value(expr, key) -%}
    from_json({{ expr }}, 'map<string,string>')[{{ key }}]
{%- endmacro %}

{#- Rows of a group as one JSON array of objects with `columns`, in the order of `order_by`. -#}
{% macro json_list_of(columns, order_by) -%}
    {{ return(adapter.dispatch('json_list_of', 'rcu')(columns, order_by)) }}
{%- endmacro %}
{% macro default__json_list_of(columns, order_by) -%}
    cast(to_json(list({ {%- for column in columns %}'{{ column }}': {{ column }}{{ ', ' if not loop.last }}{% endfor -%} } order by {{ order_by }})) as varchar)
{%- endmacro %}
{% macro spark__json_list_of(columns, order_by) -%}
    to_json(transform(array_sort(collect_list(struct({{ order_by }}, {{ columns | join(', ') }}))),
        item -> struct({% for column in columns %}item.{{ column }}{{ ', ' if not loop.last }}{% endfor %})))
{%- endmacro %}
