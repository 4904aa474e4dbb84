-- One row per postal code, town and country as given by any record: the town they stand for.
with

records as (

    select
        postal_code,
        city,
        country
    from {{ ref('stg_customers') }}
    where postal_code is not null or city is not null

),

company as (

    select country as home_country from {{ source('control', 'company') }}

),

communes as (

    select
        communes.postal_code,
        communes.commune_code,
        communes.city,
        communes.department,
        departments.region,
        communes.population,
        communes.is_former,
        {{ city_key('communes.city') }} as city_key
    from {{ ref('communes') }} as communes
    left join {{ ref('departments') }} as departments on communes.department = departments.department

),

given as (

    select distinct
        coalesce(postal_code, '') as given_postal_code,
        coalesce(city, '') as given_city,
        coalesce(country, '') as given_country
    from records

),

read_places as (

    select
        given.*,
        company.home_country,
        {{ plain_words('given_country') }} as country_words,
        {{ regex_replace("upper(given_postal_code)", '[^0-9A-Z]', '') }} as postal_text,
        {{ regex_extract('given_city', '^\\s*(?:[Ff]-?)?\\s*([0-9]{5})\\s') }} as postal_in_city,
        {{ city_key('given_city') }} as city_key,
        {{ regex_matches("upper(given_city)", '\\bC(E)?D(E)?X\\b|\\bCEDEX\\b') }} as is_cedex
    from given
    cross join company

),

located as (

    select
        given_postal_code,
        given_city,
        given_country,
        coalesce({{ country_code('country_words') }}, home_country, 'FR') as country,
        case when {{ regex_matches("city_key", '[a-z]') }} then city_key end as city_key,
        is_cedex,
        postal_text,
        postal_in_city
    from read_places

),

keyed as (

    select
        given_postal_code,
        given_city,
        given_country,
        country,
        city_key,
        is_cedex,
        case
            when country <> 'FR' then nullif(postal_text, '')
            -- a spreadsheet ate the leading zero
            when {{ regex_matches("postal_text", '^[1-9][0-9]{3}$') }} then '0' || postal_text
            when {{ regex_matches("postal_text", '^(F|FR)?[0-9]{5}$') }} then right(postal_text, 5)
            when {{ regex_matches("postal_text", '^[0-9]{5}[0]$') }} then left(postal_text, 5)
            when postal_text = '' then postal_in_city
        end as postal_code
    from located

),

french as (

    select * from keyed where country = 'FR'

),

-- Candidates by closeness: the same code and name, the same code and nearly the name, the same name in the
-- department (a cedex code, a code with a slip), the code alone, the name alone.
same_code as (

    select
        french.given_postal_code,
        french.given_city,
        french.given_country,
        communes.commune_code,
        communes.postal_code,
        communes.population,
        communes.is_former,
        communes.city,
        communes.city_key,
        communes.department,
        communes.region,
        case
            when french.city_key = communes.city_key then 1
            when jaro_winkler_similarity(french.city_key, communes.city_key) >= 0.92
                or damerau_levenshtein(french.city_key, communes.city_key) <= 2 and length(french.city_key) >= 6
                or communes.city_key like french.city_key || ' %'
                or french.city_key like communes.city_key || ' %'
                then 2
            when french.city_key is null then 5
        end as closeness,
        coalesce(jaro_winkler_similarity(french.city_key, communes.city_key), 0) as similarity
    from french
    inner join communes on french.postal_code = communes.postal_code

),

same_name as (

    select
        french.given_postal_code,
        french.given_city,
        french.given_country,
        communes.commune_code,
        communes.postal_code,
        communes.population,
        communes.is_former,
        communes.city,
        communes.city_key,
        communes.department,
        communes.region,
        case
            when french.postal_code is null then 6
            when levenshtein(french.postal_code, communes.postal_code) = 1
                or damerau_levenshtein(french.postal_code, communes.postal_code) = 1 then 3
            when left(french.postal_code, 2) = left(communes.postal_code, 2) then 4
        end as closeness,
        cast(5 - coalesce(levenshtein(french.postal_code, communes.postal_code), 5) as double) as similarity
    from french
    inner join communes on french.city_key = communes.city_key
    where french.postal_code is null or french.postal_code <> communes.postal_code

),

candidates as (

    select * from same_code where closeness is not null
    union all
    select * from same_name where closeness is not null

),

ranked as (

    select
        *,
        count(*) filter (where not is_former) over (
            partition by given_postal_code, given_city, given_country, closeness
        ) as rivals,
        row_number() over (
            partition by given_postal_code, given_city, given_country
            order by closeness, similarity desc, is_former, population desc, commune_code, postal_code, city
        ) as preference
    from candidates

),

-- The code alone, or the name alone, tells the town only where there is one.
chosen as (

    select *
    from ranked
    where preference = 1 and (closeness <= 4 or rivals <= 1)

),

known_codes as (

    select distinct postal_code from communes

)

select
    keyed.given_postal_code,
    keyed.given_city,
    keyed.given_country,
    keyed.country,
    case
        when chosen.closeness = 3 or chosen.closeness = 6 then chosen.postal_code
        -- a cedex code belongs to the town but is in no list; a street code is kept as given
        else coalesce(keyed.postal_code, chosen.postal_code)
    end as postal_code,
    coalesce(chosen.city_key, keyed.city_key) as city_key,
    coalesce(chosen.city, {{ name_display("keyed.city_key") }}) as city,
    chosen.commune_code,
    coalesce(
        chosen.department,
        case
            when keyed.country <> 'FR' then null
            when {{ regex_matches("keyed.postal_code", '^9[78]') }} then left(keyed.postal_code, 3)
            when keyed.postal_code like '20%' then case when keyed.postal_code < '20200' then '2A' else '2B' end
            when known_codes.postal_code is not null then left(keyed.postal_code, 2)
        end
    ) as department,
    chosen.region,
    case
        when keyed.country <> 'FR' then 'foreign'
        when chosen.closeness = 1 then 'exact'
        when chosen.closeness = 2 then 'town_corrected'
        when chosen.closeness = 3 then 'postal_code_corrected'
        when chosen.closeness = 4 and (keyed.is_cedex or known_codes.postal_code is null) then 'cedex'
        when chosen.closeness = 4 then 'mismatch'
        when chosen.closeness in (5, 6) then 'completed'
        when keyed.postal_code is null and keyed.city_key is null then 'missing'
        when keyed.postal_code is null or keyed.city_key is null then 'incomplete'
        when known_codes.postal_code is null then 'unknown'
        else 'mismatch'
    end as place_status
from keyed
left join chosen
    on keyed.given_postal_code = chosen.given_postal_code
    and keyed.given_city = chosen.given_city
    and keyed.given_country = chosen.given_country
left join known_codes on keyed.postal_code = known_codes.postal_code
