{#- Postal addresses, after the spirit of the French RNVP: words in full, number and street apart. -#}

{#- Words of a street line in full, lower-case ASCII, single spaces. -#}
{% macro street_text(expr) -%}
    {%- set sql = regex_replace(ascii_lower(expr), "[^a-z0-9]+", ' ') -%}
    {#- the number glued to its suffix or street: `12bis`, `12,rue` -#}
    {%- set sql = regex_replace(sql, '^ *([0-9]+)(bis|ter|quater)\\b', '\\1 \\2') -%}
    {%- set sql = regex_replace(sql, '^ *([0-9]+) ?([bt]) (r|rue|av|ave|avenue|bd|bld|blvd|boulevard|imp|impasse|all|allee|pl|place|ch|chemin|rte|route|sq|square|quai|cours|res|residence)\\b', '\\1 \\2 \\3') -%}
    {%- set sql = regex_replace(sql, '^ *([0-9]+)([a-df-h]) ', '\\1 \\2 ') -%}
    {%- set sql = "' ' || trim(" ~ sql ~ ") || ' '" -%}
    {%- set sql = regex_replace(sql, '^ ([0-9]+) b (r|rue|av|ave|avenue|bd|bld|blvd|boulevard|imp|impasse|all|allee|pl|place|ch|chemin|rte|route|sq|square|quai|cours|res|residence) ', ' \\1 bis \\2 ') -%}
    {%- set sql = regex_replace(sql, '^ ([0-9]+) t (r|rue|av|ave|avenue|bd|bld|blvd|boulevard|imp|impasse|all|allee|pl|place|ch|chemin|rte|route|sq|square|quai|cours|res|residence) ', ' \\1 ter \\2 ') -%}
    {#- street types only where a street type stands: at the start or after the number -#}
    {%- set sql = regex_replace(sql, '^( [0-9]+)?( bis| ter| quater| [a-c])? (r) ', '\\1\\2 rue ') -%}
    {%- set sql = regex_replace(sql, '^( [0-9]+)?( bis| ter| quater| [a-c])? (ch|che|chem) ', '\\1\\2 chemin ') -%}
    {%- set sql = regex_replace(sql, '^( [0-9]+)?( bis| ter| quater| [a-c])? (all) ', '\\1\\2 allee ') -%}
    {%- set sql = regex_replace(sql, '^( [0-9]+)?( bis| ter| quater| [a-c])? (pl) ', '\\1\\2 place ') -%}
    {%- set sql = regex_replace(sql, '^( [0-9]+)?( bis| ter| quater| [a-c])? (res) ', '\\1\\2 residence ') -%}
    {%- set sql = regex_replace(sql, '^( [0-9]+)?( bis| ter| quater| [a-c])? (pass|psg) ', '\\1\\2 passage ') -%}
    {%- set sql = regex_replace(sql, '^( [0-9]+)?( bis| ter| quater| [a-c])? (qu|qai) ', '\\1\\2 quai ') -%}
    {%- set sql = replace_all(sql, [
        (' av ', ' avenue '), (' ave ', ' avenue '), (' aven ', ' avenue '), (' bd ', ' boulevard '), (' bld ', ' boulevard '),
        (' blvd ', ' boulevard '), (' bvd ', ' boulevard '), (' boul ', ' boulevard '), (' imp ', ' impasse '),
        (' rte ', ' route '), (' sq ', ' square '), (' crs ', ' cours '), (' fg ', ' faubourg '), (' fbg ', ' faubourg '),
        (' lot ', ' lotissement '), (' st ', ' saint '), (' ste ', ' sainte '), (' gal ', ' general '), (' gen ', ' general '),
        (' mal ', ' marechal '), (' mar ', ' marechal '), (' cdt ', ' commandant '), (' cmdt ', ' commandant '),
        (' cap ', ' capitaine '), (' col ', ' colonel '), (' lt ', ' lieutenant '), (' dr ', ' docteur '),
        (' doct ', ' docteur '), (' prof ', ' professeur '), (' pr ', ' professeur '), (' pdt ', ' president '),
        (' pres ', ' president '), (' nd ', ' notre dame '), (' mgr ', ' monseigneur '), (' gd ', ' grand '),
        (' gde ', ' grande '), (' gds ', ' grands '), (' gdes ', ' grandes '), (' ld ', ' lieu dit '),
        (' fb ', ' faubourg '), (' n ', ' ')
    ]) -%}
    nullif(trim({{ sql }}), '')
{%- endmacro %}

{% macro street_types() -%}
    {{ return('rue|avenue|boulevard|place|impasse|allee|allees|chemin|route|square|cours|quai|passage|faubourg|lotissement|residence|villa|hameau|sentier|ruelle|montee|esplanade|promenade|rond point|voie|cite|clos|domaine|mail|parvis|traverse|venelle|cote|lieu dit') }}
{%- endmacro %}

{#- True for lines that clerks type where an address is unknown. -#}
{% macro is_placeholder_address(expr) -%}
    {{ expr }} in ('inconnue', 'inconnu', 'adresse inconnue', 'nc', 'na', 'n a', 'neant', 'sans', 'xxx', 'xx', 'x', 'test', 'null',
        'non renseigne', 'non renseignee', 'a completer', 'npai', 'pas d adresse', 'sans adresse', 'aucune')
{%- endmacro %}

{#-
    A street line with the number written after the street (`kerkstraat 12 b bus 3`, as in Belgium, Germany or Italy)
    with the number in front; the post-box or flat after it goes. A number that belongs to a building, a road or a
    date stays (`batiment 4`, `rue du 8 mai 1945`).
-#}
{% macro number_in_front(expr) -%}
    case
        when {{ regex_matches(expr, '^[a-z][a-z ]* [0-9]{1,4}( ?[a-h]| bis| ter)?( (bus|bte|boite|box|app|appt|apt)? ?[0-9]{1,3}[a-z]?)?$') }}
            and not {{ regex_matches(expr, '^([a-z ]* )?(bat|batiment|bloc|esc|escalier|appt|apt|app|appartement|etage|porte|lot|lotissement|bte|boite|bus|box|bp|cs|cedex|rn|rd|nationale|departementale|km|hlm|entree|tour|villa|pavillon|chalet|cage|chambre|local|hall|resid|residence|immeuble|imm|cite|zone|za|zi|zac) [0-9]') }}
            then trim({{ regex_replace(expr, '^([a-z][a-z ]*[a-z]) ([0-9]{1,4})( ?([a-h]|bis|ter))?( (bus|bte|boite|box|app|appt|apt)? ?[0-9]{1,3}[a-z]?)?$', '\\2 \\4 \\1') }})
        else {{ expr }}
    end
{%- endmacro %}

{#-
    `relation` with columns about the street line in its column `column`: <name>_standard, <name>_number
    (`12`, `12 bis`) and <name>_name. What stands before the number (flat, building) and what follows the
    street (post-box, postal code and city) is left out.
-#}
{% macro with_street(relation, column, name='street') -%}
    (
        select
            *,
            trim({{ regex_extract(name ~ "_turned", '^([0-9]+( bis| ter| quater| [a-h])?) +[a-z]') }}) as {{ name }}_number,
            nullif(trim({{ regex_replace(name ~ "_turned", '^[0-9]+( bis| ter| quater| [a-h])? +', '') }}), '')
                as {{ name }}_name
        from (
            select *, {{ regex_replace(number_in_front(name ~ "_standard"), ' +', ' ') }} as {{ name }}_turned
            from (
            select
                *,
                case
                    when {{ is_placeholder_address(name ~ "_text") }} then null
                    else nullif(trim({{ regex_replace(regex_replace(regex_replace(
                        name ~ "_text",
                        '^.*?\\b([0-9]+( bis| ter| quater| [a-z])? (' ~ street_types() ~ ') .*)$', '\\1'),
                        '\\b(bp|cs|boite postale) ?[0-9]+\\b', ''),
                        ' +[0-9]{5}( [a-z ]+)?$', '') }}), '')
                end as {{ name }}_standard
            from (select *, {{ street_text(column) }} as {{ name }}_text from {{ relation }}) as {{ name }}_1
            ) as {{ name }}_2
        ) as {{ name }}_3
    )
{%- endmacro %}

{#- The name of a town as a key: words in full, no article of delivery (cedex), no district number. -#}
{% macro city_key(expr) -%}
    {%- set sql = regex_replace(ascii_lower(expr), '[^a-z0-9/]+', ' ') -%}
    {%- set sql = regex_replace(sql, '^ *f? ?[0-9]{4,5} ', '') -%}
    {%- set sql = regex_replace(sql, ' ?s/s? ?', ' sur ') -%}
    {%- set sql = "' ' || trim(replace(" ~ sql ~ ", '/', ' ')) || ' '" -%}
    {%- set sql = regex_replace(sql, ' cedex( [0-9]+)?| cdx( [0-9]+)?', '') -%}
    {%- set sql = regex_replace(sql, '^ (paris|lyon|marseille) [0-9]+ ?(er|e|eme|ieme)?( arrondissement| arrdt| arr)?', ' \\1') -%}
    {%- set sql = replace_all(sql, [(' st ', ' saint '), (' ste ', ' sainte '), (' nd ', ' notre dame '), (' s ', ' sur ')]) -%}
    nullif(trim({{ regex_replace(sql, ' +', ' ') }}), '')
{%- endmacro %}

{#- A whole standardised address as one text, from the columns of int_customer_records. -#}
{% macro post_value(alias='records') -%}
    concat_ws(' ', coalesce({{ alias }}.address_line, lower({{ alias }}.address_line_given)), {{ alias }}.postal_code, {{ alias }}.city_key)
{%- endmacro %}
