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

create table marts.products as
select coalesce(catalogue.product_id, named.product_id) as product_id, coalesce(catalogue.label, named.label) as label,
    category, subcategory, brand, lower(audience) as audience, unit_price,
    coalesce(catalogue.product_id, named.product_id) <> 'PORT' as is_product,
    catalogue.product_id is not null as is_in_catalogue, coalesce(is_discontinued, false) as is_discontinued,
    cast(coalesce(line_count, 0) as integer) as line_count
from staging.stg_products as catalogue
full join (
    select product_id, any_value(product_label) as label, count(*) as line_count
    from staging.stg_order_lines
    group by product_id
) as named on catalogue.product_id = named.product_id;

create table marts.customer_rfm as
select unit_id as customer_id, method as rfm_method, recency_days, frequency, monetary,
    recency_score as rfm_recency_score, frequency_score as rfm_frequency_score, monetary_score as rfm_monetary_score,
    segment as rfm_segment
from marts.rfm_scores
where method = 'net_of_returns';

-- the default method at the last twelve months' ends and at the date: moment 0 is the date
create temp table moments as
select 0 as moment, :as_of_on as day
union all
select n, cast(date_trunc('month', :as_of_on) - to_months(cast(n - 1 as integer)) - interval 1 day as date)
from range(1, 13) as numbers(n);

create temp table moment_measures as
with
-- what became known between two moments, added up from the oldest one on
known as (
    select orders.customer_id, max(moment) as moment, max(ordered_on) filter (where is_purchase) as last_on,
        count(*) filter (where is_purchase) as frequency, sum(amount_net) as monetary
    from (
        select customer_id, ordered_on, is_purchase, amount_net,
            (select count(*) from moments where day >= ordered_on) - 1 as moment
        from marts.orders
        where customer_id <> 'unknown' and ordered_on <= :as_of_on
    ) as orders
    group by orders.customer_id, orders.moment
),
firsts as (select customer_id, max(moment) as moment from known group by customer_id),
grid as (
    select firsts.customer_id, moments.moment, moments.day
    from firsts
    inner join moments on moments.moment <= firsts.moment
)
select grid.customer_id, grid.moment, grid.day,
    max(last_on) over oldest_first as last_on,
    coalesce(sum(frequency) over oldest_first, 0) as frequency,
    coalesce(sum(monetary) over oldest_first, 0) as monetary
from grid
left join known on grid.customer_id = known.customer_id and grid.moment = known.moment
window oldest_first as (
    partition by grid.customer_id order by grid.moment desc rows between unbounded preceding and current row
);

create table marts.rfm_history as
with
scored as (
    select *, cast(day - last_on as integer) as recency_days
    from moment_measures
    where frequency > 0 and monetary > 0
),
edges as (
    select moment,
        quantile_cont(recency_days, [0.2, 0.4, 0.6, 0.8]) as r,
        quantile_cont(frequency, [0.2, 0.4, 0.6, 0.8]) as f,
        quantile_cont(cast(monetary as double), [0.2, 0.4, 0.6, 0.8]) as m
    from scored
    group by moment
),
scores as (
    select scored.customer_id, scored.moment, scored.day,
        5 - cast(recency_days > r[1] as integer) - cast(recency_days > r[2] as integer)
            - cast(recency_days > r[3] as integer) - cast(recency_days > r[4] as integer) as recency_score,
        1 + cast(frequency > f[1] as integer) + cast(frequency > f[2] as integer)
            + cast(frequency > f[3] as integer) + cast(frequency > f[4] as integer) as frequency_score,
        1 + cast(monetary > m[1] as integer) + cast(monetary > m[2] as integer)
            + cast(monetary > m[3] as integer) + cast(monetary > m[4] as integer) as monetary_score
    from (select *, cast(monetary as double) as amount from scored) as scored
    inner join edges on scored.moment = edges.moment
),
segmented as (
    select customer_id, moment, day, scores.recency_score, scores.frequency_score, monetary_score, segment,
        lag(segment) over (partition by customer_id order by moment desc) as segment_before,
        lag(moment) over (partition by customer_id order by moment desc) as moment_before
    from scores
    inner join control.rfm_grid as grid
        on scores.recency_score = grid.recency_score and scores.frequency_score = grid.frequency_score
),
begun as (
    select *, sum(cast(begins as integer)) over (partition by customer_id order by moment desc) as spell
    from (
        select *, segment_before is null or segment_before <> segment or moment_before <> moment + 1 as begins
        from segmented
    ) as bounds
)
select customer_id, min(day) as since_on,
    case when min(moment) > 0 then (select m.day from moments as m where m.moment = min(begun.moment) - 1) end
        as until_on,
    min(moment) = 0 as is_current, any_value(segment) as rfm_segment,
    cast(max(recency_score) filter (where begins) as integer) as rfm_recency_score,
    cast(max(frequency_score) filter (where begins) as integer) as rfm_frequency_score,
    cast(max(monetary_score) filter (where begins) as integer) as rfm_monetary_score
