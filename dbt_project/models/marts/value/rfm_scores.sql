-- One row per RFM method and scored unit: a customer, or a household for household methods.
--
-- Recency is in days from the last counted order to the as-of date; frequency a number of orders;
-- monetary the amount net of returns, or before them, as the method asks. A score is 1 plus the number
-- of edges below the value (recency: 5 less it); see macros/marts_rfm.sql.
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
        {{ rfm_is_counted('orders', 'methods') }} as is_counted,
        {{ rfm_amount('orders', 'methods') }} as amount
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
        as_of.as_of_on,
        measured.unit_id,
        cast({{ days_between('measured.last_counted_on', 'as_of.as_of_on') }} as integer) as recency_days,
        cast(measured.frequency as integer) as frequency,
        {{ money('measured.monetary') }} as monetary
    from measured
    inner join methods on measured.method = methods.method
    cross join {{ source('control', 'as_of') }} as as_of
    where measured.frequency > 0 and (methods.monetary_above is null or measured.monetary > methods.monetary_above)

),

{{ rfm_scoring('methods', 'as_of_on') }}

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
