-- The sandbox mailbox: every mail that was handed over, whoever it is for.

CREATE TABLE sandbox.mail (
    id          text        PRIMARY KEY,
    sender      text        NOT NULL,
    recipients  text[]      NOT NULL,
    from_text   text        NOT NULL,
    to_text     text        NOT NULL,
    subject     text        NOT NULL,
    message_id  text        NOT NULL,
    text        text,
    html        text,
    raw         bytea       NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX mail_recipients ON sandbox.mail USING gin (recipients);
