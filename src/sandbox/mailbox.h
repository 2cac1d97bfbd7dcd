/* The sandbox mailbox: an SMTP server (RFC 5321: HELO, EHLO, MAIL, RCPT, DATA, RSET, NOOP, VRFY, QUIT;
 * extensions SIZE, 8BITMIME, PIPELINING) that keeps what it is given and sends nothing on, and pages to read
 * it.
 *
 * mailbox_smtp.c: the server. mailbox_mime.c: what is in a mail. mailbox.c: the part, pages, JSON. */
#ifndef CATHAY_SANDBOX_MAILBOX_H
#define CATHAY_SANDBOX_MAILBOX_H

#include "sandbox/sandbox.h"

extern const struct sandbox_part sandbox_mailbox;

#define MAILBOX_MESSAGE_MAX ((size_t)4 * 1024 * 1024)
#define MAILBOX_RECIPIENTS_MAX 100
#define MAILBOX_LINE_MAX 4096 /* of a command; RFC 5321 asks for 512 */
#define MAILBOX_THREADS 4     /* connections at once; others wait in the backlog */
#define MAILBOX_TIMEOUT_S 60

/* Listens on sandbox_host:sandbox_smtp_port; 0 takes a free one. */
enum error_code mailbox_smtp_start(struct error *error);
void mailbox_smtp_stop(void);

/* What a mail holds, decoded to UTF-8, in the arena. text and html are the first parts of those types, or
 * absent. */
struct mailbox_content {
    struct str from, to, subject, message_id, text, html;
};
/* Pure. Takes anything; what it cannot read is left out. */
void mailbox_parse(struct arena *arena, struct str raw, struct mailbox_content *content);

#endif
