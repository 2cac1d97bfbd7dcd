-- Whoever changes a balance, tells of it: each statement that changes customers' accounts leaves events miles.moved that
-- list them. One event a statement and some fifty accounts, not one an account, so that a batch of hundreds of orders
-- pays for a handful of rows; their payloads stay too short to be compressed and moved out of the row.

CREATE FUNCTION uuid_v7() RETURNS uuid
LANGUAGE sql VOLATILE PARALLEL SAFE
AS $$
    SELECT encode(set_byte(overlay(uuid_send(gen_random_uuid())
                                   PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
                           6, 112 + (random() * 15)::int), 'hex')::uuid
$$;

CREATE FUNCTION ledger_account_tell() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO outbox (id, type, aggregate_id, sequence, payload)
    SELECT uuid_v7(), 'miles.moved', '00000000-0000-0000-0000-000000000000', 0,
           '{"ids":["' || string_agg(encode(uuid_send(c.user_id), 'hex'), '","') || '"]}'
    FROM (SELECT user_id, row_number() OVER () AS number FROM changed WHERE user_id IS NOT NULL) c
    GROUP BY c.number / 48;
    RETURN NULL;
END
$$;

CREATE TRIGGER ledger_account_tell AFTER UPDATE ON ledger_account
REFERENCING NEW TABLE AS changed
FOR EACH STATEMENT EXECUTE FUNCTION ledger_account_tell();
