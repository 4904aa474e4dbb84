-- One row per kind of contact point, source that declared it last ('' is all together) and horizon: how many
-- are good today, and will be if nothing more is heard of them.
{{ config(tags=['serve'], meta={'dagster': {'group': 'marts'}}) }}
with

horizons as (

    select months, days
    from (values (0, 0), (3, 91), (6, 183), (12, 365)) as horizons (months, days)

),

last_days as (

    select max(age_days) as last_day from {{ source('freshness', 'decay') }}

),

-- A value that was never right does not go stale; it is counted apart.
points as (

    select
        points.customer_id,
        case when points.kind = 'unknown' then 'landline' else points.kind end as kind,
        points.source,
        points.age_days,
        points.freshness,
        points.is_valid or points.reason in ('hard_bounce', 'returned_mail', 'wrong_number') as was_right,
        points.is_valid
    from {{ ref('contact_points') }} as points

),

-- What is good today stays so with the share that the curve still has at the horizon.
expected as (

    select
        points.kind,
        points.source,
        horizons.months,
        points.was_right,
        points.is_valid,
        case
            when not points.is_valid then 0.0
            else points.freshness * coalesce(
                own_later.still_good_rate / nullif(own_today.still_good_rate, 0),
                every_later.still_good_rate / nullif(every_today.still_good_rate, 0),
                1
            )
        end as still_good
    from points
    cross join horizons
    cross join last_days
    left join {{ source('freshness', 'decay') }} as own_today
        on points.kind = own_today.kind and points.source = own_today.source
        and least(points.age_days, last_days.last_day) = own_today.age_days
    left join {{ source('freshness', 'decay') }} as own_later
        on points.kind = own_later.kind and points.source = own_later.source
        and least(points.age_days + horizons.days, last_days.last_day) = own_later.age_days
    left join {{ source('freshness', 'decay') }} as every_today
        on points.kind = every_today.kind and every_today.source = ''
        and least(points.age_days, last_days.last_day) = every_today.age_days
    left join {{ source('freshness', 'decay') }} as every_later
        on points.kind = every_later.kind and every_later.source = ''
        and least(points.age_days + horizons.days, last_days.last_day) = every_later.age_days

),

spread as (

    select kind, source, months, was_right, is_valid, still_good from expected
    union all
    select kind, '' as source, months, was_right, is_valid, still_good from expected

)

select
    spread.kind,
    spread.source,
    cast(spread.months as integer) as horizon_months,
    cast(count(*) filter (where spread.was_right) as integer) as point_count,
    cast(count(*) filter (where spread.was_right and not spread.is_valid) as integer) as refused_count,
    cast(count(*) filter (where not spread.was_right) as integer) as never_right_count,
    cast(round(coalesce(sum(spread.still_good) filter (where spread.was_right), 0), 4) as double) as expected_good,
    cast(
        round(1 - sum(spread.still_good) filter (where spread.was_right)
            / nullif(count(*) filter (where spread.was_right), 0), 6) as double
    ) as obsolete_rate,
    as_of.as_of_on
from spread
cross join {{ source('control', 'as_of') }} as as_of
group by spread.kind, spread.source, spread.months, as_of.as_of_on
