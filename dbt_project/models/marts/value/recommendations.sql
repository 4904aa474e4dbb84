-- One row per customer and product to propose next, the best first.
--
-- First what others buy with the products bought last; where that says too little, the best sellers of the
-- category the customer prefers, then of the whole shop. Never a product already bought, one that is
-- discontinued, nor one of a range (women, men, children) that the customer never bought from. Customers
-- who bought no product get none.
{{ config(tags=['serve']) }}
with

settings as (

    select * from {{ source('control', 'affinity_settings') }}

),

offered as (

    select
        product_id,
        category,
        case when audience in ('all', 'unisex') then null else audience end as audience
    from {{ ref('products') }}
    where is_product and not is_discontinued

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

    select
        customer_id,
        preferred_value as audience
    from {{ ref('customer_preferences') }}
    where dimension = 'audience'

),

going_together as (

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

proposed as (

    select
        going_together.customer_id,
        going_together.product_id,
        going_together.weight,
        going_together.lift,
        going_together.because_of_product_id,
        row_number() over (
            partition by going_together.customer_id
            order by going_together.weight desc, going_together.lift desc, going_together.product_id
        ) as proposal
    from going_together
    inner join offered on going_together.product_id = offered.product_id
    left join bought
        on going_together.customer_id = bought.customer_id and going_together.product_id = bought.product_id
    left join audiences
        on going_together.customer_id = audiences.customer_id and offered.audience = audiences.audience
    where bought.product_id is null and (offered.audience is null or audiences.audience is not null)

),

proposal_counts as (

    select
        customer_id,
        count(*) as proposal_count
    from proposed
    group by customer_id

),

-- Few tastes are shared by many customers: best sellers are ranked once for each taste.
categories as (

    select
        customer_id,
        preferred_value as category
    from {{ ref('customer_preferences') }}
    where dimension = 'category' and preference = 1

),

ranges as (

    select
        customer_id,
        {{ listed('audience', 'audience') }} as audiences
    from audiences
    group by customer_id

),

open_customers as (

    select
        buyers.customer_id,
        coalesce(categories.category, '') as category,
        coalesce(ranges.audiences, '') as audiences,
        coalesce(proposal_counts.proposal_count, 0) as proposal_count
    from (select distinct customer_id from bought) as buyers
    cross join settings
    left join categories on buyers.customer_id = categories.customer_id
    left join ranges on buyers.customer_id = ranges.customer_id
    left join proposal_counts on buyers.customer_id = proposal_counts.customer_id
    where coalesce(proposal_counts.proposal_count, 0) < settings.recommended_per_customer

),

open_tastes as (

    select distinct
        category,
        audiences
    from open_customers

),

sold as (

    select
        lines.product_id,
        count(*) as line_count
    from {{ ref('order_lines') }} as lines
    cross join settings
    cross join {{ source('control', 'as_of') }} as as_of
    where
        lines.line_kind = 'sale'
        and lines.is_product
        and lines.ordered_on <= as_of.as_of_on
        and lines.ordered_on > {{ days_after('as_of.as_of_on', '- settings.window_days') }}
    group by lines.product_id

),

best_sellers as (

    select
        open_tastes.category,
        open_tastes.audiences,
        offered.product_id,
        coalesce(offered.category = open_tastes.category, false) as is_of_category,
        row_number() over (
            partition by open_tastes.category, open_tastes.audiences
            order by
                case when offered.category = open_tastes.category then 0 else 1 end,
                sold.line_count desc, offered.product_id
        ) as place
    from open_tastes
    cross join offered
    inner join sold on offered.product_id = sold.product_id
    where
        offered.audience is null
        or instr(',' || open_tastes.audiences || ',', ',' || offered.audience || ',') > 0

),

filled as (

    select
        customers.customer_id,
        best_sellers.product_id,
        best_sellers.is_of_category,
        customers.proposal_count
        + row_number() over (partition by customers.customer_id order by best_sellers.place) as position
    from open_customers as customers
    cross join settings
    inner join best_sellers
        on
            customers.category = best_sellers.category
            and customers.audiences = best_sellers.audiences
            and best_sellers.place <= 3 * settings.recommended_per_customer
    left join bought
        on customers.customer_id = bought.customer_id and best_sellers.product_id = bought.product_id
    left join proposed
        on customers.customer_id = proposed.customer_id and best_sellers.product_id = proposed.product_id
    where bought.product_id is null and proposed.product_id is null

),

positions as (

    select
        customer_id,
        proposal as position,
        product_id,
        'bought_together' as chosen_by,
        because_of_product_id,
        weight,
        lift
    from proposed
    union all
    select
        customer_id,
        position,
        product_id,
        case when is_of_category then 'best_of_category' else 'best_of_shop' end as chosen_by,
        cast(null as varchar(200)) as because_of_product_id,
        cast(null as double) as weight,
        cast(null as double) as lift
    from filled

)

select
    positions.customer_id,
    cast(positions.position as integer) as position,
    positions.product_id,
    positions.chosen_by,
    positions.because_of_product_id,
    positions.weight,
    positions.lift
from positions
cross join settings
where positions.position <= settings.recommended_per_customer
