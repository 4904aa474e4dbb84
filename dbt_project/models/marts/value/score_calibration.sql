-- One row per model, past cut-off, horizon and band of customers: chance foreseen and share that bought.
{{ config(tags=['serve']) }}
select
    model,
    cut_off_on,
    cast(horizon_days as integer) as horizon_days,
    cast(band as integer) as band,
    cast(customers as bigint) as customers,
    cast(predicted as double) as predicted,
    cast(actual as double) as actual
from {{ source('scores', 'calibration') }}
