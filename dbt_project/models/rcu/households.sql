-- One row per household of at least two customers.
with

members as (

    select
        members.household_id,
        members.basis,
        customers.customer_id,
        customers.last_name,
        customers.address_line,
        customers.postal_code,
        customers.city
    from {{ ref('int_household_members') }} as members
    inner join {{ ref('customers') }} as customers on members.customer_id = customers.customer_id

)

select
    household_id,
    min(basis) as basis,
    cast(count(*) as integer) as member_count,
    -- the name most members bear; the address of the first member
    mode(last_name order by last_name) as family_name,
    min_by(address_line, customer_id) as address_line,
    min_by(postal_code, customer_id) as postal_code,
    min_by(city, customer_id) as city
from members
group by household_id
