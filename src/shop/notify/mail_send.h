/* Sending over SMTP (libcurl), by the settings smtp_url and smtp_password. Blocks up to partner_timeout_ms;
 * never with a transaction open. Thread-safe. ERR_PARTNER, ERR_PARTNER_TIMEOUT: try again later.
 * ERR_VALIDATION: the server refuses this recipient or message for good (5xx). */
#ifndef CATHAY_SHOP_NOTIFY_MAIL_SEND_H
#define CATHAY_SHOP_NOTIFY_MAIL_SEND_H

#include "base/arena.h"
#include "base/error.h"
#include "pg/pg.h"

enum error_code mail_send(struct pg *db, struct arena *arena, struct str from, struct str to,
                          struct str message, struct error *error);

#endif
