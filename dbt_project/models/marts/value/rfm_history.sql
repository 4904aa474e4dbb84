-- One row per customer and spell with one segment of the default RFM method, at the last twelve months'
-- ends and the as-of date: from `since_on` to before `until_on` (null: still).
--
-- Each of those days is scored anew from the orders up to it, so that a backfill gives what daily runs
-- would have given, and a merge of two customers gives one history. The first spell may have begun before
-- the first of those days; a day on which the customer has no score ends a spell.
{{ config(tags=['serve']) }}
{%- set months = range(1, 13) %}
with

methods as (

    select * from {{ source('control', 'rfm_settings') }} where is_default

),

-- moment 0 is the as-of date, moment n the last day of the n-th month before
dates as (

    select
        {%- for month in months %}
        {{ days_after(months_after(month_of('as_of_on'), 1 - month), -1) }} as day_{{ month }},
        {%- endfor %}
        as_of_on as day_0
    from {{ source('control', 'as_of') }}

),

orders as (

    select
        methods.method,
        orders.customer_id,
        orders.ordered_on,
        {{ rfm_is_counted('orders', 'methods') }} as is_counted,
        {{ rfm_amount('orders', 'methods') }} as amount,
        case
            when methods.window_days is null then date '9999-12-31'
            else {{ days_after('orders.ordered_on', 'methods.window_days') }}
        end as forgotten_on
    from {{ ref('orders') }} as orders
    cross join methods
    where orders.customer_id <> 'unknown'

),

-- All days in one pass over the orders.
totals as (

    select
        orders.method,
        orders.customer_id
        {%- for n in range(0, 13) %}
        {%- set is_known = 'orders.ordered_on <= dates.day_' ~ n ~ ' and orders.forgotten_on > dates.day_' ~ n %},
        max(case when orders.is_counted and {{ is_known }} then orders.ordered_on end) as last_{{ n }},
        sum(case when orders.is_counted and {{ is_known }} then 1 else 0 end) as frequency_{{ n }},
        sum(case when {{ is_known }} then orders.amount else 0 end) as monetary_{{ n }}
        {%- endfor %}
    from orders
    cross join dates
    group by orders.method, orders.customer_id

),

scored as (
    {% for n in range(0, 13) %}
    select
        totals.method,
        {{ n }} as moment,
        totals.customer_id as unit_id,
        cast({{ days_between('totals.last_' ~ n, 'dates.day_' ~ n) }} as integer) as recency_days,
        cast(totals.frequency_{{ n }} as integer) as frequency,
        {{ money('totals.monetary_' ~ n) }} as monetary
    from totals
    cross join dates
    cross join methods
    where
        totals.frequency_{{ n }} > 0
        and (methods.monetary_above is null or totals.monetary_{{ n }} > methods.monetary_above)
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

{{ rfm_scoring('methods', 'moment') }},

segmented as (

    select
        scores.unit_id as customer_id,
        scores.moment,
        scores.recency_score,
        scores.frequency_score,
        scores.monetary_score,
        grid.segment
    from scores
    inner join methods on scores.method = methods.method
    inner join {{ source('control', 'rfm_grid') }} as grid
        on
            methods.grid = grid.grid
            and scores.recency_score = grid.recency_score
            and scores.frequency_score = grid.frequency_score

),

{%- set in_time = 'over (partition by customer_id order by moment desc)' %}

-- A spell ends where the segment changes, or before a day without a score.
bounds as (

    select
        *,
        coalesce(lag(segment) {{ in_time }} = segment and lag(moment) {{ in_time }} = moment + 1, false) as goes_on,
        coalesce(lead(segment) {{ in_time }} = segment and lead(moment) {{ in_time }} = moment - 1, false) as will_go_on
    from segmented

),

-- Only firsts and lasts are left, so that what follows a first is its last.
ends as (

    select
        *,
        case when will_go_on then lead(moment) {{ in_time }} else moment end as last_moment
    from bounds
    where not (goes_on and will_go_on)

),

spells as (

    select
        customer_id,
        moment as first_moment,
        last_moment,
        segment,
        recency_score,
        frequency_score,
        monetary_score
    from ends
    where not goes_on

)

select
    spells.customer_id,
    case spells.first_moment
        {%- for n in range(0, 13) %}
        when {{ n }} then dates.day_{{ n }}
        {%- endfor %}
    end as since_on,
    case spells.last_moment - 1
        {%- for n in range(0, 12) %}
        when {{ n }} then dates.day_{{ n }}
        {%- endfor %}
    end as until_on,
    spells.last_moment = 0 as is_current,
    spells.segment as rfm_segment,
    cast(spells.recency_score as integer) as rfm_recency_score,
    cast(spells.frequency_score as integer) as rfm_frequency_score,
    cast(spells.monetary_score as integer) as rfm_monetary_score
from spells
cross join dates
