-- The tables of purchases and value of one shop, as straight SQL: its rules, its one source and its one
-- currency rate are written into the text. `:as_of_on` is the date.
create temp table headers as
select
    order_id as source_order_id,
    'shop:' || order_id as order_id,
    any_value(ordered_at) as ordered_at,
    cast(any_value(ordered_at) as date) as ordered_on,
    any_value(channel) as channel,
    any_value(store) as store,
    any_value(status) as status,
    any_value(currency) as currency,
    any_value(ref_account) as ref_account
from staging.stg_order_lines
group by order_id;

create temp table placed as
select headers.*, coalesce(records.customer_id, 'unknown') as customer_id
from headers
left join identity.record_customers as records on headers.ref_account = records.record_id;

create temp table lines as
select
    'shop:' || lines.row_key as order_line_id,
    placed.order_id,
    'shop' as source,
    placed.customer_id,
    placed.ordered_at,
    placed.ordered_on,
    case
        when lines.product_id = 'PORT' then 'fee'
        when lines.status = 'cancelled' then 'cancellation'
        when lines.quantity < 0 and lines.unit_price = 0 then 'write_off'
        when lines.quantity < 0 then 'return'
        else 'sale'
    end as line_kind,
    lines.product_id,
    lines.product_label,
    products.category,
    products.subcategory,
    products.brand,
    products.audience,
    lines.product_id <> 'PORT' as is_product,
    lines.quantity,
    lines.unit_price,
    lines.currency,
    cast(lines.quantity * lines.unit_price as decimal(18, 4))
        - case when lines.quantity < 0 then - lines.amount_discount else lines.amount_discount end as amount_delivered,
    case when lines.currency = 'GBP' then cast(1.15 as decimal(18, 8)) else cast(1 as decimal(18, 8)) end as rate,
    lines.amount_discount as discount,
    cast(lines.tax_rate as double) as tax_rate
from staging.stg_order_lines as lines
inner join placed on lines.order_id = placed.source_order_id
left join staging.stg_products as products on lines.product_id = products.product_id;

create temp table amounts as
select
    *,
    cast(amount_delivered * rate as decimal(18, 4)) as amount_line,
    cast(discount * rate as decimal(18, 4)) as amount_discount,
    cast(cast(amount_delivered as double) * cast(rate as double) * (tax_rate / (1 + tax_rate)) as decimal(18, 4))
        as amount_tax,
    line_kind = 'return' or (line_kind = 'cancellation' and amount_delivered < 0) as is_credit
from lines;

create temp table matched as
select credits.order_line_id, sales.order_id as returned_order_id
from (select * from amounts where is_credit and customer_id <> 'unknown') as credits
asof inner join (select customer_id, product_id, ordered_at, order_id from amounts where line_kind = 'sale') as sales
    on credits.customer_id = sales.customer_id
    and credits.product_id = sales.product_id
    and credits.ordered_at >= sales.ordered_at;

create table marts.order_lines as
select
    amounts.order_line_id, order_id, source, customer_id, ordered_at, ordered_on, line_kind, product_id, product_label,
    category, subcategory, brand, audience, is_product, quantity, unit_price, currency, amount_delivered, amount_line,
    cast(case when line_kind = 'sale' then amount_line else 0 end as decimal(18, 4)) as amount_gross,
    cast(case when is_credit then - amount_line else 0 end as decimal(18, 4)) as amount_returned,
    cast(
        case when line_kind = 'sale' then amount_line when is_credit then amount_line else 0 end as decimal(18, 4)
    ) as amount_net,
    amount_tax, amount_discount, matched.returned_order_id,
    case when matched.returned_order_id is not null then 'product' end as return_matched_by
from amounts
left join matched on amounts.order_line_id = matched.order_line_id;

create temp table totals as
select
    order_id,
    count(*) as line_count,
    count(distinct case when is_product then product_id end) as product_count,
    count(*) filter (where line_kind not in ('cancellation', 'return') and quantity > 0) as sold_line_count,
    sum(case when line_kind = 'sale' then quantity else 0 end) as quantity_sold,
    sum(amount_gross) as amount_gross,
    sum(amount_returned) as amount_returned,
    sum(amount_net) as amount_net,
    sum(case when line_kind in ('sale', 'return') then amount_tax else 0 end) as amount_tax,
    sum(case when line_kind = 'sale' then amount_discount else 0 end) as amount_discount,
    sum(case when line_kind = 'fee' then amount_line else 0 end) as amount_fees,
    sum(case when line_kind = 'cancellation' and amount_returned = 0 then amount_line else 0 end) as amount_cancelled,
    sum(case when line_kind not in ('cancellation', 'return') and quantity > 0 then amount_line else 0 end)
        as amount_charged,
    sum(case when (line_kind in ('cancellation', 'return') or quantity <= 0) and amount_line < 0
        then - amount_line else 0 end) as amount_credited
from marts.order_lines
group by order_id;

create temp table returned_later as
select returned_order_id as order_id, sum(amount_returned) as amount_returned_later
from marts.order_lines
where returned_order_id is not null and returned_order_id <> order_id
group by 1;

