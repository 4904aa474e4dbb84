-- One row per kind of contact point, source ('' is all together) and month of silence up to ten years: the
-- decay curve, with what it was estimated from.
{{ config(tags=['serve'], meta={'dagster': {'group': 'marts'}}) }}
with

months as (

    select
        kind,
        source,
        age_days,
        cast(round(age_days / 30.4375) as integer) as age_months,
        still_good_rate
    from {{ source('freshness', 'decay') }}

),

one_day_a_month as (

    select
        kind,
        source,
        age_months,
        min(age_days) as age_days,
        max(still_good_rate) as still_good_rate
    from months
    where age_months <= 120 and age_days = cast(round(age_months * 30.4375) as integer)
    group by kind, source, age_months

),

evidence as (

    select
        kind,
        source,
        max(yearly_loss) as yearly_loss,
        max(case when band = 0 then hazard_low end) as first_year_hazard_low,
        max(case when band = 0 then hazard_high end) as first_year_hazard_high,
        max(declared_hazard) as declared_hazard,
        max(losses) as losses,
        sum(proved_years) as proved_years,
        sum(silent_years) as silent_years,
        max(told_rate) as told_rate
    from {{ source('freshness', 'curves') }}
    group by kind, source

)

select
    curve.kind,
    curve.source,
    curve.age_months,
    cast(curve.age_days as integer) as age_days,
    cast(curve.still_good_rate as double) as still_good_rate,
    cast(evidence.yearly_loss as double) as yearly_loss_rate,
    cast(1 - exp(-evidence.first_year_hazard_low) as double) as yearly_loss_low_rate,
    cast(1 - exp(-evidence.first_year_hazard_high) as double) as yearly_loss_high_rate,
    cast(1 - exp(-evidence.declared_hazard) as double) as declared_loss_rate,
    cast(evidence.losses as integer) as loss_count,
    cast(evidence.proved_years as double) as proved_years,
    cast(evidence.silent_years as double) as silent_years,
    cast(evidence.told_rate as double) as told_rate,
    as_of.as_of_on
from one_day_a_month as curve
inner join evidence on curve.kind = evidence.kind and curve.source = evidence.source
cross join {{ source('control', 'as_of') }} as as_of
