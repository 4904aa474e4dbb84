{#- One row per key, and no part of the key is null: one query instead of several tests. -#}
{% test one_row_per(model, columns) %}
select {{ columns | join(', ') }}, count(*) as row_count
from {{ model }}
group by {{ columns | join(', ') }}
having
    count(*) > 1
    {% for column in columns %}or {{ column }} is null {% endfor %}
{% endtest %}
