-- One row per living customer: all that segments and analysts start from.
{{ config(tags=['serve'], meta={'touched': {
    'key': 'customer_id',
    'by': {
        'customers': 'customer_id',
        'int_customer_contact': 'customer_id',
        'int_customer_orders': 'customer_id',
        'int_customer_events': 'customer_id',
        'customer_rfm': 'customer_id',
        'customer_lifecycle': 'customer_id',
        'customer_scores': 'customer_id',
        'customer_plans': 'customer_id',
        'customer_preferences': 'customer_id',
        'int_buyers': 'customer_id',
    },
}}) }}
with

preferences as (

    select
        customer_id,
        {%- for dimension in ['channel', 'store', 'category', 'brand', 'audience', 'week_day', 'hour'] %}
        max(case when dimension = '{{ dimension }}' and preference = 1 then preferred_value end)
            as preferred_{{ dimension }},
        {%- endfor %}
        sum(case when dimension = 'category' then 1 else 0 end) as category_count
    from {{ ref('customer_preferences') }}
    where (preference = 1 or dimension = 'category') and {{ only_touched('customer_id') }}
    group by customer_id

),

ranges as (

    select
        customer_id,
        {{ listed('preferred_value', 'preferred_value') }} as audiences
    from {{ ref('customer_preferences') }}
    where dimension = 'audience' and {{ only_touched('customer_id') }}
    group by customer_id

),

joined as (

    select
        customers.*,
        preferences.preferred_channel,
        preferences.preferred_store,
        preferences.preferred_category,
        preferences.preferred_brand,
        preferences.preferred_audience,
        preferences.preferred_week_day,
        preferences.preferred_hour,
        ranges.audiences,
        preferences.category_count,
        buyers.value_percentile,
        buyers.price_sensitivity
    from {{ ref('customers') }} as customers
    cross join {{ source('control', 'as_of') }} as as_of
    left join preferences on customers.customer_id = preferences.customer_id
    left join ranges on customers.customer_id = ranges.customer_id
    left join {{ ref('int_buyers') }} as buyers on customers.customer_id = buyers.customer_id
    where {{ only_touched('customers.customer_id') }}

),

aged as (

    select
        joined.*,
        case
            when joined.birth_on is null or joined.birth_on > joined.as_of_on then null
            else
                year(joined.as_of_on) - year(joined.birth_on)
                - case
                    when
                        month(joined.as_of_on) * 100 + day(joined.as_of_on)
                        < month(joined.birth_on) * 100 + day(joined.birth_on)
                        then 1
                    else 0
                end
        end as age_years
    from joined

)

