-- One row per contact value, sign and day: what showed that the value works (is_good) or no longer does.
-- `sign`: click, survey, delivery, call, purchase; hard_bounce, soft_bounce, returned_mail, wrong_number.
{{ config(tags=['prepare'], meta={'touched': {
    'key': 'value',
    'by': {
        'stg_events': {'query': values_referred_to()}, 'stg_orders': {'query': values_referred_to()},
        'stg_order_lines': {'query': values_referred_to()}, 'int_contact_history': 'value',
    },
}}) }}
with

events as (

    select
        event_type,
        ref_email,
        ref_phone,
        ref_account_source,
        ref_account,
        lower(coalesce(reason, '')) as reason,
        {{ local_date('occurred_at', 'company.time_zone') }} as happened_on
    from {{ ref('stg_events') }} as events
    cross join {{ source('control', 'company') }} as company
    where occurred_at is not null
        and event_type in (
            'email_sent', 'email_click', 'email_bounce', 'survey_answer', 'call', 'mail_returned', 'wrong_number'
        )
        and {{ when_touched(refers_to_touched()) }}

),

bounces as (

    select distinct
        ref_email,
        happened_on,
        case when reason like '%soft%' then 'soft_bounce' else 'hard_bounce' end as sign
    from events
    where event_type = 'email_bounce' and ref_email is not null

),

sent as (

    select distinct
        ref_email,
        happened_on
    from events
    where event_type = 'email_sent' and ref_email is not null

),

-- What is ordered with an address or number shows that it is in use; a parcel, that the address is right.
orders as (

    select
        ref_email,
        ref_phone,
        ref_account_source,
        ref_account,
        channel,
        ordered_at
    from {{ ref('stg_orders') }}
    where ordered_at is not null and {{ when_touched(refers_to_touched()) }}
    union
    select
        ref_email,
        ref_phone,
        ref_account_source,
        ref_account,
        channel,
        ordered_at
    from {{ ref('stg_order_lines') }}
    where ordered_at is not null and {{ when_touched(refers_to_touched()) }}

),

order_days as (

    select distinct
        orders.ref_email,
        orders.ref_phone,
        orders.ref_account_source,
        orders.ref_account,
        coalesce(orders.channel, '') in ('web', 'app') as is_sent_home,
        {{ local_date('orders.ordered_at', 'company.time_zone') }} as happened_on
    from orders
    cross join {{ source('control', 'company') }} as company
    where orders.ref_email is not null or orders.ref_phone is not null or orders.ref_account is not null

),

told as (

    select 'email' as channel, ref_email as value, 'click' as sign, happened_on
    from events
    where event_type = 'email_click' and ref_email is not null
    union all
    select 'email', ref_email, 'survey', happened_on
    from events
    where event_type = 'survey_answer' and ref_email is not null
    union all
    -- a message that came back within three days was not delivered
    select 'email', sent.ref_email, 'delivery', sent.happened_on
    from sent
    where not exists (
        select 1
        from bounces
        where bounces.ref_email = sent.ref_email
            and {{ days_between('sent.happened_on', 'bounces.happened_on') }} between 0 and 3
    )
    union all
    select 'email', ref_email, sign, happened_on
    from bounces
    union all
    select 'phone', ref_phone, 'call', happened_on
    from events
    where event_type = 'call' and ref_phone is not null
    union all
    select 'phone', ref_phone, 'wrong_number', happened_on
    from events
    where event_type = 'wrong_number' and ref_phone is not null
    union all
    select 'email', ref_email, 'purchase', happened_on
    from order_days
    where ref_email is not null
    union all
    select 'phone', ref_phone, 'purchase', happened_on
    from order_days
    where ref_phone is not null
    union all
    -- by account: whatever its record said that day
    select history.channel, history.value,
        case when history.channel = 'post' then 'delivery' else 'purchase' end,
        order_days.happened_on
    from order_days
    inner join {{ ref('int_contact_history') }} as history
        on order_days.ref_account_source = history.source and order_days.ref_account = history.record_id
    where (history.channel = 'email' or (history.channel = 'post' and order_days.is_sent_home))
        and (history.until_on is null or order_days.happened_on < history.until_on)
    union all
    select history.channel, history.value, 'returned_mail', events.happened_on
    from events
    inner join {{ ref('int_contact_history') }} as history
        on events.ref_account_source = history.source and events.ref_account = history.record_id
    where events.event_type = 'mail_returned' and history.channel = 'post'
        and (history.until_on is null or events.happened_on < history.until_on)

)

select distinct
    channel,
    value,
    sign,
    sign not in ('hard_bounce', 'soft_bounce', 'returned_mail', 'wrong_number') as is_good,
    happened_on
from told
where {{ only_touched('value') }}
