-- One row per customer that the default RFM method scores (the first one of value.yml).
{{ config(tags=['serve']) }}
select
    scores.unit_id as customer_id,
    scores.method as rfm_method,
    scores.recency_days,
    scores.frequency,
    scores.monetary,
    scores.recency_score as rfm_recency_score,
    scores.frequency_score as rfm_frequency_score,
    scores.monetary_score as rfm_monetary_score,
    scores.segment as rfm_segment
from {{ ref('rfm_scores') }} as scores
inner join {{ source('control', 'rfm_settings') }} as methods on scores.method = methods.method
where methods.is_default