from begun
group by customer_id, spell;

create temp table days as
select customer_id, ordered_on, order_count,
    lag(ordered_on) over by_day as previous_on,
    lead(ordered_on) over by_day as next_on,
    cast(sum(order_count) over (
        partition by customer_id order by ordered_on range between interval 364 days preceding and current row
    ) as integer) as order_count_365d
from (
    select customer_id, ordered_on, cast(count(*) as integer) as order_count
    from marts.orders
    where is_purchase and customer_id <> 'unknown'
    group by all
) as bought
window by_day as (partition by customer_id order by ordered_on);

-- quantiles of the intervals closed before each month; starting days until there are 200 of them and 180 days
create table marts.lifecycle_thresholds as
with
months as (
    select cast(unnest(generate_series(
        cast(date_trunc('month', min(ordered_on)) as timestamp), date_trunc('month', :as_of_on), interval 1 month
    )) as date) as month_on, min(ordered_on) as first_on
    from days
),
histogram as (
    select cast(date_trunc('month', ordered_on) as date) as closed_month, ordered_on - previous_on as interval_days,
        count(*) as interval_count
    from days
    where previous_on is not null
    group by all
),
known as (
    select month_on, interval_days, sum(interval_count) as interval_count
    from months
    inner join histogram on closed_month < month_on
    group by all
),
cumulated as (
    select month_on, interval_days, sum(interval_count) over (partition by month_on order by interval_days) as below,
        sum(interval_count) over (partition by month_on) as total
    from known
),
quantiles as (
    select month_on, max(total) as interval_count,
        min(interval_days) filter (where below >= 0.5 * total) as median_days,
        min(interval_days) filter (where below >= cast(0.80 as double) * total) as late_days,
        min(interval_days) filter (where below >= cast(0.90 as double) * total) as at_risk_days,
        min(interval_days) filter (where below >= cast(0.95 as double) * total) as lost_days
    from cumulated
    group by month_on
),
chosen as (
    select months.month_on, coalesce(interval_count, 0) as interval_count,
        months.month_on - first_on >= 180 and coalesce(interval_count, 0) >= 200 as is_own,
        greatest(case when is_own then median_days else 45 end, 1) as median_days,
        greatest(case when is_own then late_days else 90 end, 1) as late_days,
        case when is_own then at_risk_days else 180 end as at_risk_days,
        case when is_own then lost_days else 365 end as lost_days
    from months
    left join quantiles on months.month_on = quantiles.month_on
),
tiers as (
    select month_on, is_own, interval_count, median_days, late_days,
        greatest(at_risk_days, late_days, 14) as at_risk_days, lost_days,
        greatest(3, ceil(365.0 / late_days)) as loyal_orders,
        greatest(4, ceil(365.0 / median_days), greatest(3, ceil(365.0 / late_days)) + 1) as ambassador_orders
    from chosen
)
select month_on, 'shop' as rhythm_group, case when is_own then 'group' else 'starting_days' end as origin,
    cast(interval_count as integer) as interval_count, cast(median_days as integer) as median_days,
    cast(late_days as integer) as late_days, cast(at_risk_days as integer) as at_risk_days,
    cast(greatest(lost_days, at_risk_days + 14) as integer) as lost_days,
    cast(loyal_orders as integer) as loyal_orders, cast(ambassador_orders as integer) as ambassador_orders,
    cast(ceil(loyal_orders * 0.75) as integer) as loyal_kept_orders,
    cast(ceil(ambassador_orders * 0.75) as integer) as ambassador_kept_orders
from tiers;

-- when who bought on a day, and not since, is at risk, and lost: by the thresholds of the month it happens in
create temp table deadlines as
select ordered_on, at_risk_on, greatest(lost_on, at_risk_on + 14) as lost_on
from (
    select ordered_on,
        min(greatest(ordered_on + at_risk_days, month_on))
            filter (where greatest(ordered_on + at_risk_days, month_on) < next_month_on) as at_risk_on,
        min(greatest(ordered_on + lost_days, month_on))
            filter (where greatest(ordered_on + lost_days, month_on) < next_month_on) as lost_on
    from (select distinct ordered_on from days) as purchase_days
    inner join (
        select *, coalesce(lead(month_on) over (order by month_on), date '9999-01-01') as next_month_on
        from marts.lifecycle_thresholds
    ) as months on months.next_month_on > ordered_on
    group by ordered_on
) as reached;

