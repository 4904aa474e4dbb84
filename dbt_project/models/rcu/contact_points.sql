-- One row per customer, channel and value: how the customer can be reached, whether the value is fit for
-- use, when it was last confirmed and how likely it is still good.
with

records as (

    select
        links.customer_id,
        records.*
    from {{ source('identity', 'record_customers') }} as links
    inner join {{ ref('int_customer_records') }} as records
        on links.source = records.source and links.record_id = records.record_id

),

as_of as (

    select as_of_on from {{ source('control', 'as_of') }}

),

carried as (

    select
        customer_id, source, record_id, trust_rank, first_seen_on, observed_on,
        'email' as channel,
        'email' as kind,
        coalesce(email, lower(email_given)) as value,
        email_key as match_value,
        email_given as value_given,
        email_reason as reason
    from records
    where email_given is not null
    union all
    select
        customer_id, source, record_id, trust_rank, first_seen_on, observed_on,
        'phone', 'mobile', phone_mobile, phone_mobile,
        case when phone_reason is null then phone_given else phone_other_given end, null
    from records
    where phone_mobile is not null
    union all
    select
        customer_id, source, record_id, trust_rank, first_seen_on, observed_on,
        'phone', 'landline', phone_landline, phone_landline,
        case when phone_mobile is null then phone_given else coalesce(phone_other_given, phone_given) end, null
    from records
    where phone_landline is not null
    union all
    select
        customer_id, source, record_id, trust_rank, first_seen_on, observed_on,
        'phone', 'unknown', phone_other, phone_other, coalesce(phone_other_given, phone_given), null
    from records
    where phone_other is not null
    union all
    select
        customer_id, source, record_id, trust_rank, first_seen_on, observed_on,
        'phone', 'unknown', phone_given, null, phone_given, phone_reason
    from records
    where phone_reason is not null
    union all
    select
        customer_id, source, record_id, trust_rank, first_seen_on, observed_on,
        'phone', 'unknown', phone_other_given, null, phone_other_given, phone_other_reason
    from records
    where phone_other_reason is not null
    union all
    select
        customer_id, source, record_id, trust_rank, first_seen_on, observed_on,
        'post', 'post',
        upper({{ post_value() }}),
        {{ post_value() }},
        concat_ws(' ', address_line_given, postal_code_given, city_given),
        address_reason
    from records
    where address_line_given is not null

),

-- Values that too many people carry to be anyone's: the shop's own number, an address a clerk types.
shared_values as (

    select distinct value from {{ source('identity', 'shared_values') }}

),

points as (

    select
        customer_id,
        channel,
        carried.value,
        min(kind) as kind,
        min(match_value) as match_value,
        min(value_given) as value_given,
        min(coalesce(reason, case when shared_values.value is not null then 'shared' end)) as reason,
        cast(count(*) as integer) as record_count,
        cast(count(distinct source) as integer) as source_count,
        min(first_seen_on) as first_seen_on,
        max(observed_on) as declared_on
    from carried
    left join shared_values on carried.match_value = shared_values.value and carried.channel <> 'post'
    group by customer_id, channel, carried.value

),

orders as (

    select
        headers.ref_email,
        headers.ref_phone,
        headers.ref_account_source,
        headers.ref_account,
        lower(headers.channel) in ('web', 'app') as is_delivered,
        max(headers.ordered_on) as ordered_on
    from {{ ref('int_order_headers') }} as headers
    where headers.ordered_on is not null
    group by
        headers.ref_email, headers.ref_phone, headers.ref_account_source, headers.ref_account,
        lower(headers.channel) in ('web', 'app')

),

events as (

    select
        ref_email,
        ref_phone,
        event_type,
        lower(coalesce(reason, '')) as reason,
        cast(max(occurred_at) as date) as last_on,
        count(*) as event_count
    from {{ ref('stg_events') }}
    where ref_email is not null or ref_phone is not null
    group by ref_email, ref_phone, event_type, lower(coalesce(reason, ''))

),

-- Signs that a value works, whoever holds it.
signs as (

    select 'email' as channel, ref_email as match_value, 'click' as confirmed_by, last_on as confirmed_on
    from events
    where event_type = 'email_click' and ref_email is not null
    union all
    select 'email', ref_email, 'survey', last_on
    from events
    where event_type = 'survey_answer' and ref_email is not null
    union all
    select 'email', ref_email, 'delivery', last_on
    from events
    where event_type = 'email_sent' and ref_email is not null
    union all
    select 'phone', ref_phone, 'call', last_on
    from events
    where event_type = 'call' and ref_phone is not null
    union all
    select 'email', ref_email, 'purchase', ordered_on
    from orders
    where ref_email is not null
    union all
    select 'phone', ref_phone, 'purchase', ordered_on
    from orders
    where ref_phone is not null
    union all
    select 'email', records.email_key, 'purchase', orders.ordered_on
    from orders
    inner join records on orders.ref_account_source = records.source and orders.ref_account = records.record_id
    where records.email_key is not null
    union all
    select 'post', {{ post_value('records') }}, 'delivery', orders.ordered_on
    from orders
    inner join records on orders.ref_account_source = records.source and orders.ref_account = records.record_id
    where orders.is_delivered and records.address_line is not null

),

