-- One row per product (source, product_id), the discontinued ones too: past orders still name them.
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
    is_deleted as is_discontinued,
    first_seen_on,
    valid_from_on,
    last_seen_on
from products
where is_current