create temp table stage_changes as
with
purchases as (
    select days.customer_id, days.ordered_on, previous_on, next_on, order_count_365d, own.at_risk_on, own.lost_on,
        previous_on is not null and days.ordered_on > previous.at_risk_on as is_after_risk,
        previous_on is null or days.ordered_on > previous.lost_on as opens_spell,
        order_count_365d >= loyal_orders as gains_loyal, order_count_365d < loyal_kept_orders as drops_loyal,
        order_count_365d >= ambassador_orders as gains_ambassador,
        order_count_365d < ambassador_kept_orders as drops_ambassador
    from days
    inner join deadlines as own on days.ordered_on = own.ordered_on
    left join deadlines as previous on days.previous_on = previous.ordered_on
    inner join marts.lifecycle_thresholds as thresholds
        on cast(date_trunc('month', days.ordered_on) as date) = thresholds.month_on
),
spells as (
    select *, sum(cast(opens_spell as integer)) over (partition by customer_id order by ordered_on) as spell
    from purchases
),
gained as (
    select *, min(ordered_on) over spell_so_far as spell_since_on,
        max(case when gains_loyal then ordered_on end) over spell_so_far as loyal_on,
        max(case when gains_ambassador then ordered_on end) over spell_so_far as ambassador_on
    from spells
    window spell_so_far as (partition by customer_id, spell order by ordered_on)
),
lost as (
    select *,
        max(case when drops_loyal and ordered_on - loyal_on >= 14 then ordered_on end)
            over spell_so_far as loyal_lost_on,
        max(case when drops_ambassador and ordered_on - ambassador_on >= 14 then ordered_on end)
            over spell_so_far as ambassador_lost_on
    from gained
    window spell_so_far as (partition by customer_id, spell order by ordered_on)
),
staged as (
    select *,
        case
            when opens_spell or ordered_on - spell_since_on < 14
                then case when spell = 1 then 'new' else 'reactivated' end
            when ambassador_on > ambassador_lost_on or (ambassador_on is not null and ambassador_lost_on is null)
                then 'ambassador'
            when loyal_on > loyal_lost_on or (loyal_on is not null and loyal_lost_on is null) then 'loyal'
            else 'regular'
        end as stage
    from lost
)
select customers.customer_id, first_seen_on as since_on, 'prospect' as stage, 'known' as reason_code,
    'known, and has not bought yet' as reason
from rcu.customers as customers
left join (select customer_id, min(ordered_on) as first_on from days group by customer_id) as firsts
    on customers.customer_id = firsts.customer_id
where first_on is null or first_seen_on < first_on
union all
select customer_id, ordered_on, stage, case when previous_on is null then 'first_purchase' else 'purchase' end,
    case
        when previous_on is null then 'first purchase'
        when opens_spell or is_after_risk
            then 'bought again after ' || (ordered_on - previous_on) || ' days; ' || order_count_365d
                || ' orders in 365 days'
        else order_count_365d || ' orders in 365 days'
    end
from staged
union all
select customer_id, at_risk_on, 'at_risk', 'silence', 'no purchase for ' || (at_risk_on - ordered_on) || ' days'
from staged
where (next_on is null or at_risk_on < next_on) and at_risk_on <= :as_of_on
union all
select customer_id, lost_on, 'abandoner', 'silence', 'no purchase for ' || (lost_on - ordered_on) || ' days'
from staged
where (next_on is null or lost_on < next_on) and lost_on <= :as_of_on;

create table marts.lifecycle_history as
select customer_id, stage, since_on, until_on,
    cast(coalesce(until_on, :as_of_on) - since_on as integer) as days_in_stage, until_on is null as is_current,
    previous_stage, reason_code, reason
from (
    select customer_id, stage, since_on, lead(since_on) over (partition by customer_id order by since_on) as until_on,
        stage_before as previous_stage, reason_code, reason
    from (
        select *, lag(stage) over (partition by customer_id order by since_on) as stage_before from stage_changes
    ) as changes
    where stage_before is null or stage_before <> stage
) as stages;

