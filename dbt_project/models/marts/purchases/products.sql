-- One row per product: from the catalogues, or from order lines where no catalogue has it.
{{ config(tags=['unify']) }}
select
    product_id,
    label,
    category,
    subcategory,
    brand,
    audience,
    unit_price,
    is_product,
    is_in_catalogue,
    is_discontinued,
    cast(line_count as integer) as line_count
from {{ ref('int_products') }}
