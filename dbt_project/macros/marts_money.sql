{#- Money is decimal(18,4), rounded half away from zero; sums come back to it. -#}
{% macro money(expression) %}cast({{ expression }} as decimal(18, 4)){% endmacro %}

{#- negative, zero or positive; null counts as zero. -#}
{% macro sign_of(expression) %}case
    when {{ expression }} < 0 then 'negative'
    when {{ expression }} > 0 then 'positive'
    else 'zero'
end{% endmacro %}

{#-
    Amount of a line in its own currency, signed as delivered: the stated amount, else quantity times
    unit price less the discount (which makes a return smaller, not larger).
-#}
{% macro line_amount(line) %}{{ money(
    'coalesce(' ~ line ~ '.amount_gross, '
    ~ line ~ '.quantity * ' ~ line ~ '.unit_price '
    ~ '- case when ' ~ line ~ '.quantity < 0 then -1 else 1 end * coalesce(' ~ line ~ '.amount_discount, 0), 0)'
) }}{% endmacro %}
