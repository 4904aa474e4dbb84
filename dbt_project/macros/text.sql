{#- Plain text: pure column macros, the ground of the others. -#}

{#- Lower case, without accents, ligatures or letters outside a-z that French systems can't type. -#}
{% macro ascii_lower(expr) -%}
    {%- set letters = [('œ', 'oe'), ('æ', 'ae'), ('ß', 'ss'), ('ł', 'l'), ('ø', 'o'), ('đ', 'd'), ('’', "\\'"), ('`', "\\'")] -%}
    {%- set ns = namespace(sql=without_accents('lower(' ~ expr ~ ')')) -%}
    {%- for old, new in letters -%}
        {%- set ns.sql = "replace(" ~ ns.sql ~ ", '" ~ old ~ "', '" ~ (new | replace("\\'", "''")) ~ "')" -%}
    {%- endfor -%}
    {{ ns.sql }}
{%- endmacro %}

{#- Trimmed text, null when nothing is left. -#}
{% macro tidy(expr) -%}
    nullif(trim({{ expr }}), '')
{%- endmacro %}

{#- Letters, digits and single spaces, lower case ASCII; null when nothing is left. -#}
{% macro plain_words(expr) -%}
    nullif(trim({{ regex_replace(ascii_lower(expr), '[^a-z0-9]+', ' ') }}), '')
{%- endmacro %}

{#- Chain of exact replacements on `expr`, from a list of pairs. -#}
{% macro replace_all(expr, pairs) -%}
    {%- set ns = namespace(sql=expr) -%}
    {%- for old, new in pairs -%}
        {%- set ns.sql = "replace(" ~ ns.sql ~ ", '" ~ old ~ "', '" ~ new ~ "')" -%}
    {%- endfor -%}
    {{ ns.sql }}
{%- endmacro %}

{#- Two-letter language code of a language in plain words (fr, fr fr, francais, english). -#}
{% macro language_code(words) -%}
    case
        when {{ words }} is null then null
        when left({{ words }}, 8) in ('francais', 'french') then 'fr'
        when left({{ words }}, 7) in ('anglais', 'english') then 'en'
        when left({{ words }}, 8) in ('allemand', 'german', 'deutsch') then 'de'
        when left({{ words }}, 8) in ('espagnol', 'spanish') then 'es'
        when left({{ words }}, 7) in ('italien', 'italian') then 'it'
        when {{ regex_matches(words, '^[a-z]{2}( [a-z]{2})?$') }} then left({{ words }}, 2)
    end
{%- endmacro %}

{#- email, sms, phone or post, from a preferred channel in plain words. -#}
{% macro contact_channel(words) -%}
    case
        when {{ words }} in ('email', 'e mail', 'mail', 'courriel', 'mel') then 'email'
        when {{ words }} in ('sms', 'texto', 'text', 'mobile') then 'sms'
        when {{ words }} in ('phone', 'telephone', 'tel', 'appel', 'call') then 'phone'
        when {{ words }} in ('post', 'poste', 'courrier', 'postal', 'mailing', 'letter') then 'post'
        when {{ words }} in ('push', 'app', 'notification') then 'push'
    end
{%- endmacro %}

{#- Two-letter country code of a country in plain words; null where it is not known. Overseas departments are France. -#}
{% macro country_code(words) -%}
    {%- set known = {
        'FR': ['france', 'fra', 'republique francaise', 'france metropolitaine', 'guadeloupe', 'martinique', 'guyane',
               'reunion', 'la reunion', 'mayotte', 'gp', 'mq', 'gf', 're', 'yt', 'fx'],
        'BE': ['belgique', 'belgium', 'belgie', 'bel'], 'CH': ['suisse', 'switzerland', 'schweiz', 'che'],
        'LU': ['luxembourg', 'lux'], 'MC': ['monaco', 'mco'], 'DE': ['allemagne', 'germany', 'deutschland', 'deu'],
        'ES': ['espagne', 'spain', 'espana', 'esp'], 'IT': ['italie', 'italy', 'italia', 'ita'],
        'PT': ['portugal', 'prt'], 'NL': ['pays bas', 'netherlands', 'nederland', 'hollande', 'nld'],
        'GB': ['royaume uni', 'united kingdom', 'angleterre', 'england', 'great britain', 'gbr', 'uk', 'ecosse', 'scotland'],
        'IE': ['irlande', 'ireland', 'irl', 'eire'], 'AT': ['autriche', 'austria', 'osterreich', 'aut'],
        'US': ['etats unis', 'united states', 'usa', 'etats unis d amerique'], 'CA': ['canada', 'can', 'quebec'],
        'MA': ['maroc', 'morocco', 'mar'], 'DZ': ['algerie', 'algeria', 'dza'], 'TN': ['tunisie', 'tunisia', 'tun'],
        'PL': ['pologne', 'poland', 'pol'], 'DK': ['danemark', 'denmark', 'dnk'], 'SE': ['suede', 'sweden', 'swe'],
        'NO': ['norvege', 'norway', 'nor'], 'FI': ['finlande', 'finland', 'fin'], 'GR': ['grece', 'greece', 'grc'],
        'RO': ['roumanie', 'romania', 'rou'], 'CZ': ['republique tcheque', 'czech republic', 'tchequie', 'cze'],
        'HU': ['hongrie', 'hungary', 'hun'], 'JP': ['japon', 'japan', 'jpn'], 'CN': ['chine', 'china', 'chn'],
        'AU': ['australie', 'australia', 'aus'], 'SN': ['senegal', 'sen'], 'CI': ['cote d ivoire', 'ivory coast', 'civ']
    } -%}
    case
        {%- for code, spellings in known.items() %}
        when {{ words }} in ('{{ spellings | join("', '") }}') then '{{ code }}'
        {%- endfor %}
        when {{ regex_matches(words, '^[a-z]{2}$') }} then upper({{ words }})
    end
{%- endmacro %}
