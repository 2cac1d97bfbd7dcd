-- A type by its number; "reads_as_text": its binary form is its text.
-- name: sql_check_type(type_oid int8) :one
-- returns: name text, reads_as_text bool
SELECT format_type(t.oid, NULL) AS name, t.typtype = 'e' OR t.typname = 'citext' AS reads_as_text
FROM pg_type t
WHERE t.oid = :type_oid::oid;

-- name: sql_check_column(table_oid int8, column_number int4) :one
-- returns: table_name text, nullable bool
SELECT c.relname::text AS table_name, NOT a.attnotnull AS nullable
FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid
WHERE a.attrelid = :table_oid::oid AND a.attnum = :column_number;
