-- One row per model, past cut-off and horizon: what it foresaw there, and what came.
{{ config(tags=['serve']) }}
select
    model,
    cut_off_on,
    cast(horizon_days as integer) as horizon_days,
    cast(customers as bigint) as customers,
    cast(auc as double) as auc,
    cast(brier as double) as brier,
    cast(predicted_buyers as double) as predicted_buyers,
    cast(actual_buyers as bigint) as actual_buyers,
    cast(predicted_orders as double) as predicted_orders,
    cast(actual_orders as bigint) as actual_orders,
    cast(season_factor as double) as season_factor
from {{ source('scores', 'back_tests') }}
