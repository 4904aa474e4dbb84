-- One row per customer with an event: when they last reacted, and how much lately.
--
-- Opens count only for customers who granted open tracking: without it an open is not theirs to use.
{{ config(tags=['serve'], meta={'dagster': {'group': 'facts'}, 'touched': {
    'key': 'customer_id',
    'by': {
        'events': 'customer_id',
        'consents': {'columns': 'customer_id, purpose, channel, status', 'key': 'customer_id'},
    },
}}) }}
with

events as (

    select
        events.*,
        {{ days_between('events.occurred_on', 'as_of.as_of_on') }} as days_ago
    from {{ ref('events') }} as events
    cross join {{ source('control', 'as_of') }} as as_of
    where events.customer_id <> 'unknown' and events.occurred_on <= as_of.as_of_on
        and {{ only_touched('events.customer_id') }}

),

open_tracking as (

    select distinct customer_id
    from {{ ref('consents') }}
    where purpose = 'open_tracking' and channel = 'email' and status = 'granted'

),

surveys as (

    select
        customer_id,
        value as survey_score,
        row_number() over (partition by customer_id order by occurred_at desc, event_id) as recency_rank
    from events
    where event_type = 'survey_answer' and value is not null

),

totals as (

    select
        customer_id,
        max(case when event_type = 'email_open' then occurred_at end) as last_email_open_at,
        max(case when event_type = 'email_click' then occurred_at end) as last_email_click_at,
        sum(case when event_type = 'email_click' and days_ago < 90 then 1 else 0 end) as email_click_count_90d,
        sum(case when event_type = 'email_sent' and days_ago < 90 then 1 else 0 end) as email_sent_count_90d,
        sum(case when event_type = 'session' and days_ago < 30 then 1 else 0 end) as session_count_30d,
        max(case when event_type = 'session' then occurred_at end) as last_session_at,
        max(case when event_type = 'cart' then occurred_at end) as last_cart_at,
        sum(case when event_type = 'call' and days_ago < 365 then 1 else 0 end) as call_count_365d
    from events
    group by customer_id

)

select
    totals.customer_id,
    case when open_tracking.customer_id is not null then totals.last_email_open_at end as last_email_open_at,
    totals.last_email_click_at,
    totals.email_click_count_90d,
    totals.email_sent_count_90d,
    totals.session_count_30d,
    totals.last_session_at,
    totals.last_cart_at,
    totals.call_count_365d,
    surveys.survey_score as last_survey_score
from totals
left join surveys on totals.customer_id = surveys.customer_id and surveys.recency_rank = 1
left join open_tracking on totals.customer_id = open_tracking.customer_id
