-- One row per RFM method and scored unit: a customer, or a household for household methods.
--
-- Recency is in days from the last counted order to the as-of date; frequency a number of orders;
-- monetary the amount net of returns, or before them, as the method asks. A score is 1 plus the number
-- of edges below the value (recency: 5 less it). The edges of quintiles are interpolated quantiles, as
-- in pandas.qcut; where the method ranks frequencies by first record, the edges are of that rank.
{{ config(tags=['serve']) }}
with

methods as (

    select * from {{ source('control', 'rfm_settings') }}

),

household_members as (

    select
        customer_id,
        household_id
    from {{ ref('customers') }}
    where household_id is not null

),

orders as (

    select
        methods.method,
        case
            when methods.unit = 'household' and members.household_id is not null then members.household_id
            else orders.customer_id
        end as unit_id,
        orders.ordered_on,
        case
            when methods.counts = 'products' then orders.is_purchase
            else orders.sold_line_count > 0
        end as is_counted,
        case
            when methods.counts = 'products' and methods.returns = 'net' then orders.amount_net
            when methods.counts = 'products' then orders.amount_gross
            when methods.returns = 'net' then orders.amount_charged - orders.amount_credited
            else orders.amount_charged
        end as amount
    from {{ ref('orders') }} as orders
    left join household_members as members on orders.customer_id = members.customer_id
    cross join methods
    cross join {{ source('control', 'as_of') }} as as_of
    where
        orders.customer_id <> 'unknown'
        and orders.ordered_on <= as_of.as_of_on
        and (
            methods.window_days is null
            or orders.ordered_on > {{ days_after('as_of.as_of_on', '- methods.window_days') }}
        )

),

measured as (

    select
        method,
        unit_id,
        max(case when is_counted then ordered_on end) as last_counted_on,
        sum(case when is_counted then 1 else 0 end) as frequency,
        sum(amount) as monetary
    from orders
    group by method, unit_id

),

scored as (

    select
        measured.method,
        measured.unit_id,
        cast({{ days_between('measured.last_counted_on', 'as_of.as_of_on') }} as integer) as recency_days,
        cast(measured.frequency as integer) as frequency,
        {{ money('measured.monetary') }} as monetary
    from measured
    inner join methods on measured.method = methods.method
    cross join {{ source('control', 'as_of') }} as as_of
    where measured.frequency > 0 and (methods.monetary_above is null or measured.monetary > methods.monetary_above)

),

first_records as (

    select
        records.customer_id,
        min(records.source || '|' || records.record_id) as first_record
    from {{ ref('customer_records') }} as records
    where exists (select 1 from methods where frequency_ties = 'first_record')
    group by records.customer_id

),

frequencies as (

    select
        method,
        frequency,
        sum(count(*)) over (partition by method order by frequency) - count(*) as below_count
    from scored
    group by method, frequency

),

ranked as (

    select
        scored.method,
        scored.unit_id,
        frequencies.below_count + row_number() over (
            partition by scored.method, scored.frequency order by first_records.first_record, scored.unit_id
        ) as frequency_rank
    from scored
    inner join methods on scored.method = methods.method and methods.frequency_ties = 'first_record'
    inner join frequencies on scored.method = frequencies.method and scored.frequency = frequencies.frequency
    left join first_records on scored.unit_id = first_records.customer_id

),

valued as (

    select
        scored.method,
        scored.unit_id,
        scored.recency_days,
        scored.frequency,
        scored.monetary,
        cast(coalesce(ranked.frequency_rank, scored.frequency) as double) as frequency_value
    from scored
    left join ranked on scored.method = ranked.method and scored.unit_id = ranked.unit_id

),

edges as (

    select
        valued.method
        {%- for measure, column in [('recency', 'recency_days'), ('frequency', 'frequency_value'), ('monetary', 'monetary')] %}
        {%- for edge in [1, 2, 3, 4] %},
        coalesce(
            cast(max(given_{{ measure }}.edge_{{ edge }}) as double),
            {{ quantile('valued.' ~ column, edge / 5) }}
        ) as {{ measure }}_edge_{{ edge }}
        {%- endfor %}
        {%- endfor %}
    from valued
    {%- for measure in ['recency', 'frequency', 'monetary'] %}
    left join {{ source('control', 'rfm_thresholds') }} as given_{{ measure }}
        on valued.method = given_{{ measure }}.method and given_{{ measure }}.measure = '{{ measure }}'
    {%- endfor %}
    group by valued.method

),

scores as (

    select
        valued.method,
        valued.unit_id,
        valued.recency_days,
        valued.frequency,
        valued.monetary,
        {%- for measure, column in [('recency', 'recency_days'), ('frequency', 'frequency_value'), ('monetary', 'monetary')] %}
        {{ '5 -' if measure == 'recency' else '1 +' }} (
            {%- for edge in [1, 2, 3, 4] %}
            case when cast(valued.{{ column }} as double) > edges.{{ measure }}_edge_{{ edge }} then 1 else 0 end
            {{- ' +' if not loop.last }}
            {%- endfor %}
        ) as {{ measure }}_score{{ ',' if not loop.last }}
        {%- endfor %}
    from valued
    inner join edges on valued.method = edges.method

)

select
    scores.method,
    methods.unit,
    scores.unit_id,
    scores.recency_days,
    scores.frequency,
    scores.monetary,
    cast(scores.recency_score as integer) as recency_score,
    cast(scores.frequency_score as integer) as frequency_score,
    cast(scores.monetary_score as integer) as monetary_score,
    grid.segment
from scores
inner join methods on scores.method = methods.method
inner join {{ source('control', 'rfm_grid') }} as grid
    on
        methods.grid = grid.grid
        and scores.recency_score = grid.recency_score
        and scores.frequency_score = grid.frequency_score
