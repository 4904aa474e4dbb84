{#-
    Seeds on DuckDB: one COPY into the declared columns. The stock way reads each file cell by cell in
    Python first, which takes seconds for the communes of France. Every seed declares `column_types`.
-#}
{% macro seeded() %}

    {%- set column_types = config.get('column_types', {}) -%}
    {%- if not column_types -%}
        {{ exceptions.raise_compiler_error(model.name ~ ": declare config.column_types for every column of this seed") }}
    {%- endif -%}
    {%- set target_relation = this.incorporate(type='table') -%}

    {#- the folder of this invocation: a manifest parsed elsewhere remembers another one -#}
    {%- set folder = invocation_args_dict.get('project_dir') -%}
    {%- set file = folder ~ '/' ~ model.original_file_path if folder else adapter.get_seed_file_path(model) -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {% call statement('main') -%}
        create or replace table {{ target_relation }} (
            {%- for column, type in column_types.items() %}
            {{ column }} {{ type }}{{ "," if not loop.last }}
            {%- endfor %}
        );
        copy {{ target_relation }} from '{{ file }}' (format csv, header true)
    {%- endcall %}

    {#- what `dbt seed --show` prints; dbt expects a table under this name -#}
    {%- do store_result('agate_table', response='OK', agate_table=run_query('select count(*) as row_count from ' ~ target_relation)) -%}

    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}

    {{ return({'relations': [target_relation]}) }}

{% endmacro %}
