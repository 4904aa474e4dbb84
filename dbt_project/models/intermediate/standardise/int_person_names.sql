-- One row per living record: the person's names, parted, put back in their fields and standardised.
{{ config(meta={'touched': {
    'key': "source || ':' || record_id",
    'by': {'stg_customers': "source || ':' || record_id"},
}}) }}

with

records as (

    select
        source,
        record_id,
        civility,
        full_name,
        full_name_order,
        last_name,
        first_name,
        birth_name,
        email
    from {{ ref('stg_customers') }} as customers
    where {{ only_touched("customers.source || ':' || customers.record_id") }}

),

names as (

    select
        name,
        as_first_name,
        female_share,
        ln(as_first_name + 20) as first_weight,
        ln(as_last_name + 40) as last_weight
    from {{ ref('names') }}

),

-- Letters only.
texts as (

    select
        source,
        record_id,
        {{ plain_words('civility') }} as civility_given,
        full_name_order,
        split_part({{ ascii_lower('email') }}, '@', 1) as mailbox,
        last_name is null and full_name is not null as is_parted_here,
        {{ name_text('coalesce(last_name, full_name)') }} as last_text,
        {{ name_text('first_name') }} as first_text,
        {{ name_text('birth_name') }} as birth_text
    from records

),

-- The civility written before a name is put aside.
bare as (

    select
        *,
        coalesce(
            {{ regex_extract('last_text', civility_pattern()) }},
            {{ regex_extract('first_text', civility_before_first_name()) }}
        ) as civility_in_name,
        nullif({{ regex_replace('last_text', civility_pattern(), '') }}, '') as last_bare_text,
        nullif({{ regex_replace('first_text', civility_before_first_name(), '') }}, '') as first_bare_text
    from texts

),

-- `DUPONT NEE MARTIN` and `MARTIN EPOUSE DUPONT` hold two names.
married as (

    select
        *,
        case
            when {{ regex_matches('last_bare_text', ' (epouse|ep|epse|vve|veuve|usage) ') }}
                then {{ regex_replace('last_bare_text', '^.* (epouse|ep|epse|vve|veuve|usage) ', '') }}
            else {{ regex_replace('last_bare_text', ' (nee|ne) .*$', '') }}
        end as usage_text,
        coalesce(
            birth_text,
            {{ regex_extract('last_bare_text', ' (?:nee|ne) (.+)$') }},
            {{ regex_extract('last_bare_text', '^(.+) (?:epouse|ep|epse|vve|veuve|usage) ') }}
        ) as birth_name_text
    from bare

),

-- Names in one text are parted where the dictionary of names finds it most likely.
whole as (

    select distinct
        usage_text,
        full_name_order,
        string_split(usage_text, ' ') as words
    from married
    where is_parted_here and usage_text like '% %'

),

words as (

    select
        usage_text,
        full_name_order,
        unnest(words) as word,
        unnest(range(1, len(words) + 1)) as position
    from whole

),

weighed as (

    select
        words.usage_text,
        words.full_name_order,
        list(words.word order by words.position) as words,
        list(coalesce(names.first_weight, ln(20)) order by words.position) as first_weights,
        list(coalesce(names.last_weight, ln(40)) order by words.position) as last_weights,
        list(
            words.word in ('de', 'du', 'des', 'd', 'la', 'le', 'les', 'l', 'da', 'dos', 'van', 'von', 'el', 'ben', 'di')
            order by words.position
        ) as is_particle
    from words
    left join names on replace(words.word, '-', ' ') = names.name
    group by words.usage_text, words.full_name_order

),

cuts as (

    select
        *,
        unnest(range(1, len(words))) as cut
    from weighed

),

parted as (

    select
        usage_text,
        full_name_order,
        cut,
        true as is_last_first,
        words[1:cut] as last_words,
        words[cut + 1:] as first_words,
        list_sum(last_weights[1:cut]) + list_sum(first_weights[cut + 1:]) as fit,
        list_bool_or(is_particle[cut + 1:]) or is_particle[cut] as breaks_particle
    from cuts
    where full_name_order <> 'first_last'
    union all
    select
        usage_text,
        full_name_order,
        cut,
        false as is_last_first,
        words[cut + 1:] as last_words,
        words[1:cut] as first_words,
        list_sum(last_weights[cut + 1:]) + list_sum(first_weights[1:cut]) as fit,
        list_bool_or(is_particle[1:cut]) as breaks_particle
    from cuts
    where full_name_order <> 'last_first'

),

-- Two first names are likelier where people bear them as one (Jean Louis); a word more needs evidence.
judged as (

    select
        parted.usage_text,
        parted.full_name_order,
        parted.cut,
        parted.is_last_first,
        parted.breaks_particle,
        array_to_string(parted.last_words, ' ') as last_text,
        array_to_string(parted.first_words, ' ') as first_text,
        parted.fit
        - 0.5 * (len(parted.last_words) - 1)
        + case
            when len(parted.first_words) = 1 then 0
            when len(parted.first_words) = 2 and compounds.as_first_name is not null then 2
            else -3 * (len(parted.first_words) - 1)
        end as fit
    from parted
    left join names as compounds on array_to_string(parted.first_words, ' ') = compounds.name

),

best_parted as (

    select
        usage_text,
        full_name_order,
        last_text,
        first_text
    from judged
    qualify row_number() over (
        partition by usage_text, full_name_order
        order by breaks_particle, fit desc, is_last_first desc, cut
    ) = 1

),