select
    aged.customer_id,
    aged.household_id,
    aged.civility,
    aged.first_name,
    aged.last_name,
    aged.birth_on,
    cast(aged.age_years as integer) as age_years,
    aged.sex,
    coalesce(aged.age_years < 18, false) as is_minor,
    aged.email,
    aged.phone,
    aged.address_line,
    aged.postal_code,
    aged.city,
    aged.department,
    aged.region,
    aged.country,
    aged.language,
    aged.custom,
    aged.tags,
    aged.interests,
    aged.preferred_contact_channel,
    aged.first_seen_on,
    aged.last_contact_at,
    cast({{ days_between(local_date('aged.last_contact_at', "'UTC'"), 'aged.as_of_on') }} as integer)
        as days_since_last_contact,
    cast(aged.record_count as integer) as record_count,
    cast(aged.source_count as integer) as source_count,
    aged.sources,
    aged.is_suppressed,
    aged.email is not null as has_email,
    aged.phone is not null as has_phone,
    aged.address_line is not null and aged.postal_code is not null as has_postal_address,
    contact.is_contactable_email,
    contact.is_contactable_sms,
    contact.is_contactable_phone,
    contact.is_contactable_post,
    contact.email_contact_reason,
    contact.sms_contact_reason,
    contact.phone_contact_reason,
    contact.post_contact_reason,
    cast(contact.email_freshness as double) as email_freshness,
    cast(contact.phone_freshness as double) as phone_freshness,
    cast(contact.address_freshness as double) as address_freshness,
    cast(1 - contact.address_freshness as double) as address_doubt,
    orders.first_order_on,
    orders.last_order_on,
    cast({{ days_between('orders.last_order_on', 'aged.as_of_on') }} as integer) as days_since_last_order,
    cast(coalesce(orders.order_count, 0) as integer) as order_count,
    cast(coalesce(orders.order_count_365d, 0) as integer) as order_count_365d,
    {{ money('coalesce(orders.amount_gross, 0)') }} as amount_gross,
    {{ money('coalesce(orders.amount_returned, 0)') }} as amount_returned,
    {{ money('coalesce(orders.amount_net, 0)') }} as amount_net,
    {{ money('coalesce(orders.amount_net_365d, 0)') }} as amount_net_365d,
    case when orders.order_count > 0 then {{ money('orders.amount_gross / orders.order_count') }} end
        as average_order_amount,
    -- More can come back than was bought here: what was bought before the first delivery.
    case
        when orders.amount_gross > 0 then least(cast(orders.amount_returned / orders.amount_gross as double), 1)
    end as return_rate,
    case
        when orders.amount_gross + orders.amount_discount > 0
            then cast(orders.amount_discount / (orders.amount_gross + orders.amount_discount) as double)
    end as discount_rate,
    case when orders.order_count > 0 then cast(orders.discounted_order_count as double) / orders.order_count end
        as discounted_order_rate,
    aged.price_sensitivity,
    case
        when orders.purchase_day_count > 1
            then
                cast({{ days_between('orders.first_order_on', 'orders.last_order_on') }} as double)
                / (orders.purchase_day_count - 1)
    end as average_interval_days,
    aged.preferred_channel,
    aged.preferred_store,
    aged.preferred_category,
    aged.preferred_brand,
    aged.preferred_audience,
    cast(aged.preferred_week_day as integer) as preferred_week_day,
    cast(aged.preferred_hour as integer) as preferred_hour,
    aged.audiences,
    cast(coalesce(aged.category_count, 0) as integer) as category_count,
    cast(coalesce(orders.channel_count, 0) as integer) as channel_count,
    coalesce(orders.has_web_order, 0) = 1 as has_web_order,
    coalesce(orders.has_store_order, 0) = 1 as has_store_order,
    rfm.rfm_recency_score,
    rfm.rfm_frequency_score,
    rfm.rfm_monetary_score,
    rfm.rfm_segment,
    lifecycle.lifecycle_stage,
    lifecycle.lifecycle_since_on,
    lifecycle.days_in_stage,
    lifecycle.lifecycle_reason,
    lifecycle.previous_lifecycle_stage,
    lifecycle.next_stage_if_silent,
    lifecycle.next_stage_on,
    scores.churn_risk_band,
    scores.purchase_probability_30d,
    scores.purchase_probability_90d,
    scores.purchase_probability_365d,
    scores.expected_orders_365d,
    scores.expected_value_365d,
    events.last_email_open_at,
    events.last_email_click_at,
    cast(coalesce(events.email_click_count_90d, 0) as integer) as email_click_count_90d,
    cast(coalesce(events.email_sent_count_90d, 0) as integer) as email_sent_count_90d,
    cast(coalesce(events.session_count_30d, 0) as integer) as session_count_30d,
    events.last_session_at,
    events.last_cart_at,
    cast(coalesce(events.call_count_365d, 0) as integer) as call_count_365d,
    cast(events.last_survey_score as double) as last_survey_score,
    plans.plan,
    plans.plan_reason,
    plans.plan_channel,
    plans.plan_runner_up,
    plans.plan_runner_up_reason,
    cast(aged.value_percentile as double) as value_percentile,
    {{ stable_bucket('aged.customer_id') }} as control_bucket,
    aged.as_of_on
from aged
left join {{ ref('int_customer_contact') }} as contact on aged.customer_id = contact.customer_id
left join {{ ref('int_customer_orders') }} as orders on aged.customer_id = orders.customer_id
left join {{ ref('int_customer_events') }} as events on aged.customer_id = events.customer_id
left join {{ ref('customer_rfm') }} as rfm on aged.customer_id = rfm.customer_id
left join {{ ref('customer_lifecycle') }} as lifecycle on aged.customer_id = lifecycle.customer_id
left join {{ ref('customer_scores') }} as scores on aged.customer_id = scores.customer_id
left join {{ ref('customer_plans') }} as plans on aged.customer_id = plans.customer_id
