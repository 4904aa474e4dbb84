-- Sources whose lines, or their amounts, are neither in the mart nor left out for a said reason.
select
    source,
    currency
from {{ ref('order_reconciliation') }}
where
    delivered_line_count + added_line_count <> repeated_line_count + same_order_line_count + kept_line_count
    or delivered_amount + added_amount <> repeated_amount + same_order_amount + kept_amount
union all
select
    source,
    'all' as currency
from {{ ref('order_reconciliation') }}
group by source
having sum(delivered_line_count) <> max(staged_line_count)
