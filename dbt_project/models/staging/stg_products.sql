-- One row per living product (source, product_id).
with

products as (

    select * from {{ source('landing', 'products') }}

)

select
    product_id,
    {{ tidy('label') }} as label,
    {{ tidy('category') }} as category,
    {{ tidy('subcategory') }} as subcategory,
    {{ tidy('brand') }} as brand,
    lower({{ tidy('audience') }}) as audience,
    unit_price,
    coalesce(is_product, true) as is_product,
    custom,
    source,
    row_key,
    first_seen_on,
    valid_from_on,
    last_seen_on
from products
where is_current and not is_deleted
