-- One row per source of orders or lines: the system whose order numbers it uses.
--
-- Declared systems win. Else a source is its own system, but for lines that never say when they were
-- ordered, or never by whom: these have their headers elsewhere, in the source without lines that knows
-- most of their order numbers (at least half of them).
{{ config(tags=['unify'], meta={'dagster': {'group': 'facts'}}) }}
with

declared as (

    select source, order_system from {{ source('control', 'order_systems') }}

),

header_sources as (

    select source from {{ ref('stg_orders') }} group by source

),

line_sources as (

    select
        source,
        count(ordered_at) as dated_count,
        count(coalesce(ref_account, ref_card, ref_email, ref_phone, ref_cookie)) as named_count
    from {{ ref('stg_order_lines') }}
    group by source

),

headless_orders as (

    select distinct
        lines.source,
        lines.order_id
    from {{ ref('stg_order_lines') }} as lines
    inner join line_sources on lines.source = line_sources.source
    where
        (line_sources.dated_count = 0 or line_sources.named_count = 0)
        and lines.source not in (select source from header_sources)
        and lines.source not in (select source from declared)

),

shared_numbers as (

    select
        headless_orders.source,
        headers.source as header_source,
        count(distinct headers.order_id) as order_count
    from headless_orders
    inner join {{ ref('stg_orders') }} as headers on headless_orders.order_id = headers.order_id
    where headers.source not in (select source from line_sources)
    group by headless_orders.source, headers.source

),

headless_counts as (

    select
        source,
        count(*) as order_count
    from headless_orders
    group by source

),

headed_by as (

    select
        shared_numbers.source,
        shared_numbers.header_source,
        row_number() over (
            partition by shared_numbers.source order by shared_numbers.order_count desc, shared_numbers.header_source
        ) as preference
    from shared_numbers
    inner join headless_counts on shared_numbers.source = headless_counts.source
    where shared_numbers.order_count * 2 >= headless_counts.order_count

),

sources as (

    select source from header_sources
    union
    select source from line_sources

)

select
    sources.source,
    coalesce(declared.order_system, header_system.order_system, headed_by.header_source, sources.source) as order_system
from sources
left join declared on sources.source = declared.source
left join headed_by on sources.source = headed_by.source and headed_by.preference = 1
left join declared as header_system on headed_by.header_source = header_system.source
