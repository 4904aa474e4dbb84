-- One row per pair of dates, stage at the first and stage at the second: the transition matrix.
--
-- The pairs are the last 12 whole months, each from its first day to the next one's, and 7, 30, 90 and
-- 365 days up to the as-of date. Any other pair is one query on lifecycle_history.
{{ config(tags=['serve']) }}
{%- set months = range(0, 13) %}
{%- set windows = [7, 30, 90, 365] %}
with

dates as (

    select
        as_of_on,
        {%- for month in months %}
        {{ months_after(month_of('as_of_on'), -month) }} as month_{{ month }},
        {%- endfor %}
        {%- for days in windows %}
        {{ days_after('as_of_on', -days) }} as days_{{ days }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ source('control', 'as_of') }}

),

-- The stage of each customer on each of the dates, in one pass over the history.
placed as (

    select
        history.customer_id,
        max(case when history.is_current then history.stage end) as stage_as_of,
        {%- for month in months %}
        max(case when history.since_on <= dates.month_{{ month }}
            and coalesce(history.until_on > dates.month_{{ month }}, true) then history.stage end) as stage_month_{{ month }},
        {%- endfor %}
        {%- for days in windows %}
        max(case when history.since_on <= dates.days_{{ days }}
            and coalesce(history.until_on > dates.days_{{ days }}, true) then history.stage end) as stage_days_{{ days }}
        {{- ',' if not loop.last }}
        {%- endfor %}
    from {{ ref('lifecycle_history') }} as history
    cross join dates
    group by history.customer_id

),

counted as (
    {% for month in months if month > 0 %}
    select
        'month' as period,
        dates.month_{{ month }} as from_on,
        dates.month_{{ month - 1 }} as to_on,
        coalesce(placed.stage_month_{{ month }}, 'unknown') as from_stage,
        placed.stage_month_{{ month - 1 }} as to_stage,
        count(*) as customer_count
    from placed
    cross join dates
    where placed.stage_month_{{ month - 1 }} is not null
    group by 1, 2, 3, 4, 5
    union all
    {% endfor %}
    {%- for days in windows %}
    select
        'last_{{ days }}_days' as period,
        dates.days_{{ days }} as from_on,
        dates.as_of_on as to_on,
        coalesce(placed.stage_days_{{ days }}, 'unknown') as from_stage,
        placed.stage_as_of as to_stage,
        count(*) as customer_count
    from placed
    cross join dates
    group by 1, 2, 3, 4, 5
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select
    period,
    from_on,
    to_on,
    from_stage,
    to_stage,
    cast(customer_count as integer) as customer_count
from counted
