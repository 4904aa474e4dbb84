-- One row per customer, channel and value: how the customer can be reached, whether the value is fit for
-- use, when it was last confirmed and how likely it is still good.
{{ config(meta={'touched': {
    'key': 'customer_id',
    'by': {
        'int_customer_digests': 'customer_id',
        'int_contact_history': {'query': 'select links.customer_id from {changed} as changed '
            ~ 'inner join {database}.identity.record_customers as links using (source, record_id)'},
        'int_contact_signs': {'query': 'select customer_id from {database}.rcu.contact_points '
            ~ 'where match_value in (select value from {changed})'},
    },
    'through': ['record_customers', 'int_customer_records'],
}}) }}
-- depends_on: {{ ref('int_customer_digests') }}
with

records as (

    select
        links.customer_id,
        records.*
    from {{ source('identity', 'record_customers') }} as links
    inner join {{ ref('int_customer_records') }} as records
        on links.source = records.source and links.record_id = records.record_id
    where {{ only_touched('links.customer_id') }}

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

-- When the record said the value last: an update of another version that still holds it confirms it.
carried_on as (

    select
        carried.*,
        coalesce(history.last_said_on, carried.observed_on) as declared_on
    from carried
    left join {{ ref('int_contact_history') }} as history
        on carried.source = history.source
        and carried.record_id = history.record_id
        and carried.channel = history.channel
        and carried.match_value = history.value
        and history.until_on is null

),

-- Values that too many people carry to be anyone's: the shop's own number, an address a clerk types.
shared_values as (

    select distinct value from {{ source('identity', 'shared_values') }}

),

points as (

    select
        customer_id,
        channel,
        carried_on.value,
        min(kind) as kind,
        min(match_value) as match_value,
        min(value_given) as value_given,
        min(coalesce(reason, case when shared_values.value is not null then 'shared' end)) as reason,
        cast(count(*) as integer) as record_count,
        cast(count(distinct source) as integer) as source_count,
        min(first_seen_on) as first_seen_on,
        max(declared_on) as declared_on,
        max_by(source, (declared_on, -trust_rank, source)) as declared_by
    from carried_on
    left join shared_values on carried_on.match_value = shared_values.value and carried_on.channel <> 'post'
    group by customer_id, channel, carried_on.value

),

signs as (

    select
        signs.channel,
        signs.value as match_value,
        signs.sign,
        signs.is_good,
        max(signs.happened_on) as happened_on,
        count(*) as sign_count
    from {{ ref('int_contact_signs') }} as signs
    cross join as_of
    where signs.happened_on <= as_of.as_of_on
        and {{ when_touched('signs.value in (select match_value from points)') }}
    group by signs.channel, signs.value, signs.sign, signs.is_good

),

-- A soft bounce says nothing of the address; the others stand until the value is proved again.
refusals as (

    select
        channel,
        match_value,
        max(happened_on) filter (where sign <> 'soft_bounce') as refused_on,
        max_by(sign, (happened_on, sign)) filter (where sign <> 'soft_bounce') as refused_by,
        max(happened_on) filter (where sign in ('hard_bounce', 'soft_bounce')) as last_bounce_on,
        cast(coalesce(sum(sign_count) filter (where sign = 'hard_bounce'), 0) as integer) as hard_bounce_count,
        cast(coalesce(sum(sign_count) filter (where sign = 'soft_bounce'), 0) as integer) as soft_bounce_count,
        cast(coalesce(sum(sign_count) filter (where sign in ('returned_mail', 'wrong_number')), 0) as integer)
            as returned_count
    from signs
    where not is_good
    group by channel, match_value

),

-- Every confirmation of a point: its holder's declarations and the signs.
confirmations as (

    select
        customer_id,
        channel,
        value,
        'record_update' as confirmed_by,
        declared_on as confirmed_on
    from points
    union all
    select
        points.customer_id,
        points.channel,
        points.value,
        signs.sign,
        signs.happened_on
    from points
    inner join signs on points.channel = signs.channel and points.match_value = signs.match_value
    where signs.is_good

),

-- What the person did says more than what was sent: of one day, a click before a delivery.
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
        order by
            confirmations.confirmed_on desc,
            case when confirmations.confirmed_by = 'delivery' then 1 else 0 end,
            confirmations.confirmed_by
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
        case when points.kind = 'unknown' then 'landline' else points.kind end as rated_kind,
        last_confirmations.confirmed_on,
        last_confirmations.confirmed_by,
        refusals.last_bounce_on,
        refusals.refused_by,
        coalesce(refusals.hard_bounce_count, 0) as hard_bounce_count,
        coalesce(refusals.soft_bounce_count, 0) as soft_bounce_count,
        coalesce(refusals.returned_count, 0) as returned_count,
        coalesce(
            refusals.refused_on >= coalesce(last_confirmations.confirmed_on, date '1900-01-01'), false
        ) as is_refused,
        greatest(
            {{ days_between('coalesce(last_confirmations.confirmed_on, points.first_seen_on)', 'as_of.as_of_on') }}, 0
        ) as age_days
    from points
    cross join as_of
    left join last_confirmations
        on points.customer_id = last_confirmations.customer_id
        and points.channel = last_confirmations.channel
        and points.value = last_confirmations.value
    left join refusals on points.channel = refusals.channel and points.match_value = refusals.match_value

),

last_days as (

    select
        kind,
        source,
        max(age_days) as last_day
    from {{ source('freshness', 'decay') }}
    group by kind, source

),

-- The curve of the source that declared the value last; a source without one takes its kind's.
aged as (

    select
        judged.*,
        coalesce(rates.doubtful_below, 0.5) as doubtful_below,
        case
            when judged.reason is not null or judged.is_refused then 0.0
            else coalesce(own.still_good_rate, every.still_good_rate, pow(1 - rates.yearly_loss, judged.age_days / 365.25))
        end as freshness
    from judged
    left join rates on judged.rated_kind = rates.kind
    left join last_days on judged.rated_kind = last_days.kind and last_days.source = ''
    left join {{ source('freshness', 'decay') }} as own
        on judged.rated_kind = own.kind
        and judged.declared_by = own.source
        and least(judged.age_days, last_days.last_day) = own.age_days
    left join {{ source('freshness', 'decay') }} as every
        on judged.rated_kind = every.kind
        and every.source = ''
        and least(judged.age_days, last_days.last_day) = every.age_days

)

select
    customer_id,
    channel,
    value,
    kind,
    value_given,
    match_value,
    reason is null and not is_refused as is_valid,
    coalesce(reason, case when is_refused then refused_by end) as reason,
    record_count,
    source_count,
    declared_by as source,
    first_seen_on,
    confirmed_on as last_confirmed_on,
    confirmed_by as last_confirmed_by,
    cast(age_days as integer) as age_days,
    hard_bounce_count,
    soft_bounce_count,
    last_bounce_on,
    returned_count,
    cast(freshness as double) as freshness,
    freshness < doubtful_below as is_doubtful
from aged
