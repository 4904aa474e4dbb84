-- One row per customer that the scores step scored or withheld.
{{ config(tags=['serve']) }}
select
    customer_id,
    cast(purchase_probability_30d as double) as purchase_probability_30d,
    cast(purchase_probability_90d as double) as purchase_probability_90d,
    cast(purchase_probability_365d as double) as purchase_probability_365d,
    cast(expected_orders_365d as double) as expected_orders_365d,
    {{ money('expected_value_365d') }} as expected_value_365d,
    churn_risk_band,
    model,
    withheld_reason
from {{ source('scores', 'customer_scores') }}
