/* What mails say of an order: from its rows to a template's scope, and from there to a message. */
#ifndef CATHAY_SHOP_NOTIFY_NOTIFY_MAIL_H
#define CATHAY_SHOP_NOTIFY_NOTIFY_MAIL_H

#include "notify_sql.h"
#include "shop/notify/mail_message.h"
#include "shop/notify/mail_template.h"

struct order_mail {
    struct order_id order_id;
    struct opt_shipment_id shipment_id;
    struct mail_order_row order;
    struct mail_lines_rows lines;
    struct mail_parcels_rows parcels;
    struct str reason;                       /* why the order came into its state; may be absent */
    int64_t refunded_minor, refunded_points; /* of a mail about one refund */
};

/* What mails say of mail->order_id, of the one parcel only where mail->shipment_id is present. Blocks. */
enum error_code order_mail_read(struct pg *db, struct arena *arena, struct order_mail *mail, bool *found);

/* The address of the order's page for whoever gets the mail (notify_page.c). In the arena. */
struct str order_mail_link(struct arena *arena, struct order_id order_id);

/* Pure: subject, text and HTML in the arena. A template that asks for what is not there is a bug (CHECK).
 * False: the order is longer than a mail may be. */
bool order_mail_fill(struct arena *arena, const struct order_mail *mail, const struct mail_template *template,
                     struct mail_message *message);

#endif
