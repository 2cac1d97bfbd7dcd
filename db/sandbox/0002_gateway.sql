-- The sandbox gateway: payment intents and refunds, and their JSON as Stripe's API gives it.

CREATE TABLE sandbox.payment_intent (
    id                   text        PRIMARY KEY,
    client_secret        text        NOT NULL,
    page_token           text        UNIQUE, -- of the hosted page; a new confirmation has a new one
    page_url             text,
    amount               bigint      NOT NULL CHECK (amount > 0),
    currency             text        NOT NULL,
    status               text        NOT NULL CHECK (status IN ('requires_payment_method', 'requires_confirmation',
                                         'requires_action', 'succeeded', 'canceled')),
    payment_method_types text[]      NOT NULL,
    payment_method       text,
    return_url           text,
    description          text,
    metadata             jsonb       NOT NULL,
    last_payment_error   jsonb,
    latest_charge        text        UNIQUE,
    amount_refunded      bigint      NOT NULL DEFAULT 0,
    cancellation_reason  text,
    canceled_at          timestamptz,
    created_at           timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT refunded_within_amount CHECK (amount_refunded BETWEEN 0 AND amount),
    CHECK ((status = 'succeeded') = (latest_charge IS NOT NULL))
);

CREATE TABLE sandbox.refund (
    id             text        PRIMARY KEY,
    payment_intent text        NOT NULL REFERENCES sandbox.payment_intent,
    amount         bigint      NOT NULL CHECK (amount > 0),
    status         text        NOT NULL CHECK (status IN ('pending', 'succeeded', 'failed')),
    reason         text,
    failure_reason text,
    metadata       jsonb       NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX refund_payment_intent ON sandbox.refund (payment_intent);

-- Answers by Idempotency-Key; a second request with a key waits for the first one's row.
CREATE TABLE sandbox.idempotency (
    key        text        PRIMARY KEY,
    hash       bytea       NOT NULL, -- of path and parameters
    status     integer     NOT NULL DEFAULT 0,
    body       text        NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION sandbox.seconds(moment timestamptz) RETURNS bigint
LANGUAGE sql IMMUTABLE
AS $$ SELECT floor(extract(epoch FROM moment))::bigint $$;

CREATE FUNCTION sandbox.payment_intent_json(i sandbox.payment_intent) RETURNS json
LANGUAGE sql STABLE
AS $$
    SELECT json_build_object(
        'id', i.id, 'object', 'payment_intent', 'amount', i.amount, 'amount_capturable', 0,
        'amount_details', json_build_object('tip', json_build_object()),
        'amount_received', CASE WHEN i.status = 'succeeded' THEN i.amount ELSE 0 END,
        'application', NULL, 'application_fee_amount', NULL, 'automatic_payment_methods', NULL,
        'canceled_at', sandbox.seconds(i.canceled_at), 'cancellation_reason', i.cancellation_reason,
        'capture_method', 'automatic', 'client_secret', i.client_secret, 'confirmation_method', 'automatic',
        'created', sandbox.seconds(i.created_at), 'currency', i.currency, 'customer', NULL, 'description', i.description,
        'invoice', NULL, 'last_payment_error', i.last_payment_error, 'latest_charge', i.latest_charge, 'livemode', false,
        'metadata', i.metadata,
        'next_action', CASE WHEN i.status = 'requires_action' THEN json_build_object('type', 'redirect_to_url',
            'redirect_to_url', json_build_object('url', i.page_url, 'return_url', i.return_url)) END,
        'on_behalf_of', NULL, 'payment_method', i.payment_method, 'payment_method_options', json_build_object(),
        'payment_method_types', to_json(i.payment_method_types), 'processing', NULL, 'receipt_email', NULL, 'review', NULL,
        'setup_future_usage', NULL, 'shipping', NULL, 'source', NULL, 'statement_descriptor', NULL,
        'statement_descriptor_suffix', NULL, 'status', i.status, 'transfer_data', NULL, 'transfer_group', NULL)
$$;

CREATE FUNCTION sandbox.charge_json(i sandbox.payment_intent) RETURNS json
LANGUAGE sql STABLE
AS $$
    SELECT json_build_object(
        'id', i.latest_charge, 'object', 'charge', 'amount', i.amount, 'amount_captured', i.amount,
        'amount_refunded', i.amount_refunded, 'captured', true, 'created', sandbox.seconds(i.created_at),
        'currency', i.currency, 'description', i.description, 'livemode', false, 'metadata', i.metadata, 'paid', true,
        'payment_intent', i.id, 'payment_method', i.payment_method, 'refunded', i.amount_refunded = i.amount,
        'status', 'succeeded')
$$;

-- Reads a table and is not inlined: as plain SQL it would be planned anew at each call.
CREATE FUNCTION sandbox.refund_json(r sandbox.refund) RETURNS json
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    i sandbox.payment_intent;
BEGIN
    SELECT * INTO i FROM sandbox.payment_intent WHERE id = r.payment_intent;
    RETURN json_build_object(
        'id', r.id, 'object', 'refund', 'amount', r.amount, 'balance_transaction', NULL, 'charge', i.latest_charge,
        'created', sandbox.seconds(r.created_at), 'currency', i.currency, 'failure_reason', r.failure_reason,
        'metadata', r.metadata, 'payment_intent', r.payment_intent, 'reason', r.reason, 'receipt_number', NULL,
        'source_transfer_reversal', NULL, 'status', r.status, 'transfer_reversal', NULL);
END
$$;

-- The secret is told once, when the endpoint is made.
CREATE FUNCTION sandbox.endpoint_json(e sandbox.endpoint, with_secret boolean) RETURNS jsonb
LANGUAGE sql STABLE
AS $$
    SELECT jsonb_build_object(
        'id', e.id, 'object', 'webhook_endpoint', 'api_version', NULL, 'application', NULL,
        'created', sandbox.seconds(e.created_at), 'description', NULL, 'enabled_events', to_jsonb(e.events),
        'livemode', false, 'metadata', jsonb_build_object(), 'status', 'enabled', 'url', e.url)
        || CASE WHEN with_secret THEN jsonb_build_object('secret', e.secret) ELSE '{}' END
$$;
