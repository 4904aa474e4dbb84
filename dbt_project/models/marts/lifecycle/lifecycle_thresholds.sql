-- One row per month and rhythm group: the silences and order counts that part the stages that month.
--
-- Quantiles are of the intervals between purchases closed before the month began, so that no day's
-- stage depends on what happened later. A group with too few intervals takes the whole shop's; a shop
-- with too few, or too short a history to hold long intervals, takes the starting days; days given in value.yml win over all,
-- those given for the group first.
{{ config(tags=['serve']) }}
with

settings as (

    select * from {{ source('control', 'lifecycle_settings') }}

),

bounds as (

    select
        min(days.ordered_on) as first_on,
        {{ month_of('min(days.ordered_on)') }} as first_month,
        {{ month_of('min(as_of.as_of_on)') }} as last_month
    from {{ source('control', 'as_of') }} as as_of
    left join {{ ref('int_purchase_days') }} as days on days.ordered_on <= as_of.as_of_on

),

months as (

    select {{ month_series('coalesce(first_month, last_month)', 'last_month') }} as month_on from bounds

),

closed as (

    select
        rhythm_group,
        {{ month_of('ordered_on') }} as closed_month,
        cast({{ days_between('previous_on', 'ordered_on') }} as integer) as interval_days
    from {{ ref('int_purchase_days') }}
    where previous_on is not null

),

histogram as (

    select rhythm_group, closed_month, interval_days, count(*) as interval_count from closed group by 1, 2, 3
    union all
    select '*' as rhythm_group, closed_month, interval_days, count(*) as interval_count from closed group by 2, 3

),

known as (

    select
        months.month_on,
        histogram.rhythm_group,
        histogram.interval_days,
        sum(histogram.interval_count) as interval_count
    from months
    inner join histogram on histogram.closed_month < months.month_on
    group by 1, 2, 3

),

cumulated as (

    select
        month_on,
        rhythm_group,
        interval_days,
        sum(interval_count) over (
            partition by month_on, rhythm_group order by interval_days
            rows between unbounded preceding and current row
        ) as below_count,
        sum(interval_count) over (partition by month_on, rhythm_group) as total_count
    from known

),

quantiles as (

    select
        cumulated.month_on,
        cumulated.rhythm_group,
        max(cumulated.total_count) as interval_count,
        min(case when below_count >= 0.5 * total_count then interval_days end) as median_days,
        min(case when below_count >= settings.late_quantile * total_count then interval_days end) as late_days,
        min(case when below_count >= settings.at_risk_quantile * total_count then interval_days end) as at_risk_days,
        min(case when below_count >= settings.lost_quantile * total_count then interval_days end) as lost_days
    from cumulated
    cross join settings
    group by cumulated.month_on, cumulated.rhythm_group

),

groups as (

    select rhythm_group from {{ ref('int_purchase_days') }} group by rhythm_group

),

chosen as (

    select
        months.month_on,
        groups.rhythm_group,
        coalesce(own.interval_count, 0) as interval_count,
        case
            when {{ days_between('bounds.first_on', 'months.month_on') }} < settings.minimum_history_days
                then 'starting_days'
            when own.interval_count >= settings.minimum_intervals then 'group'
            when shop.interval_count >= settings.minimum_intervals then 'shop'
            else 'starting_days'
        end as origin,
        own.median_days as own_median, own.late_days as own_late,
        own.at_risk_days as own_at_risk, own.lost_days as own_lost,
        shop.median_days as shop_median, shop.late_days as shop_late,
        shop.at_risk_days as shop_at_risk, shop.lost_days as shop_lost,
        overrides.late_days as given_late, overrides.at_risk_days as given_at_risk, overrides.lost_days as given_lost,
        settings.*
    from months
    cross join bounds
    cross join groups
    cross join settings
    left join quantiles as own on months.month_on = own.month_on and groups.rhythm_group = own.rhythm_group
    left join quantiles as shop on months.month_on = shop.month_on and shop.rhythm_group = '*'
    left join {{ source('control', 'lifecycle_overrides') }} as overrides on groups.rhythm_group = overrides.rhythm_group

),

days as (

    select
        month_on,
        rhythm_group,
        interval_count,
        origin,
        minimum_stay_days,
        keep_share,
        loyal_orders,
        ambassador_orders,
        case origin when 'group' then own_median when 'shop' then shop_median else starting_late_days / 2 end
            as median_days,
        {%- for stage in ['late', 'at_risk', 'lost'] %}
        coalesce(
            given_{{ stage }},
            {{ stage }}_days,
            case origin
                when 'group' then own_{{ stage }} when 'shop' then shop_{{ stage }} else starting_{{ stage }}_days
            end
        ) as {{ stage }}_days{{ ',' if not loop.last }}
        {%- endfor %}
    from chosen

),

ordered as (

    select
        month_on,
        rhythm_group,
        interval_count,
        origin,
        minimum_stay_days,
        keep_share,
        loyal_orders,
        ambassador_orders,
        greatest(median_days, 1) as median_days,
        greatest(late_days, 1) as late_days,
        greatest(at_risk_days, late_days, minimum_stay_days) as at_risk_days,
        lost_days
    from days

),

tiers as (

    select
        ordered.*,
        coalesce(loyal_orders, greatest(3, ceil(365.0 / late_days))) as loyal_from,
        coalesce(ambassador_orders, greatest(4, ceil(365.0 / median_days))) as ambassador_from
    from ordered

)

select
    month_on,
    rhythm_group,
    origin,
    cast(interval_count as integer) as interval_count,
    cast(median_days as integer) as median_days,
    cast(late_days as integer) as late_days,
    cast(at_risk_days as integer) as at_risk_days,
    cast(greatest(lost_days, at_risk_days + minimum_stay_days) as integer) as lost_days,
    cast(loyal_from as integer) as loyal_orders,
    cast(greatest(ambassador_from, loyal_from + 1) as integer) as ambassador_orders,
    cast(ceil(loyal_from * keep_share) as integer) as loyal_kept_orders,
    cast(ceil(greatest(ambassador_from, loyal_from + 1) * keep_share) as integer) as ambassador_kept_orders
from tiers
