-- One row per identifier and customer who holds it or held it: how facts find their customer. E-mails are
-- match keys (lower case, no +tag), phones are E.164. `source` is filled for accounts only.
{{ config(meta={'touched': {
    'key': 'value',
    'by': {'int_identifier_holdings': 'value'},
}}) }}
with

held as (

    select * from {{ ref('int_identifier_holdings') }} as holdings
    where {{ only_touched('holdings.value') }}

),

-- Shared: held today by several customers; where nobody holds it any more, held once by several.
counted as (

    select
        type,
        value,
        source,
        count(*) filter (where until_on is null) as holders_today,
        count(*) as holders_ever
    from held
    group by type, value, source

)

select
    held.type,
    held.value,
    held.source,
    held.customer_id,
    held.since_on,
    held.until_on,
    case when counted.holders_today > 0 then counted.holders_today > 1 else counted.holders_ever > 1 end as is_shared
from held
inner join counted
    on held.type = counted.type
    and held.value = counted.value
    and held.source is not distinct from counted.source
-- a value that someone else holds today no longer leads to who held it before
where held.until_on is null or counted.holders_today = 0
    or exists (
        select 1
        from held as same
        where same.type = held.type and same.value = held.value and same.until_on is null
            and same.customer_id = held.customer_id
    )
