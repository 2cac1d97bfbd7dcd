/* What mails say of an order: from its rows to a template's scope, and from there to a message. */
#ifndef CATHAY_SHOP_NOTIFY_NOTIFY_MAIL_H
#define CATHAY_SHOP_NOTIFY_NOTIFY_MAIL_H

#include "notify_sql.h"
#include "shop/notify/mail_message.h"
#include "shop/notify/mail_template.h"

struct order_mail {
    struct order_id order_id;
    struct mail_order_row order;
    struct mail_lines_rows lines;
    struct mail_parcels_rows parcels;
    struct str reason;                       /* why the order came into its state; may be absent */
    int64_t refunded_minor, refunded_points; /* of a mail about one refund */
};

/* Pure: subject, text and HTML in the arena. A template that asks for what is not there is a bug (CHECK).
 * False: the order is longer than a mail may be. */
bool order_mail_fill(struct arena *arena, const struct order_mail *mail, const struct mail_template *template,
                     struct mail_message *message);

#endif
