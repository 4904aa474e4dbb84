-- One row per pair of dates, stage at the first and stage at the second: the transition matrix.
--
-- The pairs are the last 12 months, each from its first day to the next one's, and 7, 30, 90 and 365 days
-- up to the as-of date. Any other pair is one query on lifecycle_history.
{{ config(tags=['serve']) }}
with

month_starts as (

    select
        {{ month_series(
            months_after(month_of('as_of.as_of_on'), '-12'), month_of('as_of.as_of_on')
        ) }} as from_on
    from {{ source('control', 'as_of') }} as as_of

),

pairs as (

    select
        'month' as period,
        from_on,
        {{ months_after('from_on', '1') }} as to_on
    from month_starts
    union all
    {% for days in [7, 30, 90, 365] %}
    select
        'last_{{ days }}_days' as period,
        {{ days_after('as_of_on', -days) }} as from_on,
        as_of_on as to_on
    from {{ source('control', 'as_of') }}
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

past_pairs as (

    select
        pairs.period,
        pairs.from_on,
        pairs.to_on
    from pairs
    cross join {{ source('control', 'as_of') }} as as_of
    where pairs.to_on <= as_of.as_of_on

),

dates as (

    select from_on as seen_on from past_pairs
    union
    select to_on as seen_on from past_pairs

),

stages_on as (

    select
        dates.seen_on,
        history.customer_id,
        history.stage
    from {{ ref('lifecycle_history') }} as history
    inner join dates
        on history.since_on <= dates.seen_on and (history.until_on is null or history.until_on > dates.seen_on)

)

select
    past_pairs.period,
    past_pairs.from_on,
    past_pairs.to_on,
    coalesce(before.stage, 'unknown') as from_stage,
    after.stage as to_stage,
    cast(count(*) as integer) as customer_count
from past_pairs
inner join stages_on as after on past_pairs.to_on = after.seen_on
left join stages_on as before
    on past_pairs.from_on = before.seen_on and after.customer_id = before.customer_id
group by 1, 2, 3, 4, 5
