/* A mail as it goes over the wire (RFC 5322, RFC 2045 to 2047): multipart/alternative of text and HTML. Pure.
 */
#ifndef CATHAY_SHOP_NOTIFY_MAIL_MESSAGE_H
#define CATHAY_SHOP_NOTIFY_MAIL_MESSAGE_H

#include "base/arena.h"
#include "base/buf.h"

/* An order of a hundred lines whose names are as long as they may be, escaped as HTML, fits. */
#define MAIL_TEXT_MAX ((size_t)1024 * 1024)        /* of text and of HTML each */
#define MAIL_MESSAGE_MAX ((size_t)3 * 1024 * 1024) /* as it is sent */

struct mail_message {
    struct str from;    /* "Name <address>" or an address, as in the settings */
    struct str to_name; /* any text */
    struct str to;      /* an address */
    struct str subject;
    struct str message_id; /* without angle brackets */
    int64_t date_us;
    struct str text, html;
};

/* The address in "Name <address>"; STR_NONE where it could break the protocol (controls, spaces, angle
 * brackets). */
struct str mail_address(struct str mailbox);

/* Appends the whole message with CRLF line ends. False: an address that is none, or the message is too large.
 */
bool mail_message_write(struct buf *out, const struct mail_message *message);

#endif
