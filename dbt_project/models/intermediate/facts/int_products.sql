-- One row per product that a catalogue or a line names, with the line rules that fit it.
--
-- Of several catalogues the most trusted that still lists the product tells; one that none lists any more is
-- discontinued, and keeps what was last said of it. A product only seen on lines takes its label there.
{{ config(tags=['unify'], meta={'dagster': {'group': 'facts'}}) }}
with

catalogue_ranked as (

    select
        products.product_id,
        products.label,
        products.category,
        products.subcategory,
        products.brand,
        products.audience,
        products.unit_price,
        products.is_product,
        products.is_discontinued,
        products.source,
        row_number() over (
            partition by products.product_id
            order by
                case when products.is_discontinued then 1 else 0 end,
                coalesce(sources.trust_rank, 1000), products.source, products.row_key
        ) as preference
    from {{ ref('stg_products') }} as products
    left join {{ source('control', 'sources') }} as sources on products.source = sources.source

),

catalogue as (

    select * from catalogue_ranked where preference = 1

),

labels as (

    select
        coalesce(product_id, product_label) as product_id,
        product_label,
        count(*) as line_count
    from {{ ref('stg_order_lines') }}
    where coalesce(product_id, product_label) is not null
    group by 1, 2

),

labels_ranked as (

    select
        product_id,
        product_label,
        sum(line_count) over (partition by product_id) as line_count,
        row_number() over (
            partition by product_id
            order by case when product_label is null then 1 else 0 end, line_count desc, product_label
        ) as preference
    from labels

),

on_lines as (

    select * from labels_ranked where preference = 1

),

products as (

    select
        coalesce(catalogue.product_id, on_lines.product_id) as product_id,
        coalesce(catalogue.label, on_lines.product_label) as label,
        catalogue.category,
        catalogue.subcategory,
        catalogue.brand,
        lower(catalogue.audience) as audience,
        catalogue.unit_price,
        catalogue.is_product as is_product_in_catalogue,
        catalogue.product_id is not null as is_in_catalogue,
        coalesce(catalogue.is_discontinued, false) as is_discontinued,
        coalesce(on_lines.line_count, 0) as line_count
    from catalogue
    full outer join on_lines on catalogue.product_id = on_lines.product_id

),

rules as (

    select * from {{ source('control', 'line_kind_rules') }}

),

listed_products as (

    select position, value from {{ source('control', 'line_kind_rule_values') }} where field = 'product'

),

fitting_rules as (

    select
        products.product_id,
        rules.position,
        rules.kind,
        -- A rule about the product alone makes it no product at all.
        case
            when
                rules.kind in ('fee', 'voucher', 'test')
                and not rules.has_source_list and not rules.has_channel_list and not rules.has_status_list
                and rules.order_matches is null and rules.quantity_sign is null
                and rules.unit_price_sign is null and rules.amount_sign is null
                then 1
            else 0
        end as is_of_product_alone
    from products
    cross join rules
    where
        (
            rules.has_product_list or rules.product_matches is not null
            or rules.label_matches is not null or rules.is_product is not null
        )
        and (
            not rules.has_product_list
            or exists (
                select 1 from listed_products
                where listed_products.position = rules.position and listed_products.value = lower(products.product_id)
            )
        )
        and (rules.product_matches is null or {{ is_found('products.product_id', 'rules.product_matches') }})
        and (rules.label_matches is null or {{ is_found("coalesce(products.label, '')", 'rules.label_matches') }})
        and (rules.is_product is null or rules.is_product = coalesce(products.is_product_in_catalogue, true))

),

fits as (

    select
        product_id,
        ',' || {{ listed('cast(position as varchar(10))', 'position') }} || ',' as fitting_rules,
        max(is_of_product_alone) as is_no_product
    from fitting_rules
    group by product_id

)

select
    products.product_id,
    products.label,
    products.category,
    products.subcategory,
    products.brand,
    products.audience,
    products.unit_price,
    products.is_in_catalogue,
    products.is_discontinued,
    coalesce(products.is_product_in_catalogue, true) and coalesce(fits.is_no_product, 0) = 0 as is_product,
    products.line_count,
    coalesce(fits.fitting_rules, '') as fitting_rules
from products
left join fits on products.product_id = fits.product_id