create table marts.customer_lifecycle as
select customers.customer_id, stage as lifecycle_stage, since_on as lifecycle_since_on, days_in_stage,
    reason as lifecycle_reason, reason_code as lifecycle_reason_code, previous_stage as previous_lifecycle_stage,
    case stage when 'prospect' then null when 'abandoner' then null when 'at_risk' then 'abandoner' else 'at_risk' end
        as next_stage_if_silent,
    case stage when 'prospect' then null when 'abandoner' then null when 'at_risk' then lost_on else at_risk_on end
        as next_stage_on
from rcu.customers as customers
inner join marts.lifecycle_history as history on customers.customer_id = history.customer_id and history.is_current
left join days on customers.customer_id = days.customer_id and days.next_on is null
left join deadlines on days.ordered_on = deadlines.ordered_on;

create temp table stage_moments as
select cast(date_trunc('month', :as_of_on) - to_months(cast(n as integer)) as date) as day
from range(13) as numbers(n)
union
select :as_of_on - cast(unnest([0, 7, 30, 90, 365]) as integer);

create temp table stages_then as
select customer_id, day, stage
from marts.lifecycle_history
inner join stage_moments on since_on <= day and (until_on is null or until_on > day);

create table marts.lifecycle_transitions as
with
periods as (
    select 'month' as period, cast(date_trunc('month', :as_of_on) - to_months(cast(n as integer)) as date) as from_on,
        cast(date_trunc('month', :as_of_on) - to_months(cast(n - 1 as integer)) as date) as to_on
    from range(1, 13) as numbers(n)
    union all
    select 'last_' || n || '_days', :as_of_on - cast(n as integer), :as_of_on from (select unnest([7, 30, 90, 365]) as n)
)
select period, from_on, to_on, coalesce(before.stage, 'unknown') as from_stage, after.stage as to_stage,
    cast(count(*) as integer) as customer_count
from periods
inner join stages_then as after on periods.to_on = after.day
left join stages_then as before on after.customer_id = before.customer_id and periods.from_on = before.day
group by all;

create table marts.customer_preferences as
with
counted as (
    select customer_id, 'category' as dimension, category as preferred_value, count(*) as times, sum(amount_gross) as amount
    from marts.order_lines
    where customer_id <> 'unknown' and line_kind = 'sale' and is_product and category is not null group by all
    union all
    select customer_id, 'brand', brand, count(*), sum(amount_gross) from marts.order_lines
    where customer_id <> 'unknown' and line_kind = 'sale' and is_product and brand is not null group by all
    union all
    select customer_id, 'audience', audience, count(*), sum(amount_gross) from marts.order_lines
    where customer_id <> 'unknown' and line_kind = 'sale' and is_product and audience is not null group by all
    union all
    select customer_id, 'channel', channel, count(*), sum(amount_gross) from marts.orders
    where customer_id <> 'unknown' and is_purchase and channel is not null group by all
    union all
    select customer_id, 'store', store, count(*), sum(amount_gross) from marts.orders
    where customer_id <> 'unknown' and is_purchase and store is not null group by all
    union all
    select customer_id, 'week_day', cast(isodow(ordered_on) as varchar), count(*), sum(amount_gross) from marts.orders
    where customer_id <> 'unknown' and is_purchase group by all
    union all
    select customer_id, 'hour', cast(ordered_hour as varchar), count(*), sum(amount_gross) from marts.orders
    where customer_id <> 'unknown' and is_purchase group by all
),
weighed as (
    select *, case when dimension in ('category', 'brand', 'audience') then amount else times end as weight from counted
)
select customer_id, dimension, preferred_value,
    cast(row_number() over (
        partition by customer_id, dimension order by weight desc, times desc, preferred_value
    ) as integer) as preference,
    cast(times as integer) as times_bought, cast(amount as decimal(18, 4)) as amount_gross,
    cast(weight as double) / cast(sum(weight) over (partition by customer_id, dimension) as double) as share
from weighed;

create temp table baskets as
select distinct order_lines.order_id, product_id
from marts.order_lines as order_lines
inner join marts.orders as orders on order_lines.order_id = orders.order_id
where line_kind = 'sale' and is_product and is_purchase and product_count between 2 and 60
    and orders.ordered_on > :as_of_on - 365;

