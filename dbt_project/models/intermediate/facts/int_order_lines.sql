-- One row per order line that counts once: no exact repeat, no order that a preferred system also sent.
-- An order that came without lines gets one, with its stated total.
--
-- `line_kind` is what the source states, if it states more than a sale; else the first rule of value.yml
-- that holds; else a sale. Rules are tried on the few distinct combinations of what they look at, not
-- line by line. Amounts are in the company's currency at the rate of the day; a line whose currency has
-- no rate is of kind `unconverted` and counts for nothing but its own currency.
{{ config(tags=['unify'], meta={'dagster': {'group': 'facts'}, 'touched': {
    'key': "substr(order_id, strpos(order_id, ':') + 1)",
    'by': {
        'stg_order_lines': 'order_id',
        'int_order_headers': 'source_order_id',
        'int_same_orders': "substr(order_id, strpos(order_id, ':') + 1)",
        'int_repeated_lines': {'query': 'select lines.order_id from {changed} as changed '
            ~ 'inner join {database}.staging.stg_order_lines as lines using (source, row_key)'},
        'int_products': {'columns': 'product_id, fitting_rules, is_product'},
    },
}}) }}
with

headers as (

    select
        headers.order_id,
        headers.order_system,
        headers.source_order_id,
        headers.source,
        headers.ordered_at,
        headers.ordered_on,
        headers.line_count,
        headers.amount_stated,
        headers.channel,
        headers.status,
        headers.currency
    from {{ ref('int_order_headers') }} as headers
    left join {{ ref('int_same_orders') }} as same_orders on headers.order_id = same_orders.order_id
    where same_orders.order_id is null and {{ only_touched('headers.source_order_id') }}

),

delivered_lines as (

    select
        headers.order_id,
        headers.order_system,
        lines.source || ':' || lines.row_key as order_line_id,
        lines.source,
        headers.ordered_at,
        headers.ordered_on,
        coalesce(headers.channel, '') as channel,
        coalesce(lower(lines.status), headers.status) as status,
        coalesce(lines.product_id, lines.product_label) as product_id,
        lines.product_label,
        lines.quantity,
        lines.unit_price,
        coalesce(upper(lines.currency), headers.currency) as currency,
        {{ line_amount('lines') }} as amount_delivered,
        coalesce(lines.amount_discount, 0) as discount_delivered,
        lines.amount_tax as tax_delivered,
        lines.tax_rate,
        lower(lines.line_kind) as stated_kind,
        lines.returned_order_id as stated_returned_order
    from {{ ref('stg_order_lines') }} as lines
    inner join {{ ref('int_order_systems') }} as systems on lines.source = systems.source
    inner join headers
        on systems.order_system = headers.order_system and lines.order_id = headers.source_order_id
    left join {{ ref('int_repeated_lines') }} as repeats
        on lines.source = repeats.source and lines.row_key = repeats.row_key
    where repeats.row_key is null and {{ only_touched('lines.order_id') }}

),

header_lines as (

    select
        order_id,
        order_system,
        source || ':' || source_order_id || '|total' as order_line_id,
        source,
        ordered_at,
        ordered_on,
        coalesce(channel, '') as channel,
        status,
        cast(null as varchar(200)) as product_id,
        cast(null as varchar(200)) as product_label,
        {{ money('case when amount_stated < 0 then -1 else 1 end') }} as quantity,
        cast(null as decimal(18, 4)) as unit_price,
        currency,
        amount_stated as amount_delivered,
        {{ money('0') }} as discount_delivered,
        cast(null as decimal(18, 4)) as tax_delivered,
        cast(null as decimal(18, 4)) as tax_rate,
        cast(null as varchar(20)) as stated_kind,
        cast(null as varchar(200)) as stated_returned_order
    from headers
    where line_count = 0 and amount_stated is not null

),

lines as (

    select * from delivered_lines
    union all
    select * from header_lines

),

rules as (

    select * from {{ source('control', 'line_kind_rules') }}

),

listed_values as (

    select * from {{ source('control', 'line_kind_rule_values') }}

),

order_fits as (

    select
        headers.order_id,
        ',' || {{ listed('cast(rules.position as varchar(10))', 'rules.position') }} || ',' as order_fits
    from headers
    inner join rules on rules.order_matches is not null
    where {{ is_found('headers.source_order_id', 'rules.order_matches') }}
    group by headers.order_id

),

