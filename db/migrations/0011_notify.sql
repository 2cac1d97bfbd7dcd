-- Mails that were or will be sent: one for each event and template.

CREATE TABLE mail (
    id         uuid        PRIMARY KEY,
    event_id   uuid        NOT NULL,
    template   text        NOT NULL,
    user_id    uuid        NOT NULL,
    order_id   uuid,
    message_id text        NOT NULL, -- the same on every attempt, so that a second delivery can be told
    state      text        NOT NULL DEFAULT 'created' CHECK (state IN ('created', 'sent')),
    created_at timestamptz NOT NULL DEFAULT now(),
    sent_at    timestamptz,
    UNIQUE (event_id, template)
);
CREATE INDEX mail_user ON mail (user_id, id);
