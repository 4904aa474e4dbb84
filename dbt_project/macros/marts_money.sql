{#- Money is decimal(18,4), rounded half away from zero; sums come back to it. -#}
{% macro money(expression) %}cast({{ expression }} as decimal(18, 4)){% endmacro %}

{#- negative, zero or positive; null counts as zero. -#}
{% macro sign_of(expression) %}case
    when {{ expression }} < 0 then 'negative'
    when {{ expression }} > 0 then 'positive'
    else 'zero'
end{% endmacro %}

{#-
    An amount in the company's currency. Most need no conversion: products of decimals are wide, and ten
    times as slow.
-#}
{% macro converted(amount, rate) %}case
        when {{ rate }} = 1 then {{ amount }}
        else {{ money(amount ~ ' * ' ~ rate) }}
    end{% endmacro %}

{#-
    Amount of a line in its own currency, signed as delivered: the stated amount, else quantity times
    unit price (rounded to money) less the discount (which makes a return smaller, not larger).
-#}
{% macro line_amount(line) %}case
        when {{ line }}.amount_gross is not null then {{ line }}.amount_gross
        else coalesce(
            case
                when {{ line }}.quantity = 1 then {{ line }}.unit_price
                when {{ line }}.quantity = -1 then - {{ line }}.unit_price
                else {{ money(line ~ '.quantity * ' ~ line ~ '.unit_price') }}
            end
            - case
                when {{ line }}.quantity < 0 then - coalesce({{ line }}.amount_discount, 0)
                else coalesce({{ line }}.amount_discount, 0)
            end, 0
        )
    end{% endmacro %}