seen as (

    select
        lines.*,
        coalesce(products.fitting_rules, '') as product_fits,
        coalesce(order_fits.order_fits, '') as order_fits,
        {{ sign_of('lines.quantity') }} as quantity_sign,
        {{ sign_of('lines.unit_price') }} as unit_price_sign,
        {{ sign_of('lines.amount_delivered') }} as amount_sign,
        products.is_product
    from lines
    left join {{ ref('int_products') }} as products on lines.product_id = products.product_id
    left join order_fits on lines.order_id = order_fits.order_id

),

combinations as (

    select distinct
        source,
        channel,
        status,
        product_fits,
        order_fits,
        quantity_sign,
        unit_price_sign,
        amount_sign
    from seen

),

fitting as (

    select
        combinations.*,
        min(rules.position) as position
    from combinations
    inner join rules
        on
            (
                not (
                    rules.has_product_list or rules.product_matches is not null
                    or rules.label_matches is not null or rules.is_product is not null
                )
                or instr(combinations.product_fits, ',' || cast(rules.position as varchar(10)) || ',') > 0
            )
            and (
                rules.order_matches is null
                or instr(combinations.order_fits, ',' || cast(rules.position as varchar(10)) || ',') > 0
            )
            and (rules.quantity_sign is null or rules.quantity_sign = combinations.quantity_sign)
            and (rules.unit_price_sign is null or rules.unit_price_sign = combinations.unit_price_sign)
            and (rules.amount_sign is null or rules.amount_sign = combinations.amount_sign)
            {%- for field in ['source', 'channel', 'status'] %}
            and (
                not rules.has_{{ field }}_list
                or exists (
                    select 1 from listed_values
                    where
                        listed_values.field = '{{ field }}'
                        and listed_values.position = rules.position
                        and listed_values.value = lower(combinations.{{ field }})
                )
            )
            {%- endfor %}
    group by 1, 2, 3, 4, 5, 6, 7, 8

),

ruled as (

    select
        seen.*,
        coalesce(rules.kind, 'sale') as ruled_kind,
        case when seen.currency = company.currency then 1 else rates.rate end as rate
    from seen
    cross join {{ source('control', 'company') }} as company
    left join fitting
        on
            seen.source = fitting.source
            and seen.channel = fitting.channel
            and seen.status = fitting.status
            and seen.product_fits = fitting.product_fits
            and seen.order_fits = fitting.order_fits
            and seen.quantity_sign = fitting.quantity_sign
            and seen.unit_price_sign = fitting.unit_price_sign
            and seen.amount_sign = fitting.amount_sign
    left join rules on fitting.position = rules.position
    left join {{ source('control', 'currency_rates') }} as rates
        on
            seen.currency = rates.currency
            and seen.ordered_on >= rates.since_on
            and seen.ordered_on < rates.until_on

),

kinds as (

    select
        ruled.*,
        case
            when rate is null then 'unconverted'
            when stated_kind in ('return', 'cancellation', 'write_off', 'fee', 'voucher', 'test') then stated_kind
            else ruled_kind
        end as line_kind
    from ruled

)

select
    order_line_id,
    order_id,
    order_system,
    source,
    ordered_at,
    ordered_on,
    status,
    product_id,
    product_label,
    coalesce(is_product, false) as is_product,
    line_kind,
    quantity,
    unit_price,
    currency,
    amount_delivered,
    -- A return is negative even where its source states it as a positive amount.
    case
        when rate is null then {{ money('0') }}
        when line_kind = 'return' and amount_delivered > 0 then - {{ converted('amount_delivered', 'rate') }}
        else {{ converted('amount_delivered', 'rate') }}
    end as amount_line,
    case when rate is null then {{ money('0') }} else {{ converted('discount_delivered', 'rate') }} end
        as amount_discount,
    case
        when rate is null then {{ money('0') }}
        when tax_delivered is not null then {{ converted('tax_delivered', 'rate') }}
        when tax_rate is not null
            then {{ money(
                'cast(amount_delivered as double) * cast(rate as double)'
                ~ ' * (cast(tax_rate as double) / (1 + cast(tax_rate as double)))'
            ) }}
        else {{ money('0') }}
    end as amount_tax,
    case when line_kind in ('return', 'cancellation') then stated_returned_order end as stated_returned_order
from kinds
