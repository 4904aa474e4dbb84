{#-
    A table whose inputs are what they were when it was made is left as it is, and a test that passed on
    tables that are what they were is not asked again. So a change stops where it makes no difference: a
    file that gives nobody another e-mail address rebuilds the contact points, and nothing that hangs on them.

    A model that says which rows of it a row of its inputs concerns (`touched`, below) works out those alone. Of the
    others, a table of which few rows came out otherwise has those taken out and put in: writing a table costs as
    much as working it out.

    `control.table_contents` holds a fingerprint of each table as it is, `control.table_inputs` those of the inputs that
    each table was made from, `control.table_changes` and `changes.*` the rows by which a table went from one
    fingerprint to the next in this run, `control.keys_touched` for how many keys a table was last worked out. Python
    writes the same for the tables that it makes (`orchestration/changes.py`), and `kept_models.py` makes what this is
    kept in. Without that (dbt run by hand) every table is made and every test asked. A model has no other inputs than
    the tables it reads: declarations are tables, and other code begins with an empty build.
-#}

{%- materialization table, adapter='duckdb' -%}
    {{ return(made_or_kept(dbt.materialization_table_duckdb, mends=true)) }}
{%- endmaterialization -%}

{%- materialization seed, adapter='duckdb' -%}
    {{ return(made_or_kept(seeded)) }}
{%- endmaterialization -%}

{#- `make`: dbt's own materialization. `mends`: a table that is there may be brought to what its query gives. -#}
{%- macro made_or_kept(make, mends=false) -%}
    {%- set place = this.schema ~ '.' ~ this.identifier -%}
    {%- if not has_memory() -%}
        {{ return(make()) }}
    {%- endif -%}
    {%- set inputs = places_read(model) -%}
    {%- set known = what_is_known(place, inputs) -%}
    {%- set is_there = load_cached_relation(this) is not none -%}
    {%- set is_mended = mends and is_there and known.contents is not none -%}
    {%- set touched = touched_keys(known.changed, known.told) if is_mended and known.changed else none -%}
    {%- if is_there and (known.is_as_it_was or touched == 0) -%}
        {%- if not known.is_as_it_was -%}{%- do remember(place, inputs) -%}{%- endif -%}
        {%- call noop_statement('main', 'KEPT', 'KEPT') -%}{%- endcall -%}
        {{ return({'relations': [this.incorporate(type='table')]}) }}
    {%- endif -%}
    {#- first forgotten: what is made halfway is nobody's input -#}
    {%- do forget(place) -%}
    {%- if touched is not none -%}
        {%- set contents = touched_replaced(known.contents) -%}
    {%- elif is_mended -%}
        {%- set contents = mended(known.contents) -%}
    {%- else -%}
        {%- do make() -%}
        {%- set contents = none -%}
    {%- endif -%}
    {%- do remember(place, inputs, of=this, contents=contents, before=known.contents) -%}
    {{ return({'relations': [this.incorporate(type='table')]}) }}
{%- endmacro -%}

{#-
    Key by key: a model whose rows of a key come from those rows of its inputs that concern the key says so in its `meta`:

        'touched': {
            'key': 'customer_id',                  -- an expression over its own columns; never null
            'by': {                                -- input: whom its changed rows concern
                'orders': 'customer_id',                              -- an expression over its columns
                'stg_events': 'unnest([ref_email, ref_phone])',
                'customers': {'columns': 'customer_id, birth_on', 'key': 'customer_id'},  -- where one of those changed
                'products': {'columns': 'product_id, label'},         -- no key: then it may concern everything
                'identifiers': {'query': 'select ... from {changed}'},
                'touched_records': {'rows': 'record_id'},             -- the input is itself a list of what changed
            },
            'through': ['record_customers'],       -- inputs whose changes show in one of the others
            'further': 'select ... from touched ...',  -- the keys that hang together with a touched one (recursive)
        }

    and restricts its query with `only_touched` and `when_touched`. A query names a table `{database}.schema.table`. A
    changed input that is not named may concern everything.
-#}
{%- macro only_touched(key) -%}{{ when_touched(key ~ ' in {touched}') }}{%- endmacro -%}

{#- A condition that holds where only some keys are worked out; `{touched}` stands for those. -#}
{%- macro when_touched(condition) -%}
(true /* when touched: {{ condition }} */)
{%- endmacro -%}

{#-
    Writes control.touched__<model>, the keys that the changed inputs concern; returns how many. None where that
    cannot be told, or where they are so many that working out everything is no slower.
-#}
{%- macro touched_keys(changed, told) -%}
    {%- set touched = model.config.meta.get('touched') -%}
    {%- if not touched -%}{{ return(none) }}{%- endif -%}
    {%- set nodes = {} -%}
    {%- for name in model.depends_on.nodes -%}
        {%- do nodes.update({place_of(name): name.split('.')[-1]}) -%}
    {%- endfor -%}
    {%- set parts = [] -%}
    {%- for place in changed if nodes[place] not in touched.get('through', []) -%}
        {%- set by = touched.by.get(nodes[place]) -%}
        {%- set log = log_of(place) -%}
        {%- if by is mapping and by.get('rows') -%}
            {%- do parts.append("select " ~ by['rows'] ~ " as touched_key from {database}." ~ place) -%}
        {%- elif by is none or place not in told -%}
            {{ return(none) }}
        {%- elif by is not mapping -%}
            {%- do parts.append("select " ~ by ~ " as touched_key from " ~ log) -%}
        {%- elif by.get('query') -%}
            {%- set query = by['query'].replace('{changed}', log) -%}
            {%- do parts.append("select * from (" ~ query ~ ") as found (touched_key)") -%}
        {%- else -%}
            {%- set differing = "(select " ~ by['columns'] ~ " from " ~ log ~ " group by " ~ by['columns']
                ~ " having count(*) filter (is_gone) <> count(*) filter (not is_gone))" -%}
            {%- if by.get('key') -%}
                {%- do parts.append("select " ~ by['key'] ~ " as touched_key from " ~ differing) -%}
            {%- elif run_query("select count(*) from " ~ differing).rows[0][0] | int > 0 -%}
                {{ return(none) }}
            {%- endif -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if not parts -%}{{ return(0) }}{%- endif -%}
    {%- set keys = control() ~ ".touched__" ~ this.identifier -%}
    {%- set further = touched.get('further') -%}
    {%- do run_query((
        "create or replace table " ~ keys ~ " as with recursive found as (" ~ parts | join(" union all ")
        ~ "), touched as (select touched_key from found where touched_key is not null"
        ~ (" union (" ~ further ~ ")" if further else "") ~ ") select distinct touched_key from touched"
    ).replace('{database}', target.database)) -%}
    {%- set counts = run_query(
        "select (select count(*) from " ~ keys ~ "), "
        ~ "(select approx_count_distinct(" ~ touched.key ~ ") from " ~ this ~ ")"
    ).rows[0] -%}
    {{ return(counts[0] | int if counts[0] | int * 4 < counts[1] | int else none) }}
{%- endmacro -%}

{#- Puts what the query gives for the touched keys in the place of their rows; returns the new fingerprint. -#}
{%- macro touched_replaced(before) -%}
    {%- set keys = "(select touched_key from " ~ control() ~ ".touched__" ~ this.identifier ~ ")" -%}
    {%- set place = this.schema ~ '.' ~ this.identifier -%}
    {%- set fresh = 'fresh__' ~ this.identifier -%}
    {%- set log = log_of(place) -%}
    {%- set condition = model.config.meta.touched.key ~ " in " ~ keys -%}
    {%- set query = modules.re.sub('\(true /\* when touched: (.+?) \*/\)', '(\\1)', compiled_code) -%}
    {%- do fill_fresh(fresh, query.replace('{touched}', keys)) -%}
    {%- do run_query(
        "begin; create or replace table " ~ log ~ " as with was as (select * from " ~ this ~ " where " ~ condition
        ~ ") select *, true as is_gone from (from was except all from " ~ fresh ~ ") "
        ~ "union all select *, false as is_gone from (from " ~ fresh ~ " except all from was); "
        ~ "delete from " ~ this ~ " where " ~ condition ~ "; insert into " ~ this ~ " select * from " ~ fresh ~ "; "
        ~ "commit; drop table temp." ~ fresh ~ "; "
        ~ "delete from " ~ control() ~ ".keys_touched where place = '" ~ place ~ "'; "
        ~ "insert into " ~ control() ~ ".keys_touched select '" ~ place ~ "', count(*) from " ~ keys
    ) -%}
    {{ return(contents_after(log, before)) }}
{%- endmacro -%}

{#-
    Brings `this` to what its query gives now, and returns its fingerprint. Rows are told apart by a hash of all they
    hold; where that does not lead there (rows that are there twice), or most changed, the table is filled anew.
-#}
{%- macro mended(before) -%}
    {%- set fresh = 'fresh__' ~ this.identifier -%}
    {%- set log = log_of(this.schema ~ '.' ~ this.identifier) -%}
    {%- do fill_fresh(fresh, compiled_code) -%}
    {%- set wanted = run_query("select " ~ contents_of(fresh)).rows[0][0] -%}
    {%- if wanted != before -%}
        {%- do run_query(
            "create or replace table " ~ log ~ " as select *, true as is_gone from " ~ this ~ " as old "
            ~ "where hash(old) not in (select hash(fresh) from " ~ fresh ~ " as fresh) union all "
            ~ "select *, false from " ~ fresh ~ " as fresh "
            ~ "where hash(fresh) not in (select hash(old) from " ~ this ~ " as old)"
        ) -%}
        {%- set counts = run_query(
            "select (select count(*) from " ~ log ~ "), (select count(*) from " ~ fresh ~ ")"
        ).rows[0] -%}
        {%- if counts[0] | int * 2 < counts[1] | int and contents_after(log, before) == wanted -%}
            {%- do run_query(
                "begin; delete from " ~ this ~ " as old where hash(old) not in (select hash(fresh) from " ~ fresh
                ~ " as fresh); insert into " ~ this ~ " select * exclude (is_gone) from " ~ log
                ~ " where not is_gone; commit"
            ) -%}
        {%- else -%}
            {%- do run_query(
                "begin; truncate " ~ this ~ "; insert into " ~ this ~ " select * from " ~ fresh ~ "; drop table " ~ log
                ~ "; commit"
            ) -%}
        {%- endif -%}
    {%- endif -%}
    {%- do run_query("drop table temp." ~ fresh) -%}
    {{ return(wanted) }}
{%- endmacro -%}

{#- What a query gives, as a temporary table with the columns of the model. -#}
{%- macro fill_fresh(fresh, query) -%}
    {%- set columns = model.columns.values() | map(attribute='name') | join(', ') -%}
    {%- set is_contracted = config.get('contract').enforced -%}
    {%- do run_query("create or replace temp table " ~ fresh ~ " as from " ~ this ~ " limit 0") -%}
    {%- call statement('main') -%}
        insert into {{ fresh }}{% if is_contracted %} ({{ columns }}) select {{ columns }} from ({% endif %}
        {{ query }}
        {%- if is_contracted %}){% endif %}
    {%- endcall -%}
    {%- do adapter.commit() -%}
{%- endmacro -%}

{%- materialization test, default -%}
    {%- set place = 'test ' ~ model.unique_id -%}
    {%- set inputs = places_read(model) -%}
    {%- set is_remembering = has_memory() -%}
    {%- if is_remembering and what_is_known(place, inputs).is_as_it_was -%}
        {%- call statement('main', fetch_result=True) -%}
            select 0 as failures, false as should_warn, false as should_error
        {%- endcall -%}
        {{ return({'relations': []}) }}
    {%- endif -%}
    {%- set relations = dbt.materialization_test_default() -%}
    {%- if is_remembering and load_result('main').table.rows[0][0] | int == 0 -%}
        {%- do remember(place, inputs) -%}
        {#- a test ends in a rollback -#}
        {%- do adapter.commit() -%}
    {%- endif -%}
    {{ return(relations) }}
{%- endmaterialization -%}

{#- 'schema.table' of a node of the graph, and of all that a node reads. -#}
{%- macro place_of(name) -%}
    {%- set read = graph.nodes.get(name) or graph.sources.get(name) -%}
    {{ return(read.schema ~ '.' ~ (read.alias or read.identifier or read.name)) }}
{%- endmacro -%}

{%- macro places_read(node) -%}
    {%- set places = [] -%}
    {%- for name in node.depends_on.nodes | unique | sort -%}
        {%- do places.append(place_of(name)) -%}
    {%- endfor -%}
    {{ return(places) }}
{%- endmacro -%}

{#- Where the memory lies: said in full, since the connection to an encrypted build begins at another database. -#}
{%- macro control() -%}{{ return(target.database ~ '.control') }}{%- endmacro -%}

{%- macro log_of(place) -%}{{ return(target.database ~ '.changes.' ~ place | replace('.', '__')) }}{%- endmacro -%}

{%- macro has_memory() -%}
    {{ return(adapter.get_relation(target.database, 'control', 'table_changes') is not none) }}
{%- endmacro -%}

{#-
    What is known of a node, in one question. `is_as_it_was`: each input is known, and is what it was (never so
    for a node that reads nothing: it is made each time). `changed`: the inputs that are known and are not what they
    were, none where one is not known; `told`: those of them whose changes are kept. `contents`: the fingerprint of
    the node's own table, or none.
-#}
{%- macro what_is_known(place, inputs) -%}
    {%- set found = run_query(
        "select inputs.input, inputs.contents = now.contents, told.place is not null, '' from " ~ control()
        ~ ".table_inputs as inputs inner join " ~ control() ~ ".table_contents as now on inputs.input = now.place "
        ~ "left join " ~ control() ~ ".table_changes as told on inputs.input = told.place "
        ~ "and inputs.contents = told.contents_before and now.contents = told.contents_after "
        ~ "where inputs.place = '" ~ place ~ "' "
        ~ "union all select '', true, false, contents from " ~ control() ~ ".table_contents where place = '" ~ place ~ "'"
    ).rows -%}
    {%- set known, changed, told, own = [], [], [], [] -%}
    {%- for row in found -%}
        {%- if not row[0] -%}
            {%- do own.append(row[3]) -%}
        {%- elif row[0] in inputs -%}
            {%- do known.append(row[0]) -%}
            {%- if not row[1] -%}{%- do changed.append(row[0]) -%}{%- endif -%}
            {%- if row[2] -%}{%- do told.append(row[0]) -%}{%- endif -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set are_known = inputs | length > 0 and known | length == inputs | length -%}
    {{ return({
        'is_as_it_was': are_known and not changed,
        'changed': changed if are_known else none,
        'told': told,
        'contents': own[0] if own else none,
    }) }}
{%- endmacro -%}

{%- macro forget(place) -%}
    {%- do run_query(
        "delete from " ~ control() ~ ".table_contents where place = '" ~ place ~ "'; "
        ~ "delete from " ~ control() ~ ".table_inputs where place = '" ~ place ~ "'; "
        ~ "delete from " ~ control() ~ ".table_changes where place = '" ~ place ~ "'"
    ) -%}
{%- endmacro -%}

{#-
    Writes what a node was made from and, where `of` is its table, what that holds: `contents`, or what a look at it
    shows. `before`: what it held before; the changes from there are kept.
-#}
{%- macro remember(place, inputs, of=none, contents=none, before=none) -%}
    {%- set steps = ["delete from " ~ control() ~ ".table_inputs where place = '" ~ place ~ "'"] -%}
    {%- if inputs -%}
        {%- do steps.append(
            "insert into " ~ control() ~ ".table_inputs select '" ~ place ~ "', place, contents from "
            ~ control() ~ ".table_contents where place in ('" ~ inputs | join("', '") ~ "')"
        ) -%}
    {%- endif -%}
    {%- if of -%}
        {%- set told = "'" ~ contents | replace("'", "''") ~ "'" if contents else contents_of(of) -%}
        {%- do steps.append("insert into " ~ control() ~ ".table_contents select '" ~ place ~ "', " ~ told) -%}
        {%- if contents and before and contents != before -%}
            {%- do steps.append(
                "insert into " ~ control() ~ ".table_changes select '" ~ place ~ "', '" ~ before | replace("'", "''")
                ~ "', '" ~ contents | replace("'", "''") ~ "' from duckdb_tables() where database_name = '"
                ~ target.database ~ "' and schema_name = 'changes' and table_name = '" ~ place | replace('.', '__') ~ "'"
            ) -%}
        {%- endif -%}
    {%- endif -%}
    {%- do run_query(steps | join("; ")) -%}
{%- endmacro -%}

{#-
    An expression for the fingerprint of a table: the same for the same rows, columns and types, whatever the order
    of the rows. `warehouse.table_contents` writes the same one.
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

{#-
    The fingerprint that a table with the fingerprint `before` has after the changes in `log`; none where it does not
    follow: for a table that had or has no rows. `orchestration/changes.py` does the same.
-#}
{%- macro contents_after(log, before) -%}
    {%- set told = before.split(' ', 3) -%}
    {%- if told | length < 4 or not told[2].isdigit() -%}{{ return(none) }}{%- endif -%}
    {%- set digest = "(select count(*) as rows, coalesce(bit_xor(hash(kept)), 0) as xored, coalesce(sum(hash(kept)), 0) as "
        ~ "summed from (select * exclude (is_gone) from " ~ log ~ " where is_gone = %s) as kept) as %s" -%}
    {%- set found = run_query(
        "select " ~ told[0] ~ " - gone.rows + come.rows, concat_ws(' ', " ~ told[0] ~ " - gone.rows + come.rows, "
        ~ "xor(xor(" ~ told[1] ~ "::ubigint, gone.xored), come.xored), "
        ~ told[2] ~ "::hugeint - gone.summed + come.summed) from "
        ~ digest % ('true', 'gone') ~ ", " ~ digest % ('false', 'come')
    ).rows[0] -%}
    {{ return(found[1] ~ ' ' ~ told[3] if found[0] | int > 0 else none) }}
{%- endmacro -%}
