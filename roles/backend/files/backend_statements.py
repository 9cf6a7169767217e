"""The statements of backend-data, for whoever sends them: a host's tool, or a task beside services (plugins/remote).

Parameters are written as psycopg2 has them, `%(name)s`; `{table}` is a table's quoted name.
"""

from __future__ import annotations

APPLICATION = "backend-data"
"""Name of the tool's own connections."""
LOGIN_SUFFIXES = ("_a", "_b")
OWNER_SUFFIX = "_owner"

# What a row looks like as text depends on these.
SETTINGS = "SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL timezone = 'UTC'; SET LOCAL intervalstyle = 'postgres'; \
SET LOCAL bytea_output = 'hex'; SET LOCAL extra_float_digits = 1; SET LOCAL statement_timeout = 0"

SNAPSHOT = "SELECT pg_current_snapshot()::text"

# Plain tables and partitions. Unlogged ones are empty after any restore, temporary ones are their session's.
TABLES = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
ORDER BY 1, 2
"""

SCHEMA = """
SELECT md5(coalesce(string_agg(concat_ws(' ', n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
    a.attnotnull), E'\\n' ORDER BY n.nspname, c.relname, a.attnum), ''))
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\\_%'
    AND n.nspname <> 'information_schema'
"""

# A row's hash is 64 bits of its md5; their sum does not depend on the order. `old` are the rows that a snapshot saw: a
# row's transaction number has 32 bits, a snapshot's 64, of which the upper ones are the same or one less.
MEASURE = """
SELECT count(*), coalesce(sum(hash), 0)::text,
    count(*) FILTER (WHERE old), coalesce(sum(hash) FILTER (WHERE old), 0)::text
FROM (
    SELECT ('x' || left(md5(vahana_row::text), 16))::bit(64)::bigint::numeric AS hash,
        pg_visible_in_snapshot((
            CASE WHEN made > latest + 2147483648 AND made >= 4294967296 THEN made - 4294967296 ELSE made END
        )::text::xid8, %(snapshot)s::pg_snapshot) AS old
    FROM {table} AS vahana_row,
        LATERAL (SELECT pg_snapshot_xmax(%(snapshot)s::pg_snapshot)::text::bigint AS latest) AS l,
        LATERAL (SELECT vahana_row.xmin::text::bigint + latest / 4294967296 * 4294967296 AS made) AS m
) AS each_row
"""

# The connections of others than this tool.
SESSIONS = f"SELECT count(*) FROM pg_stat_activity WHERE usename = %(user)s AND application_name <> '{APPLICATION}'"

# What ADMIT reads, in the same transaction: a block takes no parameters.
ADMIT_GIVEN = """
SELECT set_config('lock_timeout', '3s', true), set_config('vahana.master', %(master)s, true),
    set_config('vahana.owner', %(owner)s, true), set_config('vahana.login', %(login)s, true),
    set_config('vahana.verifier', %(verifier)s, true)
"""

# What the application makes belongs to the owner, whom each login becomes at once. REASSIGN takes shared objects, too:
# other databases stay the master user's. Memberships have options since PostgreSQL 16
# (https://www.postgresql.org/docs/16/sql-grant.html).
ADMIT = """
DO $admit$
DECLARE
    master text := current_setting('vahana.master');
    owner text := current_setting('vahana.owner');
    login text := current_setting('vahana.login');
    others text[] := ARRAY(SELECT d.datname::text FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba
        WHERE r.rolname = master AND d.datname <> current_database());
    other text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = owner) THEN
        EXECUTE format('CREATE ROLE %I NOLOGIN', owner);
    END IF;
    EXECUTE format('GRANT %I TO %I', owner, master)
        || CASE WHEN current_setting('server_version_num')::int >= 160000
            THEN ' WITH INHERIT TRUE, SET TRUE' ELSE '' END;
    EXECUTE format('REASSIGN OWNED BY %I TO %I', master, owner);
    FOREACH other IN ARRAY others LOOP
        EXECUTE format('ALTER DATABASE %I OWNER TO %I', other, master);
    END LOOP;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = login) THEN
        EXECUTE format('CREATE ROLE %I NOLOGIN', login);
    END IF;
    EXECUTE format('ALTER ROLE %I LOGIN PASSWORD %L', login, current_setting('vahana.verifier'));
    EXECUTE format('GRANT %I TO %I', owner, login);
    EXECUTE format('ALTER ROLE %I SET role = %I', login, owner);
END
$admit$
"""
WHO = "SELECT session_user, current_user"

EXISTS = "SELECT count(*) FROM pg_roles WHERE rolname = %(user)s"
DISMISS = "ALTER ROLE {user} NOLOGIN PASSWORD NULL"
