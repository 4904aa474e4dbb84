{#- E-mail addresses. A row keeps what was given; these columns stand beside it. -#}

{#- The address as it was meant: one address, no blanks, no comma for a dot, no `(at)`. -#}
{% macro email_tidy(expr) -%}
    {%- set sql = ascii_lower(expr) -%}
    {%- set sql = regex_replace(sql, '^.*<([^<>]*@[^<>]*)>.*$', '\\1') -%}
    {%- set sql = regex_replace(sql, '^\\s*(mailto|e-?mail|mel)\\s*:\\s*', '') -%}
    {%- set sql = regex_replace(sql, '\\s*[\\(\\[]\\s*(at|arobase|a)\\s*[\\)\\]]\\s*|\\s+(arobase|at)\\s+', '@') -%}
    {%- set sql = regex_replace(sql, '\\s*[\\(\\[]\\s*(dot|point)\\s*[\\)\\]]\\s*', '.') -%}
    {%- set sql = regex_replace(sql, '^([^@;/|]+@[^@,;/| ]+)[,;/| ].*@.*$', '\\1') -%}
    {%- set sql = regex_replace(sql, '[\\s"<>]+', '') -%}
    {%- set sql = "replace(" ~ sql ~ ", ',', '.')" -%}
    {%- set sql = regex_replace(sql, '@[@.]*', '@') -%}
    {%- set sql = regex_replace(sql, '\\.{2,}', '.') -%}
    {%- set sql = regex_replace(sql, '\\.@', '@') -%}
    nullif(trim({{ sql }}, '.;:,'), '')
{%- endmacro %}

{#-
    The domain with the slips of the hand mended, for the mail providers of the French market only: a
    company's domain is never touched. `label` is the domain's first part, `tail` the rest.
-#}
{% macro email_domain_mended(domain) -%}
    {%- set label = "split_part(" ~ domain ~ ", '.', 1)" -%}
    {%- set tail = "split_part(" ~ domain ~ ", '.', 2)" -%}
    {%- set to_com = ['gmail', 'icloud', 'outlook', 'hotmail', 'yahoo', 'live', 'msn', 'aol'] -%}
    {#- provider label: the tails under which it is found -#}
    {%- set providers = {
        'gmail': ['com', 'fr'], 'hotmail': ['com', 'fr', 'be'], 'outlook': ['com', 'fr', 'be'],
        'yahoo': ['com', 'fr'], 'icloud': ['com'], 'wanadoo': ['fr'], 'orange': ['fr'], 'laposte': ['net', 'fr'],
        'bbox': ['fr'], 'numericable': ['fr'], 'proton': ['me'], 'protonmail': ['com']
    } -%}
    case
        when {{ domain }} in ('gmail.com', 'hotmail.fr', 'hotmail.com', 'orange.fr', 'free.fr', 'yahoo.fr', 'outlook.fr',
            'wanadoo.fr', 'sfr.fr', 'laposte.net', 'icloud.com', 'outlook.com', 'yahoo.com', 'live.fr', 'neuf.fr',
            'bbox.fr') then {{ domain }}
        when {{ domain }} in ('gmail.fr', 'googlemail.fr', 'gmail.om', 'gmail.c') then 'gmail.com'
        when {{ domain }} in ('laposte.fr', 'laposte.com', 'la-poste.net', 'la-poste.fr') then 'laposte.net'
        when {{ domain }} in ('orange.com.fr', 'orang.fr', 'orange.fre') then 'orange.fr'
        when {{ domain }} in ('wanado.fr', 'wanadou.fr', 'wannadoo.fr', 'wanadoo.com') then 'wanadoo.fr'
        when {{ domain }} in ('icloud.fr', 'iclou.com') then 'icloud.com'
        when {{ domain }} in ('free.fre', 'fre.fr', 'free.ft', 'freee.fr', 'free.com') then 'free.fr'
        when {{ domain }} in ('sfr.com', 'srf.fr', 'sfr.ft') then 'sfr.fr'
        when {{ label }} in ('{{ to_com | join("', '") }}')
            and {{ tail }} in ('con', 'cmo', 'ocm', 'vom', 'cpm', 'cm', 'co', 'comm', 'coml', 'cim', 'xom', 'om', 'c', 'col', 'ccom', 'corn', 'conn', 'eom')
            then {{ label }} || '.com'
        when {{ label }} in ('hotmail', 'yahoo', 'outlook', 'live', 'orange', 'wanadoo', 'free', 'sfr', 'neuf', 'bbox')
            and {{ tail }} in ('ft', 'f', 'fre', 'frr', 'rf', 'gr', 'dr', 'fe', 'ffr', 'fr fr')
            then {{ label }} || '.fr'
        when {{ domain }} in ('hotmailcom', 'gmailcom', 'yahoofr', 'orangefr', 'wanadoofr', 'hotmailfr', 'freefr', 'sfrfr')
            then {{ regex_replace(domain, '(com|fr)$', '.\\1') }}
        {#- one slip inside a long enough label, in its first letter only where it is longer: a tail the provider has -#}
        {%- for provider, tails in providers.items() if provider | length >= 5 %}
        when {% if provider | length < 7 %}left({{ domain }}, 1) = '{{ provider[0] }}'
            and {% endif %}{{ tail }} in ('{{ tails | join("', '") }}'{{ ", 'con', 'cm', 'co'" if tails[0] == 'com' }})
            and {{ label }} <> '{{ provider }}'
            and damerau_levenshtein({{ label }}, '{{ provider }}') = 1
            then '{{ provider }}.' || case when {{ tail }} in ('con', 'cm', 'co') or '{{ provider }}' = 'gmail' then 'com' else {{ tail }} end
        {%- endfor %}
        else {{ domain }}
    end
{%- endmacro %}

{% macro disposable_email_domains() -%}
    {{ return([
        'yopmail.com', 'yopmail.fr', 'yopmail.net', 'jetable.org', 'mailinator.com', 'guerrillamail.com', 'trashmail.com',
        'tempmail.com', 'temp-mail.org', '10minutemail.com', 'throwawaymail.com', 'mailcatch.com', 'maildrop.cc',
        'getnada.com', 'sharklasers.com', 'dispostable.com', 'spamgourmet.com', 'mytemp.email', 'cool.fr.nf',
        'jetable.fr.nf', 'courriel.fr.nf', 'moncourrier.fr.nf', 'monemail.fr.nf', 'mohmal.com', 'fakeinbox.com',
        'mailnesia.com', 'mintemail.com', 'discard.email', 'tempr.email', 'emailondeck.com'
    ]) }}
{%- endmacro %}

{#-
    `relation` with columns about the address in its column `column`:
    <name>_standard  the address to write to: tidy, provider mended; null when it can't be one
    <name>_key       one person's spellings fold into one: no +tag, no dots before @gmail.com
    <name>_reason    null when fit for use, else missing_at, syntax or disposable
    Each stage is a select of its own: a column reused within one select is worked out again at each use.
-#}
{% macro with_email(relation, column, name='email') -%}
    (
        select
            *,
            case
                when {{ name }}_standard is null then null
                when {{ name }}_domain in ('gmail.com', 'googlemail.com')
                    then replace(split_part({{ name }}_local, '+', 1), '.', '') || '@gmail.com'
                else split_part({{ name }}_local, '+', 1) || '@' || {{ name }}_domain
            end as {{ name }}_key,
            case
                when {{ name }}_tidy is null then null
                when {{ name }}_tidy not like '%@%' then 'missing_at'
                when {{ name }}_standard is null then 'syntax'
                when {{ name }}_domain in ('{{ disposable_email_domains() | join("', '") }}') then 'disposable'
            end as {{ name }}_reason
        from (
            select
                *,
                case
                    when {{ regex_matches(name ~ "_local || '@' || " ~ name ~ "_domain",
                        "^[a-z0-9_][a-z0-9._%+''-]{0,63}@([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,24}$") }}
                        and {{ name }}_tidy not like '%@%@%'
                        then {{ name }}_local || '@' || {{ name }}_domain
                end as {{ name }}_standard
            from (
                select
                    *,
                    {{ email_domain_mended(name ~ '_domain_given') }} as {{ name }}_domain
                from (
                    select
                        *,
                        split_part({{ name }}_tidy, '@', 1) as {{ name }}_local,
                        split_part({{ name }}_tidy, '@', 2) as {{ name }}_domain_given
                    from (select *, {{ email_tidy(column) }} as {{ name }}_tidy from {{ relation }}) as {{ name }}_1
                ) as {{ name }}_2
            ) as {{ name }}_3
        ) as {{ name }}_4
    )
{%- endmacro %}
