-- One row per distinct set of references that an order or event carries.
{{ config(tags=['unify'], meta={'dagster': {'group': 'facts'}, 'touched': {
    'key': reference_key(),
    'by': {'int_order_headers': reference_key(), 'stg_events': reference_key()},
}}) }}
{%- set facts = ['int_order_headers', 'stg_events'] %}
with

{% for name in facts -%}
of_{{ name }} as (

    select distinct
        {{ reference_columns() | join(',\n        ') }}
    from {{ ref(name) }}
    where {{ only_touched(reference_key()) }}

){{ ',' if not loop.last }}

{% endfor %}
{%- for name in facts %}
select * from of_{{ name }}
{{ 'union' if not loop.last }}
{%- endfor %}
