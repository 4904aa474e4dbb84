{#- Which rule of survivorship.yml an attribute follows: those of the sources' own share the rule `custom`. -#}
{% macro general_attribute(attribute) -%}
    case when {{ attribute }} like 'custom.%' then 'custom' else {{ attribute }} end
{%- endmacro %}