fields as (

    select
        married.source,
        married.record_id,
        married.civility_given,
        married.civility_in_name,
        married.mailbox,
        replace(coalesce(best_parted.last_text, married.usage_text), '-', ' ') as last_given,
        replace(coalesce(best_parted.first_text, married.first_bare_text), '-', ' ') as first_given,
        replace(married.birth_name_text, '-', ' ') as birth_name_given
    from married
    left join best_parted
        on married.is_parted_here
        and married.usage_text = best_parted.usage_text
        and married.full_name_order = best_parted.full_name_order

),

cleaned as (

    select
        source,
        record_id,
        civility_given,
        civility_in_name,
        mailbox,
        case when not {{ is_placeholder_name('last_given') }} then last_given end as last_clean,
        case when not {{ is_placeholder_name('first_given') }} then first_given end as first_clean,
        case when not {{ is_placeholder_name('birth_name_given') }} then birth_name_given end as birth_name
    from fields

),

-- First and last names in each other's field: the exchange must be hundreds of times likelier.
exchanged as (

    select
        cleaned.*,
        coalesce(
            coalesce(last_names.first_weight, ln(20)) + coalesce(first_names.last_weight, ln(40))
            - coalesce(last_names.last_weight, ln(40)) - coalesce(first_names.first_weight, ln(20))
            > ln(150), false
        ) and cleaned.last_clean is not null and length(cleaned.first_clean) > 2
        -- nobody's family name is one letter: it is an initial, in the other field
        or coalesce(length(cleaned.last_clean) = 1 and length(cleaned.first_clean) > 2, false) as is_name_swapped
    from cleaned
    left join names as last_names
        on {{ regex_extract('cleaned.last_clean', '^([^ ]+)') }} = last_names.name
    left join names as first_names
        on {{ regex_extract('cleaned.first_clean', '^([^ ]+)') }} = first_names.name

),

placed as (

    select
        source,
        record_id,
        civility_given,
        civility_in_name,
        mailbox,
        is_name_swapped,
        case when is_name_swapped then first_clean else last_clean end as last_name,
        case when is_name_swapped then last_clean else first_clean end as first_name,
        birth_name
    from exchanged

),

-- Of a person told by an initial, the e-mail may tell the name: `j` and julie.lefevre, lefevre.julie, or julie82.
initials as (

    select
        source,
        record_id,
        replace(last_name, ' ', '') as family,
        first_name as initial,
        {{ regex_replace('mailbox', '[^a-z]', '') }} as letters,
        {{ regex_extract('mailbox', '^([a-z]+)') }} as first_word
    from placed
    where length(first_name) = 1 and length(last_name) > 1 and mailbox <> ''

),

mailboxes as (

    select
        source,
        record_id,
        initial,
        contains(letters, family) and length(family) > 2 as tells_family,
        case when contains(letters, family) and length(family) > 2 then replace(letters, family, '') else first_word end as word
    from initials

),

standard as (

    select
        placed.source,
        placed.record_id,
        placed.civility_given,
        placed.civility_in_name,
        placed.is_name_swapped,
        placed.last_name,
        placed.first_name,
        placed.birth_name,
        case
            when length(mailboxes.word) >= 3 and left(mailboxes.word, 1) = mailboxes.initial
                and (mailboxes.tells_family or names.first_weight > names.last_weight)
                then mailboxes.word
        end as first_name_from_email
    from placed
    left join mailboxes on placed.source = mailboxes.source and placed.record_id = mailboxes.record_id
    left join names on mailboxes.word = names.name

),

matched as (

    select
        *,
        split_part(coalesce(first_name_from_email, first_name), ' ', 1) as token
    from standard

),

-- Worked out once per distinct name.
spoken as (

    select
        name,
        {{ name_without_particles('name') }} as bare,
        {{ french_phonetic(name_without_particles('name')) }} as phonetic
    from (
        select last_name as name from standard where last_name is not null
        union
        select token as name from matched where token is not null
    ) as every_name

),

nicknames as (

    select
        nickname,
        first_name as formal_name
    from {{ ref('nicknames') }}

)

select
    matched.source,
    matched.record_id,
    coalesce(
        {{ civility_standard('matched.civility_given') }},
        {{ civility_standard("split_part(matched.civility_in_name, ' ', 1)") }}
    ) as civility,
    matched.first_name,
    matched.token as first_name_token,
    coalesce(nicknames.formal_name, matched.token) as first_name_formal,
    matched.first_name_from_email,
    matched.last_name,
    nullif(last_spoken.bare, '') as last_name_bare,
    last_spoken.phonetic as last_name_phonetic,
    first_spoken.phonetic as first_name_phonetic,
    matched.birth_name,
    matched.is_name_swapped,
    -- how the name sounds, where many people bear it: two such names are two people, not a slip of the hand
    case when borne.as_first_name >= 500 then first_spoken.phonetic end as first_name_usual,
    case
        when borne.as_first_name < 500 then null
        when borne.female_share >= 0.97 then 'F'
        when borne.female_share <= 0.03 then 'M'
    end as first_name_sex
from matched
left join spoken as last_spoken on matched.last_name = last_spoken.name
left join spoken as first_spoken on matched.token = first_spoken.name
left join nicknames on matched.token = nicknames.nickname
left join names as borne on matched.token = borne.name