create table marts.product_affinity as
with
singles as (select product_id, count(*) as orders from baskets group by product_id),
everything as (select count(distinct order_id) as orders from baskets),
pairs as (
    select one.product_id, other.product_id as with_product_id, count(*) as order_count
    from baskets as one
    inner join baskets as other on one.order_id = other.order_id and one.product_id <> other.product_id
    group by all
    having count(*) >= 5
),
measured as (
    select pairs.product_id, with_product_id, order_count, cast(order_count as double) / everything.orders as support,
        cast(order_count as double) / one.orders as confidence,
        cast(order_count as double) * everything.orders / (one.orders * other.orders) as lift
    from pairs
    inner join singles as one on pairs.product_id = one.product_id
    inner join singles as other on pairs.with_product_id = other.product_id
    cross join everything
)
select product_id, with_product_id,
    cast(row_number() over (partition by product_id order by confidence desc, lift desc, with_product_id) as integer)
        as closeness,
    cast(order_count as integer) as order_count, support, confidence, lift
from measured
qualify closeness <= 20;

create temp table bought as
select customer_id, product_id, max(ordered_on) as last_bought_on
from marts.order_lines
where customer_id <> 'unknown' and line_kind = 'sale' and is_product
group by all;

create temp table proposed as
with
latest as (
    select customer_id, product_id from bought
    qualify row_number() over (partition by customer_id order by last_bought_on desc, product_id) <= 5
),
going_together as (
    select customer_id, with_product_id as product_id, sum(confidence) as weight, max(lift) as lift,
        min(affinity.product_id) as because_of_product_id
    from latest
    inner join marts.product_affinity as affinity
        on latest.product_id = affinity.product_id and closeness <= 10 and lift > 1
    group by all
)
select customer_id, product_id, weight, lift, because_of_product_id,
    row_number() over (partition by customer_id order by weight desc, lift desc, product_id) as position
from going_together
inner join marts.products as products using (product_id)
anti join bought using (customer_id, product_id)
where products.is_product and not products.is_discontinued and (
    audience is null
    or (customer_id, audience) in (
        select (customer_id, preferred_value) from marts.customer_preferences where dimension = 'audience'
    )
);

create table marts.recommendations as
with
tastes as (
    select buyers.customer_id, coalesce(category, '') as category, coalesce(audiences, '') as audiences,
        coalesce(positions, 0) as positions
    from (select distinct customer_id from bought) as buyers
    left join (
        select customer_id, max(preferred_value) filter (where dimension = 'category') as category,
            string_agg(preferred_value, ',' order by preferred_value) filter (where dimension = 'audience') as audiences
        from marts.customer_preferences
        where dimension = 'audience' or (dimension = 'category' and preference = 1)
        group by customer_id
    ) as liked on buyers.customer_id = liked.customer_id
    left join (select customer_id, count(*) as positions from proposed group by customer_id) as proposals
        on buyers.customer_id = proposals.customer_id
    where coalesce(positions, 0) < 5
),
sold as (
    select product_id, count(*) as line_count
    from marts.order_lines
    where line_kind = 'sale' and is_product and ordered_on <= :as_of_on and ordered_on > :as_of_on - 365
    group by product_id
),
best as (
    select tastes.category, audiences, products.product_id,
        coalesce(products.category = tastes.category, false) as is_of_category,
        row_number() over (
            partition by tastes.category, audiences
            order by coalesce(products.category = tastes.category, false) desc, sold.line_count desc, products.product_id
        ) as place
    from (select distinct category, audiences from tastes) as tastes
    cross join marts.products as products
    inner join sold on products.product_id = sold.product_id
    where products.is_product and not products.is_discontinued
        and (audience is null or list_contains(string_split(audiences, ','), audience))
    qualify place <= 15
),
filled as (
    select customer_id, product_id, is_of_category,
        positions + row_number() over (partition by customer_id order by place) as position
    from tastes
    inner join best using (category, audiences)
    anti join bought using (customer_id, product_id)
    anti join proposed using (customer_id, product_id)
)
select customer_id, cast(position as integer) as position, product_id, 'bought_together' as chosen_by,
    because_of_product_id, weight, lift
from proposed
where position <= 5
union all
select customer_id, cast(position as integer), product_id,
    case when is_of_category then 'best_of_category' else 'best_of_shop' end, null, null, null
from filled
where position <= 5;

