{#-
    A table whose inputs are what they were when it was made is left as it is, and a test that passed on
    tables that are what they were is not asked again. So a change stops where it makes no difference: a
    file that gives nobody another e-mail address rebuilds the contact points, and nothing that hangs on them.

    A table of which few rows came out otherwise has those taken out and put in: writing a table costs as much
    as working it out.

    `control.table_contents` holds a fingerprint of each table as it is, `control.table_inputs` those of the
    inputs that each table was made from. `kept_models.py` makes both and fills in what dbt does not build.
    Without them (dbt run by hand) every table is made and every test asked. A model has no other inputs than
    the tables it reads: declarations are tables, and other code begins with an empty build.
-#}

{%- materialization table, adapter='duckdb' -%}
    {{ return(made_or_kept(dbt.materialization_table_duckdb, mends=true)) }}
{%- endmaterialization -%}

{%- materialization incremental, adapter='duckdb' -%}
    {{ return(made_or_kept(dbt.materialization_incremental_duckdb)) }}
{%- endmaterialization -%}

{%- materialization seed, default -%}
    {{ return(made_or_kept(dbt.materialization_seed_default)) }}
{%- endmaterialization -%}

{#- `make`: dbt's own materialization. `mends`: a table that is there may be brought to what its query gives. -#}
{%- macro made_or_kept(make, mends=false) -%}
    {%- set place = this.schema ~ '.' ~ this.identifier -%}
    {%- if not has_memory() -%}
        {{ return(make()) }}
    {%- endif -%}
    {%- set inputs = places_read(model) -%}
    {%- set remembered = what_is_remembered(place, inputs, places_read(model, without_touched=true)) -%}
    {%- set is_there = load_cached_relation(this) is not none -%}
    {%- if is_there and remembered.is_as_it_was -%}
        {%- call noop_statement('main', 'KEPT', 'KEPT') -%}{%- endcall -%}
        {{ return({'relations': [this.incorporate(type='table')]}) }}
    {%- endif -%}
    {#- first forgotten: what is made halfway is nobody's input -#}
    {%- do forget(place) -%}
    {%- set is_mended = mends and is_there and remembered.contents is not none -%}
    {%- set is_told_by_customer = model.config.meta.get('touched_by') -%}
    {%- if is_told_by_customer and touch_customers(is_mended and remembered.are_others_as_they_were) -%}
        {%- set relations = touched_replaced() -%}
    {%- elif is_mended -%}
        {%- set relations = mended(remembered.contents) -%}
    {%- else -%}
        {%- set relations = make() -%}
    {%- endif -%}
    {%- if is_told_by_customer -%}
        {%- do run_query(
            "drop table if exists " ~ control() ~ ".digests__" ~ this.identifier ~ "; "
            ~ "alter table " ~ control() ~ ".digests_now__" ~ this.identifier ~ " rename to digests__" ~ this.identifier
        ) -%}
    {%- endif -%}
    {%- do remember(place, inputs, of=this) -%}
    {{ return(relations) }}
{%- endmacro -%}

{#-
    Customer by customer: a model whose rows about a customer come from that customer's rows in its inputs says in
    `touched_by` which columns of which inputs those are ('*': all; each has customer_id), in `touched_through` which
    further inputs those stand for, and restricts its query with `only_touched_customers`. Then only the customers
    are worked out of whom one of those rows changed; all of them in a rebuild, and where any other input changed.
-#}
{%- macro only_touched_customers(alias) -%}
    {%- if execute and flags.WHICH in ('build', 'run') and has_memory() == true -%}
    {{ alias }}.customer_id in (select customer_id from {{ control() }}.touched__{{ this.identifier }})
    {%- else -%}
    true
    {%- endif -%}
{%- endmacro -%}

{#- Writes control.touched__<model>; returns whether those are fewer than half. `is_increment`: not all are touched. -#}
{%- macro touch_customers(is_increment) -%}
    {%- set name = this.identifier -%}
    {%- set parts = [] -%}
    {%- for input, columns in model.config.meta.touched_by.items() -%}
        {%- set read = ref(input) -%}
        {%- do parts.append(
            "select customer_id, hash(rows_of, '" ~ input ~ "') as hashed from (select "
            ~ ("*" if columns == '*' else "customer_id, " ~ columns) ~ " from " ~ read ~ ") as rows_of"
        ) -%}
    {%- endfor -%}
    {%- do run_query(
        "create or replace table " ~ control() ~ ".digests_now__" ~ name ~ " as select customer_id, "
        ~ digest_of_rows('told') ~ " as digest from (" ~ parts | join(" union all ")
        ~ ") as told group by customer_id"
    ) -%}
    {%- set known = run_query(
        "select count(*) from duckdb_tables() where database_name = '" ~ target.database ~ "' "
        ~ "and schema_name = 'control' and table_name = 'digests__" ~ name ~ "'"
    ).rows[0][0] | int -%}
    {%- if is_increment and known -%}
        {%- do run_query(
            "create or replace table " ~ control() ~ ".touched__" ~ name ~ " as select coalesce(now.customer_id, "
            ~ "before.customer_id) as customer_id from " ~ control() ~ ".digests_now__" ~ name ~ " as now full join "
            ~ control() ~ ".digests__" ~ name ~ " as before on now.customer_id = before.customer_id "
            ~ "where now.digest is distinct from before.digest"
        ) -%}
        {%- set counts = run_query(
            "select (select count(*) from " ~ control() ~ ".touched__" ~ name ~ ") * 2, "
            ~ "(select count(*) from " ~ control() ~ ".digests_now__" ~ name ~ ")"
        ).rows[0] -%}
        {%- if counts[0] | int < counts[1] | int -%}{{ return(true) }}{%- endif -%}
    {%- endif -%}
    {%- do run_query(
        "create or replace table " ~ control() ~ ".touched__" ~ name ~ " as select customer_id from "
        ~ control() ~ ".digests_now__" ~ name
    ) -%}
    {{ return(false) }}
{%- endmacro -%}

{#- Puts what the query gives for the touched customers in the place of their rows. -#}
{%- macro touched_replaced() -%}
    {%- set fresh = 'fresh__' ~ this.identifier -%}
    {%- do fill_fresh(fresh) -%}
    {%- do run_query(
        "begin; delete from " ~ this ~ " where customer_id in (select customer_id from " ~ control() ~ ".touched__"
        ~ this.identifier ~ "); insert into " ~ this ~ " select * from " ~ fresh ~ "; commit"
    ) -%}
    {%- do run_query("drop table temp." ~ fresh) -%}
    {{ return({'relations': [this.incorporate(type='table')]}) }}
{%- endmacro -%}

{#- What the model's query gives, as a temporary table with the columns of the model. -#}
{%- macro fill_fresh(fresh) -%}
    {%- set columns = model.columns.values() | map(attribute='name') | join(', ') -%}
    {%- set is_contracted = config.get('contract').enforced -%}
    {%- do run_query("create or replace temp table " ~ fresh ~ " as from " ~ this ~ " limit 0") -%}
    {%- call statement('main') -%}
        insert into {{ fresh }}{% if is_contracted %} ({{ columns }}) select {{ columns }} from ({% endif %}
        {{ compiled_code }}
        {%- if is_contracted %}){% endif %}
    {%- endcall -%}
    {%- do adapter.commit() -%}
{%- endmacro -%}

{#-
    Brings `this` to what its query gives now. Rows are told apart by a hash of all they hold; should that
    leave a difference (rows that are there twice), the table is filled anew.
-#}
{%- macro mended(before) -%}
    {%- set fresh = 'fresh__' ~ this.identifier -%}
    {%- do fill_fresh(fresh) -%}
    {%- set wanted = run_query("select " ~ contents_of(fresh)).rows[0][0] -%}
    {%- if wanted != before -%}
        {%- do run_query(
            "create or replace temp table come__" ~ this.identifier ~ " as select * from " ~ fresh ~ " as fresh "
            ~ "where hash(fresh) not in (select hash(old) from " ~ this ~ " as old)"
        ) -%}
        {%- set come = run_query("select count(*) from come__" ~ this.identifier).rows[0][0] | int -%}
        {%- set total = run_query("select count(*) from " ~ fresh).rows[0][0] | int -%}
        {%- if come * 4 < total -%}
            {%- do run_query(
                "begin; delete from " ~ this ~ " as old where hash(old) not in (select hash(fresh) from " ~ fresh
                ~ " as fresh); insert into " ~ this ~ " select * from come__" ~ this.identifier ~ "; commit"
            ) -%}
        {%- endif -%}
        {%- if run_query("select " ~ contents_of(this)).rows[0][0] != wanted -%}
            {%- do run_query(
                "begin; truncate " ~ this ~ "; insert into " ~ this ~ " select * from " ~ fresh ~ "; commit"
            ) -%}
        {%- endif -%}
        {%- do run_query("drop table temp.come__" ~ this.identifier) -%}
    {%- endif -%}
    {%- do run_query("drop table temp." ~ fresh) -%}
    {{ return({'relations': [this.incorporate(type='table')]}) }}
{%- endmacro -%}

{%- materialization test, default -%}
    {%- set place = 'test ' ~ model.unique_id -%}
    {%- set inputs = places_read(model) -%}
    {%- set is_remembering = has_memory() -%}
    {%- if is_remembering and what_is_remembered(place, inputs).is_as_it_was -%}
        {%- call statement('main', fetch_result=True) -%}
            select 0 as failures, false as should_warn, false as should_error
        {%- endcall -%}
        {{ return({'relations': []}) }}
    {%- endif -%}
    {%- set relations = dbt.materialization_test_default() -%}
    {%- if is_remembering and load_result('main').table.rows[0][0] | int == 0 -%}
        {%- do remember(place, inputs) -%}
    {%- endif -%}
    {{ return(relations) }}
{%- endmaterialization -%}

{#-
    'schema.table' of all that a node reads; or of that what tells nothing of touched customers (`touched_by`
    and `touched_through` of its configuration): what changed there may concern everybody.
-#}
{%- macro places_read(node, without_touched=false) -%}
    {%- set places = [] -%}
    {%- set told = (node.config.meta.get('touched_by') or {}).keys() | list + (node.config.meta.get('touched_through') or []) -%}
    {%- for name in node.depends_on.nodes | unique | sort if not (without_touched and name.split('.')[-1] in told) -%}
        {%- set read = graph.nodes.get(name) or graph.sources.get(name) -%}
        {%- do places.append(read.schema ~ '.' ~ (read.alias or read.identifier or read.name)) -%}
    {%- endfor -%}
    {{ return(places) }}
{%- endmacro -%}

{#- Where the memory lies: said in full, since the connection to an encrypted build begins at another database. -#}
{%- macro control() -%}{{ return(target.database ~ '.control') }}{%- endmacro -%}

{%- macro has_memory() -%}
    {{ return(adapter.get_relation(target.database, 'control', 'table_inputs') is not none) }}
{%- endmacro -%}

{#-
    What is known of a node, in one question. `is_as_it_was`: each input is known, and is what it was (never so
    for a node that reads nothing: it is made each time). `are_others_as_they_were`: the same of `others` alone.
    `contents`: the fingerprint of the node's own table, or none.
-#}
{%- macro what_is_remembered(place, inputs, others=[]) -%}
    {%- set found = run_query(
        "with known as (select distinct inputs.input from " ~ control() ~ ".table_inputs as inputs "
        ~ "inner join " ~ control() ~ ".table_contents as contents on inputs.input = contents.place "
        ~ "and inputs.contents = contents.contents where inputs.place = '" ~ place ~ "') "
        ~ "select (select count(*) from known where input in ('" ~ inputs | join("', '") ~ "')), "
        ~ "(select count(*) from known where input in ('" ~ others | join("', '") ~ "')), "
        ~ "(select any_value(contents) from " ~ control() ~ ".table_contents where place = '" ~ place ~ "')"
    ).rows[0] -%}
    {{ return({
        'is_as_it_was': inputs | length > 0 and found[0] | int == inputs | length,
        'are_others_as_they_were': others | length > 0 and found[1] | int == others | length,
        'contents': found[2],
    }) }}
{%- endmacro -%}

{%- macro forget(place) -%}
    {%- do run_query(
        "delete from " ~ control() ~ ".table_contents where place = '" ~ place ~ "'; "
        ~ "delete from " ~ control() ~ ".table_inputs where place = '" ~ place ~ "'"
    ) -%}
{%- endmacro -%}

{#- Writes what a node was made from, and what its own table (`of`) holds. -#}
{%- macro remember(place, inputs, of=none) -%}
    {%- set steps = ["delete from " ~ control() ~ ".table_inputs where place = '" ~ place ~ "'"] -%}
    {%- if inputs -%}
        {%- do steps.append(
            "insert into " ~ control() ~ ".table_inputs select '" ~ place ~ "', place, contents from "
            ~ control() ~ ".table_contents where place in ('" ~ inputs | join("', '") ~ "')"
        ) -%}
    {%- endif -%}
    {%- if of -%}
        {%- do steps.append(
            "insert into " ~ control() ~ ".table_contents select '" ~ place ~ "', " ~ contents_of(of)
        ) -%}
    {%- endif -%}
    {%- do run_query(steps | join("; ")) -%}
{%- endmacro -%}

{#-
    An expression for the fingerprint of a table: the same for the same rows, columns and types, whatever the order
    of the rows. `kept_models.py` writes the same one.
-#}
{%- macro contents_of(relation) -%}{{ return(adapter.dispatch('contents_of')(relation)) }}{%- endmacro -%}
{%- macro default__contents_of(relation) -%}
(select concat_ws(
    ' ', (select {{ digest_of_rows('counted') }} from {{ relation }} as counted),
    (select string_agg(column_name || ' ' || column_type, ',') from (describe {{ relation }}))
))
{%- endmacro -%}

{#- A digest of whole rows (aggregate), whatever their order; `alias` names the table. -#}
{%- macro digest_of_rows(alias) -%}{{ return(adapter.dispatch('digest_of_rows')(alias)) }}{%- endmacro -%}
{%- macro default__digest_of_rows(alias) -%}
concat_ws(' ', count(*), bit_xor(hash({{ alias }})), sum(hash({{ alias }})))
{%- endmacro -%}
