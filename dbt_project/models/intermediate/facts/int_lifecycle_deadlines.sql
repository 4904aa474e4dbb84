-- One row per rhythm group and purchase day: when a customer who buys then and no more becomes at risk,
-- and is lost, under the thresholds of the months that follow.
--
-- A threshold that falls makes customers at risk on the first day of the month; one that rises brings
-- nobody back: only a purchase does.
{{ config(tags=['serve'], meta={'dagster': {'group': 'facts'}}) }}
with

purchase_days as (

    select distinct
        rhythm_group,
        ordered_on
    from {{ ref('int_purchase_days') }}

),

months as (

    select
        rhythm_group,
        month_on,
        coalesce(
            lead(month_on) over (partition by rhythm_group order by month_on), date '9999-01-01'
        ) as next_month_on,
        at_risk_days,
        lost_days
    from {{ ref('lifecycle_thresholds') }}

),

reached as (

    select
        purchase_days.rhythm_group,
        purchase_days.ordered_on,
        months.next_month_on,
        greatest({{ days_after('purchase_days.ordered_on', 'months.at_risk_days') }}, months.month_on) as at_risk_on,
        greatest({{ days_after('purchase_days.ordered_on', 'months.lost_days') }}, months.month_on) as lost_on
    from purchase_days
    inner join months
        on
            purchase_days.rhythm_group = months.rhythm_group
            and months.next_month_on > purchase_days.ordered_on

),

first_reached as (

    select
        rhythm_group,
        ordered_on,
        min(case when at_risk_on < next_month_on then at_risk_on end) as at_risk_on,
        min(case when lost_on < next_month_on then lost_on end) as lost_on
    from reached
    group by rhythm_group, ordered_on

)

select
    first_reached.rhythm_group,
    first_reached.ordered_on,
    first_reached.at_risk_on,
    greatest(
        first_reached.lost_on, {{ days_after('first_reached.at_risk_on', 'settings.minimum_stay_days') }}
    ) as lost_on
from first_reached
cross join {{ source('control', 'lifecycle_settings') }} as settings