create table marts.purchases_by_month as
with
months as (
    select cast(unnest(generate_series(
        cast(date_trunc('month', min(ordered_on)) as timestamp), date_trunc('month', :as_of_on), interval 1 month
    )) as date) as month_on
    from marts.orders
),
activity as (
    select cast(date_trunc('month', ordered_on) as date) as month_on,
        count(*) filter (where is_purchase) as orders,
        count(distinct customer_id) filter (where is_purchase and customer_id <> 'unknown') as customers,
        count(*) filter (where purchase_number = 1) as firsts,
        count(*) filter (where purchase_number = 2) as seconds,
        avg(product_count) filter (where is_purchase) as products,
        avg(quantity_sold) filter (where is_purchase) as units,
        sum(amount_gross) as gross, sum(amount_returned) as returned, sum(amount_net) as net,
        sum(amount_gross) filter (where purchase_number = 1) as gross_new,
        sum(amount_gross) filter (where purchase_number > 1) as gross_returning
    from marts.orders
    where ordered_on <= :as_of_on
    group by all
),
cumulated as (
    select *, sum(coalesce(firsts, 0)) over (order by month_on) as buyers,
        sum(coalesce(seconds, 0)) over (order by month_on) as repeat_buyers
    from months
    left join activity using (month_on)
)
select month_on, cast(coalesce(orders, 0) as integer) as order_count,
    cast(coalesce(customers, 0) as integer) as customer_count, cast(coalesce(firsts, 0) as integer) as new_customer_count,
    cast(coalesce(customers - firsts, 0) as integer) as returning_customer_count,
    cast(products as double) as products_per_order, cast(units as double) as units_per_order,
    cast(gross / nullif(orders, 0) as decimal(18, 4)) as average_order_amount,
    cast(coalesce(gross, 0) as decimal(18, 4)) as amount_gross,
    cast(coalesce(returned, 0) as decimal(18, 4)) as amount_returned,
    cast(coalesce(net, 0) as decimal(18, 4)) as amount_net,
    cast(coalesce(gross_new, 0) as decimal(18, 4)) as amount_gross_new,
    cast(coalesce(gross_returning, 0) as decimal(18, 4)) as amount_gross_returning,
    cast(buyers as integer) as buyer_count, cast(repeat_buyers as integer) as repeat_buyer_count,
    repeat_buyers / nullif(buyers, 0) as repeat_rate
from cumulated;

create table marts.revenue_by_month as
select cast(date_trunc('month', ordered_on) as date) as month_on, coalesce(channel, 'unknown') as channel,
    coalesce(region, 'unknown') as region,
    case when orders.customer_id = 'unknown' then 'unknown' when purchase_number = 1 then 'new' else 'returning' end
        as buyer,
    cast(count(distinct orders.customer_id) filter (where is_purchase and orders.customer_id <> 'unknown') as integer)
        as customer_count,
    cast(count(*) filter (where is_purchase) as integer) as order_count,
    cast(sum(quantity_sold) as decimal(18, 4)) as quantity_sold,
    cast(avg(product_count) filter (where is_purchase) as double) as products_per_order,
    cast(sum(amount_gross) as decimal(18, 4)) as amount_gross,
    cast(sum(amount_returned) as decimal(18, 4)) as amount_returned,
    cast(sum(amount_net) as decimal(18, 4)) as amount_net, cast(sum(amount_tax) as decimal(18, 4)) as amount_tax,
    cast(sum(amount_discount) as decimal(18, 4)) as amount_discount,
    cast(sum(amount_fees) as decimal(18, 4)) as amount_fees
from marts.orders as orders
left join rcu.customers as customers on orders.customer_id = customers.customer_id
where ordered_on <= :as_of_on
group by 1, 2, 3, 4;

create table marts.order_reconciliation as
select 'shop' as source, currency, sum(delivered_lines) over () as staged_line_count,
    delivered_lines as delivered_line_count, cast(delivered as decimal(18, 4)) as delivered_amount,
    0 as added_line_count, 0 as added_amount, 0 as repeated_line_count, 0 as repeated_amount,
    0 as same_order_line_count, 0 as same_order_amount,
    kept_lines as kept_line_count, cast(kept as decimal(18, 4)) as kept_amount
from (
    select currency, count(*) as delivered_lines,
        sum(cast(quantity * unit_price as decimal(18, 4))
            - case when quantity < 0 then - amount_discount else amount_discount end) as delivered
    from staging.stg_order_lines
    group by currency
) as delivered
full join (
    select currency, count(*) as kept_lines, sum(amount_delivered) as kept from marts.order_lines group by currency
) as kept using (currency);

create table marts.customer_scores as
select customer_id, purchase_probability_30d, purchase_probability_90d, purchase_probability_365d,
    expected_orders_365d, expected_value_365d, churn_risk_band, model, withheld_reason
from scores.customer_scores;

create temp table contact as
select customer_id,
    max(is_contactable) filter (where channel = 'email') as email, max(is_contactable) filter (where channel = 'sms') as sms,
    max(is_contactable) filter (where channel = 'phone') as phone, max(is_contactable) filter (where channel = 'post') as post,
    max(reason) filter (where channel = 'email' and not is_contactable) as email_reason,
    max(reason) filter (where channel = 'sms' and not is_contactable) as sms_reason,
    max(reason) filter (where channel = 'phone' and not is_contactable) as phone_reason,
    max(reason) filter (where channel = 'post' and not is_contactable) as post_reason
