-- One row per order left out because a preferred system sent the same one (rules in value.yml).
--
-- Equal orders of a customer and day are paired one to one: two of each stay two.
{{ config(tags=['unify'], meta={'dagster': {'group': 'facts'}}) }}
with

rules as (

    select
        rules.position,
        systems.order_system,
        min(rules.preference) as preference,
        min(rules.match_by) as match_by,
        min(rules.ignored_pattern) as ignored_pattern
    from {{ source('control', 'same_order_rules') }} as rules
    inner join {{ ref('int_order_systems') }} as systems on rules.source = systems.source
    group by rules.position, systems.order_system

),

candidates as (

    select
        rules.position,
        rules.preference,
        orders.order_id,
        case
            when rules.match_by = 'order_number'
                then lower(
                    case
                        when rules.ignored_pattern is null then orders.source_order_id
                        else {{ without('orders.source_order_id', 'rules.ignored_pattern') }}
                    end
                )
            else
                customers.customer_id || '|' || cast(orders.ordered_on as varchar(10))
                || '|' || cast(orders.amount_delivered as varchar(40))
        end as match_key
    from rules
    inner join {{ ref('int_order_headers') }} as orders on rules.order_system = orders.order_system
    inner join {{ ref('int_order_customers') }} as customers on orders.order_id = customers.order_id
    where rules.match_by = 'order_number' or customers.customer_id <> 'unknown'

),

numbered as (

    select
        position,
        preference,
        order_id,
        match_key,
        row_number() over (partition by position, preference, match_key order by order_id) as occurrence
    from candidates

),

grouped as (

    select
        position,
        order_id,
        preference,
        min(preference) over (partition by position, match_key, occurrence) as best_preference,
        min(order_id) over (partition by position, match_key, occurrence, preference) as first_of_preference,
        match_key,
        occurrence
    from numbered

),

kept as (

    select
        position,
        match_key,
        occurrence,
        order_id
    from grouped
    where preference = best_preference and order_id = first_of_preference

),

dropped as (

    select
        grouped.order_id,
        kept.order_id as same_as_order_id,
        row_number() over (partition by grouped.order_id order by grouped.position, kept.order_id) as choice
    from grouped
    inner join kept
        on
            grouped.position = kept.position
            and grouped.match_key = kept.match_key
            and grouped.occurrence = kept.occurrence
    where grouped.preference > grouped.best_preference

)

select
    order_id,
    same_as_order_id
from dropped
where choice = 1