create table marts.orders as
select
    placed.order_id, 'shop' as source, placed.source_order_id, placed.customer_id,
    case when placed.customer_id <> 'unknown' then 'account' end as attached_by,
    placed.ordered_at, placed.ordered_on, cast(hour(placed.ordered_at) as integer) as ordered_hour,
    false as is_date_inferred, placed.ordered_on > :as_of_on as is_future, false as is_before_birth,
    placed.channel, placed.store, placed.status, cast(null as varchar) as payment_method, placed.currency,
    totals.amount_gross > 0 and placed.ordered_on <= :as_of_on as is_purchase,
    cast(case when totals.amount_gross > 0 and placed.ordered_on <= :as_of_on and placed.customer_id <> 'unknown'
        then row_number() over (
            partition by placed.customer_id, totals.amount_gross > 0 and placed.ordered_on <= :as_of_on
            order by placed.ordered_at, placed.order_id
        ) end as integer) as purchase_number,
    cast(line_count as integer) as line_count, cast(product_count as integer) as product_count,
    cast(sold_line_count as integer) as sold_line_count, cast(quantity_sold as decimal(18, 4)) as quantity_sold,
    cast(amount_gross as decimal(18, 4)) as amount_gross, cast(amount_returned as decimal(18, 4)) as amount_returned,
    cast(amount_net as decimal(18, 4)) as amount_net, cast(amount_tax as decimal(18, 4)) as amount_tax,
    cast(amount_discount as decimal(18, 4)) as amount_discount, cast(amount_fees as decimal(18, 4)) as amount_fees,
    cast(0 as decimal(18, 4)) as amount_vouchers, cast(amount_cancelled as decimal(18, 4)) as amount_cancelled,
    cast(amount_charged as decimal(18, 4)) as amount_charged, cast(amount_credited as decimal(18, 4)) as amount_credited,
    cast(coalesce(amount_returned_later, 0) as decimal(18, 4)) as amount_returned_later,
    cast(null as decimal(18, 4)) as amount_stated
from placed
inner join totals on placed.order_id = totals.order_id
left join returned_later on placed.order_id = returned_later.order_id;

create temp table measured as
select
    'net_of_returns' as method, 'customer' as unit, customer_id as unit_id,
    max(ordered_on) filter (where is_purchase) as last_on, count(*) filter (where is_purchase) as frequency,
    cast(sum(amount_net) as decimal(18, 4)) as monetary
from marts.orders
where customer_id <> 'unknown' and ordered_on <= :as_of_on
group by 3
union all
select
    'household', 'household', coalesce(customers.household_id, orders.customer_id),
    max(ordered_on) filter (where is_purchase), count(*) filter (where is_purchase),
    cast(sum(amount_net) as decimal(18, 4))
from marts.orders as orders
left join rcu.customers as customers on orders.customer_id = customers.customer_id
where orders.customer_id <> 'unknown' and ordered_on <= :as_of_on
group by 3;

create table marts.rfm_scores as
with
scored as (
    select *, cast(:as_of_on - last_on as integer) as recency_days from measured where frequency > 0 and monetary > 0
),
edges as (
    select
        method,
        quantile_cont(recency_days, [0.2, 0.4, 0.6, 0.8]) as r,
        quantile_cont(frequency, [0.2, 0.4, 0.6, 0.8]) as f,
        quantile_cont(cast(monetary as double), [0.2, 0.4, 0.6, 0.8]) as m
    from scored
    group by method
),
scores as (
    select
        scored.*,
        5 - len(list_filter(r, lambda e: recency_days > e)) as recency_score,
        1 + len(list_filter(f, lambda e: frequency > e)) as frequency_score,
        1 + len(list_filter(m, lambda e: cast(monetary as double) > e)) as monetary_score
    from scored
    inner join edges on scored.method = edges.method
)
select
    method, unit, unit_id, recency_days, cast(frequency as integer) as frequency, monetary,
    cast(scores.recency_score as integer) as recency_score, cast(scores.frequency_score as integer) as frequency_score,
    cast(monetary_score as integer) as monetary_score, segment
from scores
inner join control.rfm_grid as grid
    on scores.recency_score = grid.recency_score and scores.frequency_score = grid.frequency_score;

create table marts.cohort_retention as
with
bought as (
    select
        customer_id, cast(date_trunc('month', ordered_on) as date) as month_on, amount_gross, amount_net,
        min(cast(date_trunc('month', ordered_on) as date)) over (partition by customer_id) as cohort_on
    from marts.orders
    where is_purchase and customer_id <> 'unknown'
),
activity as (
    select cohort_on, month_on, count(distinct customer_id) as customers, count(*) as orders,
        sum(amount_gross) as gross, sum(amount_net) as net
    from bought
    group by all
),
months as (
    select cohort_on, customers as cohort_size, cast(unnest(generate_series(
        cast(cohort_on as timestamp), date_trunc('month', :as_of_on), interval 1 month)) as date) as month_on
    from activity
    where cohort_on = month_on
)
select
    months.cohort_on, months.month_on,
    cast(date_diff('month', months.cohort_on, months.month_on) as integer) as months_since,
    cast(cohort_size as integer) as cohort_size, cast(coalesce(customers, 0) as integer) as customer_count,
    coalesce(customers, 0) / cohort_size as retention_rate, cast(coalesce(orders, 0) as integer) as order_count,
    cast(coalesce(gross, 0) as decimal(18, 4)) as amount_gross, cast(coalesce(net, 0) as decimal(18, 4)) as amount_net
from months
left join activity on months.cohort_on = activity.cohort_on and months.month_on = activity.month_on;
