{#-
    What the RFM models share: what a method counts of an order, and how a value becomes a score.
-#}

{#- True for an order that the method of `methods` counts. -#}
{% macro rfm_is_counted(orders, methods) -%}
case
            when {{ methods }}.counts = 'products' then {{ orders }}.is_purchase
            else {{ orders }}.sold_line_count > 0
        end
{%- endmacro %}

{#- What the order adds to the monetary value under that method. -#}
{% macro rfm_amount(orders, methods) -%}
case
            when {{ methods }}.counts = 'products' and {{ methods }}.returns = 'net' then {{ orders }}.amount_net
            when {{ methods }}.counts = 'products' then {{ orders }}.amount_gross
            when {{ methods }}.returns = 'net' then {{ orders }}.amount_charged - {{ orders }}.amount_credited
            else {{ orders }}.amount_charged
        end
{%- endmacro %}

{#-
    The score of a value, 1 to 5 (recency: small is good): 1 plus the number of edges below the value.

    Given edges (`given`: a row of control.rfm_thresholds, or nulls) are compared with the value. Quintile
    edges are interpolated quantiles, as in pandas.qcut. Where values are counted they need not be worked out: of
    `others` + 1 values of which `below` are smaller, an edge q is below the value when its place `others` * q is
    before `below`. Amounts, of which hardly two are equal, are compared with the edges in `quintiles`.
-#}
{% macro rfm_score(measure, value, below, others, given) -%}
{{ '5 -' if measure == 'recency' else '1 +' }} case
            when {{ given }}.method is not null
                then
                    {%- for edge in [1, 2, 3, 4] %}
                    case when {{ value }} > {{ given }}.edge_{{ edge }} then 1 else 0 end{{ ' +' if not loop.last }}
                    {%- endfor %}
            else
                {%- for edge in [1, 2, 3, 4] %}
                {%- if measure == 'monetary' %}
                case when cast({{ value }} as double) > quintiles.edge_{{ edge }} then 1 else 0 end{{ ' +' if not loop.last }}
                {%- else %}
                case when {{ edge }} * {{ others }} < 5 * {{ below }} then 1 else 0 end{{ ' +' if not loop.last }}
                {%- endif %}
                {%- endfor %}
        end
{%- endmacro %}

{#-
    CTEs from `scored` (method, <moment>, unit_id, recency_days, frequency, monetary) to `scores`, which adds
    the three scores. Recency and frequency take few values, so that they are counted value by value. Equal frequencies score the same, or are ranked by the key of the
    customer's first record where the method says so.
-#}
{% macro rfm_scoring(methods, moment) %}
{%- set per = 'method, ' ~ moment -%}
first_records as (

    select
        customer_id,
        min(source || '|' || record_id) as first_record
    from {{ ref('customer_records') }}
    where exists (select 1 from {{ methods }} where frequency_ties = 'first_record')
    group by customer_id

),

tie_places as (

    select
        scored.method,
        scored.{{ moment }},
        scored.unit_id,
        row_number() over (
            partition by scored.method, scored.{{ moment }}, scored.frequency
            order by first_records.first_record, scored.unit_id
        ) - 1 as place
    from scored
    inner join {{ methods }} as methods on scored.method = methods.method and methods.frequency_ties = 'first_record'
    left join first_records on scored.unit_id = first_records.customer_id

),

{% for measure in ['recency_days', 'frequency'] %}
{{ measure }}_counts as (

    select
        {{ per }},
        {{ measure }},
        sum(count(*)) over (partition by {{ per }}) - 1 as others,
        sum(count(*)) over (partition by {{ per }} order by {{ measure }}) - count(*) as below
    from scored
    group by {{ per }}, {{ measure }}

),

{% endfor %}
monetary_quintiles as (

    select
        {{ per }},
        {%- for edge in [1, 2, 3, 4] %}
        {{ quantile('monetary', edge / 5) }} as edge_{{ edge }}{{ ',' if not loop.last }}
        {%- endfor %}
    from scored
    group by {{ per }}

),

placed as (

    select
        scored.*,
        recency_days_counts.others,
        recency_days_counts.below as recency_below,
        frequency_counts.below + coalesce(tie_places.place, 0) as frequency_below
    from scored
    inner join recency_days_counts
        on
            scored.method = recency_days_counts.method
            and scored.{{ moment }} = recency_days_counts.{{ moment }}
            and scored.recency_days = recency_days_counts.recency_days
    inner join frequency_counts
        on
            scored.method = frequency_counts.method
            and scored.{{ moment }} = frequency_counts.{{ moment }}
            and scored.frequency = frequency_counts.frequency
    left join tie_places
        on
            scored.method = tie_places.method
            and scored.{{ moment }} = tie_places.{{ moment }}
            and scored.unit_id = tie_places.unit_id

),

scores as (

    select
        placed.method,
        placed.{{ moment }},
        placed.unit_id,
        placed.recency_days,
        placed.frequency,
        placed.monetary,
        {%- for measure, value in [('recency', 'recency_days'), ('frequency', 'frequency'), ('monetary', 'monetary')] %}
        {{ rfm_score(measure, 'placed.' ~ value, 'placed.' ~ measure ~ '_below', 'placed.others', 'given_' ~ measure) }}
            as {{ measure }}_score{{ ',' if not loop.last }}
        {%- endfor %}
    from placed
    inner join monetary_quintiles as quintiles
        on placed.method = quintiles.method and placed.{{ moment }} = quintiles.{{ moment }}
    {%- for measure in ['recency', 'frequency', 'monetary'] %}
    left join {{ source('control', 'rfm_thresholds') }} as given_{{ measure }}
        on placed.method = given_{{ measure }}.method and given_{{ measure }}.measure = '{{ measure }}'
    {%- endfor %}

)
{%- endmacro %}
