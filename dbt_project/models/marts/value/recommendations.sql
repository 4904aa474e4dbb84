-- One row per customer and product to propose next, the best first.
--
-- From the products bought last, through what others buy with them; never one already bought, nor one of
-- a range (women, men, children) that the customer never bought from.
{{ config(tags=['serve']) }}
with

settings as (

    select * from {{ source('control', 'affinity_settings') }}

),

bought as (

    select
        customer_id,
        product_id,
        max(ordered_on) as last_bought_on
    from {{ ref('order_lines') }}
    where customer_id <> 'unknown' and line_kind = 'sale' and is_product
    group by customer_id, product_id

),

latest_ranked as (

    select
        customer_id,
        product_id,
        row_number() over (partition by customer_id order by last_bought_on desc, product_id) as recency_rank
    from bought

),

latest as (

    select
        customer_id,
        product_id
    from latest_ranked
    where recency_rank <= 5

),

audiences as (

    select distinct
        customer_id,
        preferred_value as audience
    from {{ ref('customer_preferences') }}
    where dimension = 'audience'

),

proposed as (

    select
        latest.customer_id,
        affinity.with_product_id as product_id,
        sum(affinity.confidence) as weight,
        max(affinity.lift) as lift,
        min(affinity.product_id) as because_of_product_id
    from latest
    inner join {{ ref('product_affinity') }} as affinity
        on latest.product_id = affinity.product_id and affinity.closeness <= 10 and affinity.lift > 1
    group by latest.customer_id, affinity.with_product_id

),

allowed as (

    select
        proposed.customer_id,
        proposed.product_id,
        proposed.weight,
        proposed.lift,
        proposed.because_of_product_id,
        products.audience
    from proposed
    inner join {{ ref('products') }} as products on proposed.product_id = products.product_id
    left join bought on proposed.customer_id = bought.customer_id and proposed.product_id = bought.product_id
    left join audiences
        on proposed.customer_id = audiences.customer_id and products.audience = audiences.audience
    where
        bought.product_id is null
        and (products.audience is null or products.audience in ('all', 'unisex') or audiences.audience is not null)

),

ranked as (

    select
        *,
        row_number() over (partition by customer_id order by weight desc, lift desc, product_id) as position
    from allowed

)

select
    ranked.customer_id,
    cast(ranked.position as integer) as position,
    ranked.product_id,
    ranked.because_of_product_id,
    ranked.weight,
    ranked.lift
from ranked
cross join settings
where ranked.position <= settings.recommended_per_customer
