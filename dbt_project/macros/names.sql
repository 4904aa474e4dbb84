{#- Names of people, the French way. -#}

{#- Lower-case ASCII letters, apostrophes as spaces, hyphens kept: what a name is parted from. -#}
{% macro name_text(expr) -%}
    {%- set sql = regex_replace(ascii_lower(expr), '\\([^)]*\\)', ' ') -%}
    {%- set sql = regex_replace(sql, '[^a-z -]+', ' ') -%}
    {%- set sql = regex_replace(sql, '\\s*-+\\s*', '-') -%}
    {%- set sql = regex_replace(sql, '\\s+', ' ') -%}
    nullif(trim({{ sql }}, ' -'), '')
{%- endmacro %}

{#- A civility written before a name, told apart from an initial by what follows. -#}
{% macro civility_pattern() -%}
    {{ return('^(monsieur|mr|m|madame|mme|mrs|ms|mademoiselle|mlle|melle|miss|docteur|dr|maitre|professeur|pr)( et (madame|mme))? +') }}
{%- endmacro %}

{#- Before a first name a lone `m` is an initial, not Monsieur. -#}
{% macro civility_before_first_name() -%}
    {{ return('^(monsieur|mr|madame|mme|mademoiselle|mlle|melle|docteur|dr) +') }}
{%- endmacro %}

{#- M., Mme or null from a civility in plain words. -#}
{% macro civility_standard(words) -%}
    case
        when {{ words }} in ('m', 'mr', 'monsieur', 'mister', 'h', 'homme', 'herr', 'sir', 'm m') then 'M.'
        when {{ words }} in
            ('mme', 'madame', 'mlle', 'melle', 'mademoiselle', 'mrs', 'ms', 'miss', 'f', 'femme', 'frau') then 'Mme'
    end
{%- endmacro %}

{#- M, F or null from a sex in plain words. -#}
{% macro sex_standard(words) -%}
    case
        when {{ words }} in ('m', 'h', 'homme', 'masculin', 'male', 'man', 'garcon', '1') then 'M'
        when {{ words }} in ('f', 'femme', 'feminin', 'female', 'woman', 'fille', '2') then 'F'
    end
{%- endmacro %}

{#- True for words that clerks type where a name is unknown. -#}
{% macro is_placeholder_name(expr) -%}
    {{ expr }} in ('inconnu', 'inconnue', 'unknown', 'test', 'teste', 'tests', 'client', 'cliente', 'anonyme', 'nc', 'na', 'n a',
        'neant', 'sans', 'vide', 'null', 'none', 'xx', 'xxx', 'xxxx', 'aaa', 'aa', 'zzz', 'azerty', 'qwerty', 'toto', 'prenom',
        'nom', 'non renseigne', 'a completer', 'client divers', 'client comptoir', 'divers', 'comptoir', 'passage', 'client passage')
{%- endmacro %}

{#- The name without its leading particles and without spaces: `de la tour` gives `tour`, `d artagnan` `artagnan`. -#}
{% macro name_without_particles(expr) -%}
    {%- set sql = regex_replace(expr, '^((de|du|des|d|la|le|les|l|da|dos|das|do|di|del|della|van|von|der|den|ten|ter|el|al|ben|o|mc|mac|san|zu) )+', '') -%}
    replace({{ sql }}, ' ', '')
{%- endmacro %}

{#-
    How a French reader would say a name, roughly: for blocking only, never proof. `expr` is lower-case
    ASCII without spaces. Endings that are not heard go, spellings of one sound meet (eau/au/o, ph/f,
    qu/k/c, y/i, ai/ei/e, ou/u, en/an), doubled letters count once.
-#}
{% macro french_phonetic(expr) -%}
    {%- set ns = namespace(sql=expr) -%}
    {%- set ns.sql = regex_replace(ns.sql, '[^a-z]', '') -%}
    {%- set ns.sql = replace_all(ns.sql, [('sch', '1'), ('sh', '1'), ('ch', '1'), ('ph', 'f'), ('th', 't'), ('h', ''), ('qu', 'k'), ('q', 'k'), ('ck', 'k')]) -%}
    {%- set ns.sql = regex_replace(ns.sql, 's?c([eiy])', 's\\1') -%}
    {%- set ns.sql = regex_replace(ns.sql, 'gu([eiy])', '2\\1') -%}
    {%- set ns.sql = regex_replace(ns.sql, 'ge([aou])', 'j\\1') -%}
    {%- set ns.sql = regex_replace(ns.sql, 'g([eiy])', 'j\\1') -%}
    {%- set ns.sql = replace_all(ns.sql, [('c', 'k'), ('2', 'g'), ('gn', 'n'), ('w', 'v'), ('y', 'i')]) -%}
    {%- set ns.sql = replace_all(ns.sql, [('eaux', 'o'), ('eau', 'o'), ('aux', 'o'), ('au', 'o'), ('oeu', 'e'), ('oe', 'e'), ('eu', 'e'), ('ou', 'u'), ('ai', 'e'), ('ei', 'e'), ('oi', 'ua')]) -%}
    {#- endings: -er, -ez, -et are heard as é; a last e and last consonants are not heard -#}
    {%- set ns.sql = regex_replace(ns.sql, '([a-z1]{2,})(ers|er|ez|ets|et)$', '\\1E') -%}
    {%- set ns.sql = regex_replace(ns.sql, '([a-z1]{2,}?)e?[dtsxzp]*$', '\\1') -%}
    {%- set ns.sql = replace_all(ns.sql, [('bv', 'v'), ('z', 's'), ('x', 's'), ('mb', 'nb'), ('mp', 'np')]) -%}
    {%- set ns.sql = regex_replace(ns.sql, 'e[nm]([^aeiounm]|$)', 'an\\1') -%}
    {%- set ns.sql = replace_all(ns.sql, [('ll', 'l'), ('tt', 't'), ('nn', 'n'), ('mm', 'm'), ('rr', 'r'), ('ss', 's'), ('pp', 'p'), ('ff', 'f'), ('kk', 'k'), ('dd', 'd'), ('bb', 'b'), ('gg', 'g'), ('jj', 'j'), ('ee', 'e'), ('aa', 'a'), ('oo', 'o'), ('ii', 'i'), ('uu', 'u')]) -%}
    nullif({{ ns.sql }}, '')
{%- endmacro %}

{#- A name for people to read: capitals at the start of words, from text in any case. Accents stay. -#}
{% macro name_display(expr) -%}
    {{ return(adapter.dispatch('name_display', 'rcu')(expr)) }}
{%- endmacro %}
{% macro default__name_display(expr) -%}
    list_reduce(
        list_transform(
            regexp_extract_all(lower({{ expr }}), '[^ ''’-]+[ ''’-]*'),
            lambda word: upper(left(word, 1)) || substr(word, 2)
        ),
        lambda told, word: told || word
    )
{%- endmacro %}
{% macro spark__name_display(expr) -%}
    initcap(lower({{ expr }}))
{%- endmacro %}
