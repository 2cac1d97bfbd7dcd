-- name: sandbox_mail_insert(id text, sender text, recipients text[], from_text text, to_text text, subject text, message_id text,
-- text_part text?, html_part text?, raw bytea) :exec
INSERT INTO sandbox.mail (id, sender, recipients, from_text, to_text, subject, message_id, text, html, raw)
VALUES (:id, :sender, :recipients, :from_text, :to_text, :subject, :message_id, :text_part, :html_part, :raw);

-- name: sandbox_mail_list(recipient text?, most int8) :one
-- returns: body json
SELECT json_build_object('data', coalesce(json_agg(json_build_object(
           'id', m.id, 'from', m.from_text, 'to', to_json(m.recipients), 'subject', m.subject, 'message_id', m.message_id,
           'text', m.text, 'html', m.html, 'received_at', m.received_at) ORDER BY m.id DESC), '[]')) AS body
FROM (
    SELECT * FROM sandbox.mail
    WHERE :recipient::text IS NULL OR recipients @> ARRAY[:recipient::text]
    ORDER BY id DESC
    LIMIT :most
) m;

-- name: sandbox_mail_heads(recipient text?, most int8) :many
-- returns: id text, from_text text, to_text text, subject text, received text
SELECT id, from_text, array_to_string(recipients, ', ') AS to_text, subject, to_char(received_at, 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS received
FROM sandbox.mail
WHERE :recipient::text IS NULL OR recipients @> ARRAY[:recipient::text]
ORDER BY id DESC
LIMIT :most;

-- name: sandbox_mail_show(id text) :one
-- returns: from_text text, to_text text, subject text, received text, text_part text?, html_part text?, raw bytea
SELECT from_text, array_to_string(recipients, ', ') AS to_text, subject, to_char(received_at, 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS received,
       text AS text_part, html AS html_part, raw
FROM sandbox.mail WHERE id = :id;

-- name: sandbox_mail_clear() :exec
DELETE FROM sandbox.mail;
