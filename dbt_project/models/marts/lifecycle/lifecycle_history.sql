-- One row per customer and stage they were in, from `since_on` to before `until_on` (null: still).
--
-- Worked out anew in each run from purchase dates and the thresholds of each month, and from nothing
-- that earlier runs wrote: a backfill of a past date gives what the run of that day gave or would have
-- given, and a merge of two customers gives one consistent history.
--
-- A purchase opens a spell (`new`, or `reactivated` after the customer was lost), which lasts until the
-- customer is lost again. Within a spell each purchase after the minimum stay gives a tier by the orders
-- of the last 365 days: `loyal` and `ambassador` are gained at one count and kept down to a lower one
-- (hysteresis), at least for the minimum stay. Between purchases only silence changes the stage.
{{ config(tags=['serve'], meta={'touched': {
    'key': 'customer_id',
    'by': {
        'int_purchase_days': 'customer_id',
        'customers': {'columns': 'customer_id, first_seen_on', 'key': 'customer_id'},
    },
}}) }}
with

settings as (

    select minimum_stay_days from {{ source('control', 'lifecycle_settings') }}

),

customers as (

    select
        customer_id,
        first_seen_on
    from {{ ref('customers') }} as customers
    where {{ only_touched('customers.customer_id') }}

),

purchases as (

    select
        days.customer_id,
        days.ordered_on,
        days.previous_on,
        days.next_on,
        days.order_count_365d,
        deadlines.at_risk_on,
        deadlines.lost_on,
        days.previous_on is not null and days.ordered_on > previous_deadlines.at_risk_on as is_after_risk,
        case
            when days.previous_on is null or days.ordered_on > previous_deadlines.lost_on then 1
            else 0
        end as opens_spell,
        thresholds.loyal_orders,
        thresholds.ambassador_orders,
        thresholds.loyal_kept_orders,
        thresholds.ambassador_kept_orders
    from {{ ref('int_purchase_days') }} as days
    inner join customers on days.customer_id = customers.customer_id
    inner join {{ ref('int_lifecycle_deadlines') }} as deadlines
        on days.rhythm_group = deadlines.rhythm_group and days.ordered_on = deadlines.ordered_on
    left join {{ ref('int_lifecycle_deadlines') }} as previous_deadlines
        on
            days.previous_rhythm_group = previous_deadlines.rhythm_group
            and days.previous_on = previous_deadlines.ordered_on
    inner join {{ ref('lifecycle_thresholds') }} as thresholds
        on
            days.rhythm_group = thresholds.rhythm_group
            and {{ month_of('days.ordered_on') }} = thresholds.month_on

),

spells as (

    select
        *,
        sum(opens_spell) over (
            partition by customer_id order by ordered_on rows between unbounded preceding and current row
        ) as spell
    from purchases

),

gained as (

    select
        *,
        min(ordered_on) over (partition by customer_id, spell) as spell_since_on,
        max(case when order_count_365d >= loyal_orders then ordered_on end) over (
            partition by customer_id, spell order by ordered_on rows between unbounded preceding and current row
        ) as loyal_gained_on,
        max(case when order_count_365d >= ambassador_orders then ordered_on end) over (
            partition by customer_id, spell order by ordered_on rows between unbounded preceding and current row
        ) as ambassador_gained_on
    from spells

),

lost_tiers as (

    select
        gained.*,
        {%- for tier in ['loyal', 'ambassador'] %}
        max(
            case
                when
                    order_count_365d < {{ tier }}_kept_orders
                    and {{ days_between(tier ~ '_gained_on', 'ordered_on') }} >= settings.minimum_stay_days
                    then ordered_on
            end
        ) over (
            partition by customer_id, spell order by ordered_on rows between unbounded preceding and current row
        ) as {{ tier }}_lost_on,
        {%- endfor %}
        settings.minimum_stay_days
    from gained
    cross join settings

),

at_purchase as (

    select
        customer_id,
        ordered_on,
        previous_on,
        next_on,
        order_count_365d,
        at_risk_on,
        lost_on,
        is_after_risk,
        opens_spell,
        case
            when
                spell = 1
                and (opens_spell = 1 or {{ days_between('spell_since_on', 'ordered_on') }} < minimum_stay_days)
                then 'new'
            when opens_spell = 1 or {{ days_between('spell_since_on', 'ordered_on') }} < minimum_stay_days
                then 'reactivated'
            {%- for tier in ['ambassador', 'loyal'] %}
            when {{ tier }}_gained_on is not null and ({{ tier }}_lost_on is null or {{ tier }}_gained_on > {{ tier }}_lost_on)
                then '{{ tier }}'
            {%- endfor %}
            else 'regular'
        end as stage
    from lost_tiers

),

changes as (

    select
        customers.customer_id,
        customers.first_seen_on as since_on,
        'prospect' as stage,
        'known' as reason_code,
        'known, and has not bought yet' as reason
    from customers
    left join (select customer_id, min(ordered_on) as first_on from purchases group by customer_id) as first_purchases
        on customers.customer_id = first_purchases.customer_id
    where first_purchases.first_on is null or customers.first_seen_on < first_purchases.first_on

    union all

    select
        customer_id,
        ordered_on as since_on,
        stage,
        case when opens_spell = 1 and previous_on is null then 'first_purchase' else 'purchase' end as reason_code,
        case
            when previous_on is null then 'first purchase'
            when opens_spell = 1 or is_after_risk
                then
                    'bought again after ' || cast({{ days_between('previous_on', 'ordered_on') }} as varchar(10))
                    || ' days; ' || cast(order_count_365d as varchar(10)) || ' orders in 365 days'
            else cast(order_count_365d as varchar(10)) || ' orders in 365 days'
        end as reason
    from at_purchase

    union all

    select
        customer_id,
        at_risk_on as since_on,
        'at_risk' as stage,
        'silence' as reason_code,
        'no purchase for ' || cast({{ days_between('ordered_on', 'at_risk_on') }} as varchar(10)) || ' days' as reason
    from at_purchase
    where next_on is null or at_risk_on < next_on

    union all

    select
        customer_id,
        lost_on as since_on,
        'abandoner' as stage,
        'silence' as reason_code,
        'no purchase for ' || cast({{ days_between('ordered_on', 'lost_on') }} as varchar(10)) || ' days' as reason
    from at_purchase
    where next_on is null or lost_on < next_on

),

past_changes as (

    select
        changes.customer_id,
        changes.since_on,
        changes.stage,
        changes.reason_code,
        changes.reason,
        lag(changes.stage) over (partition by changes.customer_id order by changes.since_on) as stage_before
    from changes
    cross join {{ source('control', 'as_of') }} as as_of
    where changes.since_on <= as_of.as_of_on

),

stages as (

    select
        customer_id,
        stage,
        since_on,
        lead(since_on) over (partition by customer_id order by since_on) as until_on,
        stage_before as previous_stage,
        reason_code,
        reason
    from past_changes
    where stage_before is null or stage_before <> stage

)

select
    stages.customer_id,
    stages.stage,
    stages.since_on,
    stages.until_on,
    cast({{ days_between('stages.since_on', 'coalesce(stages.until_on, as_of.as_of_on)') }} as integer) as days_in_stage,
    stages.until_on is null as is_current,
    stages.previous_stage,
    stages.reason_code,
    stages.reason
from stages
cross join {{ source('control', 'as_of') }} as as_of
