{#-
    Record-level models hold one row per living record and are rebuilt only where something changed:
    the rows of touched records are taken out, then put back from what the records are now. In a rebuild
    every record is touched, so that there is one code path.
-#}

{#- pre_hook: takes the touched records out of the model that is being built. -#}
{% macro remove_touched_records() -%}
    {%- set touched_records = source('control', 'touched_records') -%}
    {%- if is_incremental() -%}
    delete from {{ this }}
    where exists (
        select 1
        from {{ touched_records }} as touched
        where touched.source = {{ this }}.source and touched.record_id = {{ this }}.record_id
    )
    {%- else -%}
    select 1
    {%- endif -%}
{%- endmacro %}

{#- Restricts `alias` (with source and record_id) to touched records. On the first build it keeps all. -#}
{% macro only_touched(alias) -%}
    {#- named outside the condition, so that the graph knows the dependency on first builds too -#}
    {%- set touched_records = source('control', 'touched_records') -%}
    {%- if is_incremental() -%}
    exists (
        select 1
        from {{ touched_records }} as touched
        where touched.source = {{ alias }}.source and touched.record_id = {{ alias }}.record_id
    )
    {%- else -%}
    true
    {%- endif -%}
{%- endmacro %}