from rcu.contactability
where purpose = 'marketing'
group by customer_id;

create table marts.customer_plans as
select lifecycle.customer_id,
    case
        when lifecycle_stage = 'prospect' then 'welcome'
        when lifecycle_stage in ('new', 'reactivated') then 'conversion'
        when lifecycle_stage in ('at_risk', 'abandoner') then 'reactivation'
        else 'loyalty'
    end as plan,
    'their stage' as plan_reason, '-' as plan_offer_en, '-' as plan_offer_fr,
    case
        when email then 'email'
        when lifecycle_stage in ('prospect', 'regular', 'loyal', 'ambassador') then case when sms then 'sms' end
        when post then 'post'
    end as plan_channel,
    14 as plan_every_days, cast(null as varchar) as plan_runner_up, cast(null as varchar) as plan_runner_up_reason
from marts.customer_lifecycle as lifecycle
left join contact on lifecycle.customer_id = contact.customer_id;

create table marts.customer_360 as
with
bought as (
    select customer_id, min(ordered_on) filter (where is_purchase) as first_order_on,
        max(ordered_on) filter (where is_purchase) as last_order_on,
        count(*) filter (where is_purchase) as orders,
        count(*) filter (where is_purchase and ordered_on > :as_of_on - 365) as orders_365d,
        count(distinct ordered_on) filter (where is_purchase) as purchase_days,
        sum(amount_gross) as gross, sum(amount_returned) as returned, sum(amount_net) as net,
        sum(amount_net) filter (where ordered_on > :as_of_on - 365) as net_365d, sum(amount_discount) as discount,
        count(*) filter (where is_purchase and amount_discount > 0) as discounted,
        count(distinct channel) filter (where is_purchase) as channels,
        bool_or(is_purchase and channel in ('web', 'app')) as has_web, bool_or(is_purchase and channel = 'store') as has_store
    from marts.orders
    where customer_id <> 'unknown' and ordered_on <= :as_of_on
    group by customer_id
),
placed as (
    select customer_id, floor(100.0 * (count(*) over () - rank() over (order by net desc)) / (count(*) over () - 1)) as place
    from bought
    where orders > 0
),
liked as (
    select customer_id,
        max(preferred_value) filter (where preference = 1 and dimension = 'channel') as channel,
        max(preferred_value) filter (where preference = 1 and dimension = 'store') as store,
        max(preferred_value) filter (where preference = 1 and dimension = 'category') as category,
        max(preferred_value) filter (where preference = 1 and dimension = 'brand') as brand,
        max(preferred_value) filter (where preference = 1 and dimension = 'audience') as audience,
        max(preferred_value) filter (where preference = 1 and dimension = 'week_day') as week_day,
        max(preferred_value) filter (where preference = 1 and dimension = 'hour') as hour,
        count(*) filter (where dimension = 'category') as categories,
        string_agg(preferred_value, ',' order by preferred_value) filter (where dimension = 'audience') as audiences
    from marts.customer_preferences
    where preference = 1 or dimension in ('category', 'audience')
    group by customer_id
),
shop as (select round(sum(discounted) / sum(orders), 3) as discounted_rate from bought)
select customers.customer_id, household_id, civility, first_name, last_name, birth_on,
    cast(date_diff('year', birth_on, :as_of_on)
        - cast(strftime(:as_of_on, '%m%d') < strftime(birth_on, '%m%d') as integer) as integer) as age_years,
    sex, coalesce(age_years < 18, false) as is_minor, email, phone, address_line, postal_code, city, department, region,
    country, language, custom, tags, interests, preferred_contact_channel, first_seen_on, last_contact_at,
    cast(:as_of_on - cast(last_contact_at as date) as integer) as days_since_last_contact,
    cast(record_count as integer) as record_count, cast(source_count as integer) as source_count, sources, is_suppressed,
    email is not null as has_email, phone is not null as has_phone,
    address_line is not null and postal_code is not null as has_postal_address,
    coalesce(contact.is_email, false) as is_contactable_email, coalesce(contact.is_sms, false) as is_contactable_sms,
    coalesce(contact.is_phone, false) as is_contactable_phone, coalesce(contact.is_post, false) as is_contactable_post,
    case when not coalesce(contact.is_email, false) then coalesce(email_reason, 'no_consent') end as email_contact_reason,
    case when not coalesce(contact.is_sms, false) then coalesce(sms_reason, 'no_consent') end as sms_contact_reason,
    case when not coalesce(contact.is_phone, false) then coalesce(phone_reason, 'no_consent') end as phone_contact_reason,
    case when not coalesce(contact.is_post, false) then coalesce(post_reason, 'no_consent') end as post_contact_reason,
    cast(null as double) as email_freshness, cast(null as double) as phone_freshness,
    cast(null as double) as address_freshness, cast(null as double) as address_doubt,
    first_order_on, last_order_on, cast(:as_of_on - last_order_on as integer) as days_since_last_order,
    cast(coalesce(orders, 0) as integer) as order_count, cast(coalesce(orders_365d, 0) as integer) as order_count_365d,
    cast(coalesce(gross, 0) as decimal(18, 4)) as amount_gross,
    cast(coalesce(returned, 0) as decimal(18, 4)) as amount_returned,
    cast(coalesce(net, 0) as decimal(18, 4)) as amount_net,
    cast(coalesce(net_365d, 0) as decimal(18, 4)) as amount_net_365d,
    cast(gross / nullif(orders, 0) as decimal(18, 4)) as average_order_amount,
    case when gross > 0 then least(cast(returned / gross as double), 1) end as return_rate,
    case when gross + discount > 0 then cast(discount / (gross + discount) as double) end as discount_rate,
    discounted / nullif(orders, 0) as discounted_order_rate,
    case when orders > 0 then (discounted + 4 * discounted_rate) / (orders + 4) end as price_sensitivity,
    case when purchase_days > 1 then (last_order_on - first_order_on) / (purchase_days - 1) end as average_interval_days,
    liked.channel as preferred_channel, liked.store as preferred_store, liked.category as preferred_category,
    liked.brand as preferred_brand, liked.audience as preferred_audience,
    cast(liked.week_day as integer) as preferred_week_day, cast(liked.hour as integer) as preferred_hour, audiences,
    cast(coalesce(categories, 0) as integer) as category_count, cast(coalesce(channels, 0) as integer) as channel_count,
    coalesce(has_web, false) as has_web_order, coalesce(has_store, false) as has_store_order,
    rfm_recency_score, rfm_frequency_score, rfm_monetary_score, rfm_segment,
    lifecycle_stage, lifecycle_since_on, days_in_stage, lifecycle_reason, previous_lifecycle_stage,
    next_stage_if_silent, next_stage_on, churn_risk_band, purchase_probability_30d, purchase_probability_90d,
    purchase_probability_365d, expected_orders_365d, expected_value_365d,
    cast(null as timestamp) as last_email_open_at, cast(null as timestamp) as last_email_click_at,
    0 as email_click_count_90d, 0 as email_sent_count_90d, 0 as session_count_30d,
    cast(null as timestamp) as last_session_at, cast(null as timestamp) as last_cart_at, 0 as call_count_365d,
    cast(null as double) as last_survey_score,
    plan, plan_reason, plan_channel, plan_runner_up, plan_runner_up_reason,
    case when place is not null then least(place, 99) / 100.0 end as value_percentile,
    cast(cast('0x' || substr(md5(customers.customer_id), 1, 8) as bigint) % 100 as integer) as control_bucket,
    as_of_on
from rcu.customers as customers
cross join shop
left join (
    select customer_id, email as is_email, sms as is_sms, phone as is_phone, post as is_post,
        email_reason, sms_reason, phone_reason, post_reason
    from contact
) as contact using (customer_id)
left join bought using (customer_id)
left join placed using (customer_id)
left join liked using (customer_id)
left join marts.customer_rfm using (customer_id)
left join marts.customer_lifecycle using (customer_id)
left join marts.customer_scores using (customer_id)
left join marts.customer_plans using (customer_id);

create table marts.plan_coverage as
select lifecycle_stage, coalesce(plan, 'none') as plan, coalesce(plan_channel, 'none') as channel,
    case when plan_channel is null then 'unreachable' else 'covered' end as coverage,
    case when plan_channel is null then 'email: ' || email_contact_reason else 'covered' end as reason,
    any_value(plan) as plan_label_en, any_value(plan) as plan_label_fr, '-' as offer_en, '-' as offer_fr,
    count(*) as customer_count,
    cast(count(*) as double) / sum(count(*)) over (partition by lifecycle_stage) as stage_rate, any_value(as_of_on) as as_of_on
from marts.customer_360
group by 1, 2, 3, 4, 5;
