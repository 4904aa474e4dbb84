{#- The columns that say who a fact is about, in every table of facts. -#}
{% macro reference_columns() %}
{{ return([
    'ref_account_source', 'ref_account', 'ref_card', 'ref_email', 'ref_phone', 'ref_cookie', 'ref_last_name',
    'ref_first_name',
]) }}
{% endmacro %}

{#-
    The CTE `attached`: the rows of the CTE `facts` (with the reference columns) with customer_id ('unknown' where
    nothing leads to one customer) and attached_by. Many facts carry the same references: each distinct set of them
    is looked up once, in the model `found`.
-#}
{% macro attach_customers(facts, found='int_reference_customers') %}
attached as (

    select
        {{ facts }}.*,
        found.customer_id,
        found.attached_by
    from {{ facts }}
    inner join {{ ref(found) }} as found
        on
            {%- for reference in reference_columns() %}
            {{ 'and ' if not loop.first }}{{ facts }}.{{ reference }} is not distinct from found.{{ reference }}
            {%- endfor %}

)
{% endmacro %}

{#-
    CTEs that end in `found_customers`: for each row of the relation or CTE `references` (distinct sets of reference
    columns) the one customer it leads to, or 'unknown', and by which reference, in the declared priority: account,
    card, e-mail, phone, cookie.

    An account is first looked for among the records themselves. A value that several customers hold, or that
    identity found to be shared, attaches a fact only where the names given with it agree with exactly one of its
    holders; else the next reference is tried.
-#}
{% macro find_customers(references) %}
{%- set kinds = ['account', 'card', 'email', 'phone', 'cookie'] -%}
{%- set nameable = ['card', 'email', 'phone', 'cookie'] -%}

identifier_holders as (

    select
        type,
        value,
        case when type = 'account' then source end as account_source,
        customer_id,
        max(case when is_shared then 1 else 0 end) as is_shared
    from {{ ref('identifiers') }}
    group by 1, 2, 3, 4

),

identifier_values as (

    select
        type,
        value,
        account_source,
        min(customer_id) as customer_id,
        case when count(*) > 1 or max(is_shared) = 1 then 1 else 0 end as is_shared
    from identifier_holders
    group by 1, 2, 3

),

own_identifiers as (

    select
        type,
        value,
        account_source,
        customer_id
    from identifier_values
    where is_shared = 0

),

shared_holders as (

    select
        holders.type,
        holders.value,
        holders.customer_id
    from identifier_holders as holders
    inner join identifier_values as shared
        on holders.type = shared.type and holders.value = shared.value
    where shared.is_shared = 1 and holders.type <> 'account'

),

holder_names as (

    select distinct
        shared_holders.customer_id,
        replace(records.last_name, ' ', '') as last_name,
        replace(records.birth_name, ' ', '') as birth_name,
        records.first_name_token
    from (select distinct customer_id from shared_holders) as shared_holders
    inner join {{ source('identity', 'record_customers') }} as links
        on shared_holders.customer_id = links.customer_id
    inner join {{ ref('int_identity_records') }} as records
        on links.source = records.source and links.record_id = records.record_id

),

named_references as (
    {% for kind in nameable %}
    select distinct
        '{{ kind }}' as type,
        given.ref_{{ kind }} as value,
        given.ref_last_name,
        given.ref_first_name
    from {{ references }} as given
    inner join (select distinct value from shared_holders where type = '{{ kind }}') as shared
        on given.ref_{{ kind }} = shared.value
    where given.ref_last_name is not null
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

agreed_references as (

    select
        named.type,
        named.value,
        named.ref_last_name,
        coalesce(named.ref_first_name, '') as ref_first_name,
        min(shared_holders.customer_id) as customer_id
    from named_references as named
    inner join shared_holders
        on named.type = shared_holders.type and named.value = shared_holders.value
    inner join holder_names
        on
            shared_holders.customer_id = holder_names.customer_id
            and replace(named.ref_last_name, ' ', '') in (holder_names.last_name, holder_names.birth_name)
            and (
                named.ref_first_name is null
                or split_part(named.ref_first_name, ' ', 1) = holder_names.first_name_token
                or (length(named.ref_first_name) = 1 and substr(holder_names.first_name_token, 1, 1) = named.ref_first_name)
            )
    group by 1, 2, 3, 4
    having count(distinct shared_holders.customer_id) = 1

),

found as (

    select
        given.*,
        coalesce(records.customer_id, own_account.customer_id) as by_account
        {%- for kind in nameable %},
        coalesce(own_{{ kind }}.customer_id, agreed_{{ kind }}.customer_id) as by_{{ kind }}
        {%- endfor %}
    from {{ references }} as given
    left join {{ source('identity', 'record_customers') }} as records
        on given.ref_account_source = records.source and given.ref_account = records.record_id
    left join own_identifiers as own_account
        on
            own_account.type = 'account'
            and given.ref_account = own_account.value
            and given.ref_account_source = own_account.account_source
    {%- for kind in nameable %}
    left join own_identifiers as own_{{ kind }}
        on own_{{ kind }}.type = '{{ kind }}' and given.ref_{{ kind }} = own_{{ kind }}.value
    left join agreed_references as agreed_{{ kind }}
        on
            agreed_{{ kind }}.type = '{{ kind }}'
            and given.ref_{{ kind }} = agreed_{{ kind }}.value
            and given.ref_last_name = agreed_{{ kind }}.ref_last_name
            and coalesce(given.ref_first_name, '') = agreed_{{ kind }}.ref_first_name
    {%- endfor %}

),

found_customers as (

    select
        {{ reference_columns() | join(',\n        ') }},
        coalesce({% for kind in kinds %}by_{{ kind }}, {% endfor %}'unknown') as customer_id,
        case
            {%- for kind in kinds %}
            when by_{{ kind }} is not null then '{{ kind }}'
            {%- endfor %}
        end as attached_by
    from found

)
{% endmacro %}

{#- Tells distinct sets of references apart; a coincidence of two only works out more than is needed. -#}
{% macro reference_key(alias='') %}
    {%- set prefix = alias ~ '.' if alias else '' -%}
    {{ return(adapter.dispatch('reference_key')(prefix)) }}
{% endmacro %}
{% macro default__reference_key(prefix) %}
    {{ return('hash(' ~ prefix ~ reference_columns() | join(', ' ~ prefix) ~ ')') }}
{% endmacro %}

{#- For `touched` (kept_tables.sql): the keys of the rows of `place` whose references now lead elsewhere. -#}
{% macro with_changed_references(key, place, where='true') %}
    {{ return(
        'select ' ~ key ~ ' from {database}.' ~ place ~ ' where ' ~ where ~ ' and ' ~ reference_key() ~ ' in (select '
        ~ reference_key() ~ ' from {changed})'
    ) }}
{% endmacro %}

{#-
    For `touched`: which sets of references in `place` may lead elsewhere. Those of the inputs `givers` that changed;
    those that name a changed identifier, or a record of a customer whose records changed; and, since names decide
    who is meant by a value that several hold, those that name such a value of that customer.
-#}
{% macro references_led_elsewhere(place, givers) %}
    {%- set by = {} -%}
    {%- for giver in givers -%}
        {%- do by.update({giver: reference_key()}) -%}
    {%- endfor -%}
    {%- do by.update({
        'identifiers': {'query': references_naming(place, 'select type, value from {changed}')},
        'int_customer_digests': {'query': references_naming(
            place,
            "select 'account' as type, links.record_id as value from {database}.identity.record_customers as links "
            ~ 'where links.customer_id in (select customer_id from {changed}) union all '
            ~ 'select held.type, held.value from {database}.rcu.identifiers as held '
            ~ 'where held.is_shared and held.customer_id in (select customer_id from {changed})'
        )},
    }) -%}
    {{ return(by) }}
{% endmacro %}

{% macro references_naming(place, values) %}
    {%- set parts = [] -%}
    {%- for kind in ['account', 'card', 'email', 'phone', 'cookie'] -%}
        {%- do parts.append(
            'select ' ~ reference_key('given') ~ ' from {database}.' ~ place ~ ' as given where given.ref_' ~ kind
            ~ " in (select value from (" ~ values ~ ") where type = '" ~ kind ~ "')"
        ) -%}
    {%- endfor -%}
    {{ return(parts | join(' union all ')) }}
{% endmacro %}

{#- For `touched`: the orders of the customers whose rows changed. -#}
{% macro orders_of_changed_customers() %}
    {{ return(
        'select orders.order_id from {database}.intermediate.int_order_customers as orders '
        ~ "where orders.customer_id <> 'unknown' and orders.customer_id in (select customer_id from {changed})"
    ) }}
{% endmacro %}

{#- For `further`: the other orders of a customer whose order is touched. -#}
{% macro orders_of_same_customers() %}
    {{ return(
        'select others.order_id from touched '
        ~ 'inner join {database}.intermediate.int_order_customers as own on own.order_id = touched.touched_key '
        ~ 'inner join {database}.intermediate.int_order_customers as others on own.customer_id = others.customer_id '
        ~ "where own.customer_id <> 'unknown'"
    ) }}
{% endmacro %}
