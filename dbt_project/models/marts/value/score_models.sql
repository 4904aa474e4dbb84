-- One row per model that holds on the as-of date: what it was fitted to, and whether it gives the scores.
{{ config(tags=['serve']) }}
select
    model,
    is_kept,
    fitted_on,
    parameters,
    metrics
from {{ source('scores', 'models') }}