last_signs as (

    select
        channel,
        match_value,
        confirmed_by,
        max(confirmed_on) as confirmed_on
    from signs
    group by channel, match_value, confirmed_by

),

bounces as (

    select
        ref_email as match_value,
        max(last_on) filter (where reason not like '%soft%') as last_hard_bounce_on,
        max(last_on) as last_bounce_on,
        cast(coalesce(sum(event_count) filter (where reason not like '%soft%'), 0) as integer) as hard_bounce_count,
        cast(coalesce(sum(event_count) filter (where reason like '%soft%'), 0) as integer) as soft_bounce_count
    from events
    where event_type = 'email_bounce' and ref_email is not null
    group by ref_email

),

-- Every confirmation of a point: its holder's declarations and the signs; a message that came back is none.
confirmations as (

    select
        points.customer_id,
        points.channel,
        points.value,
        'record_update' as confirmed_by,
        points.declared_on as confirmed_on
    from points
    union all
    select
        points.customer_id,
        points.channel,
        points.value,
        last_signs.confirmed_by,
        last_signs.confirmed_on
    from points
    inner join last_signs on points.channel = last_signs.channel and points.match_value = last_signs.match_value
    left join bounces on points.channel = 'email' and points.match_value = bounces.match_value
    where not (
        points.channel = 'email' and last_signs.confirmed_by = 'delivery'
        and last_signs.confirmed_on <= coalesce(bounces.last_bounce_on, date '1900-01-01')
    )

),

last_confirmations as (

    select
        confirmations.customer_id,
        confirmations.channel,
        confirmations.value,
        confirmations.confirmed_by,
        confirmations.confirmed_on
    from confirmations
    cross join as_of
    where confirmations.confirmed_on <= as_of.as_of_on
    qualify row_number() over (
        partition by confirmations.customer_id, confirmations.channel, confirmations.value
        order by confirmations.confirmed_on desc, confirmations.confirmed_by
    ) = 1

),

rates as (

    select
        kind,
        yearly_loss,
        doubtful_below
    from {{ source('control', 'freshness_rates') }}

),

judged as (

    select
        points.*,
        last_confirmations.confirmed_on,
        last_confirmations.confirmed_by,
        bounces.last_bounce_on,
        coalesce(bounces.hard_bounce_count, 0) as hard_bounce_count,
        coalesce(bounces.soft_bounce_count, 0) as soft_bounce_count,
        -- a hard bounce stands until the address is proved again later
        coalesce(
            bounces.last_hard_bounce_on >= coalesce(last_confirmations.confirmed_on, date '1900-01-01'), false
        ) as is_bounced,
        {{ days_between('coalesce(last_confirmations.confirmed_on, points.first_seen_on)', 'as_of.as_of_on') }} as age_days,
        coalesce(rates.yearly_loss, 0.11) as yearly_loss,
        coalesce(rates.doubtful_below, 0.5) as doubtful_below
    from points
    cross join as_of
    left join last_confirmations
        on points.customer_id = last_confirmations.customer_id
        and points.channel = last_confirmations.channel
        and points.value = last_confirmations.value
    left join bounces on points.channel = 'email' and points.match_value = bounces.match_value
    left join rates on case when points.kind = 'unknown' then 'landline' else points.kind end = rates.kind

),

aged as (

    select
        *,
        case
            when reason is not null or is_bounced then 0.0
            else round(pow(1 - yearly_loss, greatest(age_days, 0) / 365.25), 4)
        end as freshness
    from judged

)

select
    customer_id,
    channel,
    value,
    kind,
    value_given,
    match_value,
    reason is null and not is_bounced as is_valid,
    coalesce(reason, case when is_bounced then 'hard_bounce' end) as reason,
    record_count,
    source_count,
    first_seen_on,
    confirmed_on as last_confirmed_on,
    confirmed_by as last_confirmed_by,
    cast(age_days as integer) as age_days,
    hard_bounce_count,
    soft_bounce_count,
    last_bounce_on,
    cast(freshness as double) as freshness,
    freshness < doubtful_below as is_doubtful
from aged
