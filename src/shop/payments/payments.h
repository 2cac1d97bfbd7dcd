/* Payments: attempts to pay an order through the gateway, webhooks, refunds. Owns payment, refund, and the
 * webhooks of the gateway. A payment is bound to the frozen amount of its order; the gateway is never called
 * with a transaction open.
 *
 * New orders get their first payment from the checkout engine (payment_insert_batch of payments.sql).
 * Whatever news of a payment comes, by webhook, by asking, once or twenty times, goes through
 * payment_finalise.
 *
 * Functions that say "in a transaction" need one open. All block. Locks: order, payment, refund, then what
 * orders.h says. */
#ifndef CATHAY_SHOP_PAYMENTS_PAYMENTS_H
#define CATHAY_SHOP_PAYMENTS_PAYMENTS_H

#include "pg/pg_types.h"
#include "shop/orders/orders.h"
#include "shop/payments/gateway.h"

enum payment_finding {
    PAYMENT_UNCHANGED, /* nothing new: known already, overtaken, or still open */
    PAYMENT_CHANGED,
    PAYMENT_MISMATCHED, /* not what the shop asked for: nothing was altered */
    PAYMENT_UNKNOWN,    /* no payment of this shop */
    PAYMENT_LEFT        /* has to be finalised by itself: nothing was altered */
};

/* Something that the gateway says, and what came of it. */
struct payment_news {
    const struct gateway_intent *intent;
    struct str traceparent; /* absent: that of the task or request in hand */
    enum payment_finding finding;
    const char *why; /* a sentence about the finding */
};

/* In a transaction: what the gateway says becomes true here, once.
 *
 * Success: the payment is succeeded and its order confirmed. Where the order has failed or expired meanwhile,
 * it is begun anew and confirmed if stock and points are still there and it was placed at most late_payment_s
 * ago; where that cannot be, where it was cancelled, or where another attempt has paid it, the money is
 * refunded. Failure, cancellation: the payment is failed or cancelled; if it is the newest attempt of an
 * order that waits, stock and points are given back. After a success nothing of this happens.
 *
 * Webhooks take the same way in batches (payments_internal.h). */
enum error_code payment_finalise(struct pg *db, struct arena *arena, struct payment_news *news);

/* In a transaction, with the order locked: gives back all that it took and has not given back yet: the cash
 * through the gateway (by a task), redeemed points at once; points that it earned are taken back, what was
 * not shipped is free again, and the order becomes refunded. payment_id: whose cash; without it the payment
 * that paid the order. The cash of one that came for nothing goes back alone: the order stays as it is.
 * ERR_CONFLICT: there is nothing left to give back; ERR_TRANSITION: it was never paid; ERR_NOT_FOUND: no
 * payment of that id has paid for the order. */
enum error_code refund_order(struct pg *db, struct arena *arena, struct order *order,
                             struct opt_payment_id payment_id, struct str reason,
                             const struct order_cause *cause, struct refund_id *refund_id);

/* In a transaction, with order and payment locked: asks for `amount_minor` of a succeeded payment to be sent
 * back. */
enum error_code refund_cash(struct pg *db, struct arena *arena, const struct order *order,
                            struct payment_id payment_id, int64_t amount_minor, int64_t points,
                            struct str reason, struct uuid actor_id, struct refund_id *refund_id);

/* In a transaction: what the gateway says about a refund. As payment_finalise. */
enum error_code refund_finalise(struct pg *db, struct arena *arena, struct refund_id refund_id,
                                const struct gateway_refund *gateway, enum payment_finding *finding,
                                const char **why);

/* Webhooks of this process: what arrives while a batch is being stored forms the next one. */
struct payments_webhooks_options {
    const char *database_url;
    int lanes;
    size_t batch_max;
    size_t queue_max;
    int64_t wait_max_ms;
};
enum error_code payments_webhooks_start(const struct payments_webhooks_options *options, struct error *error);
/* Finishes what has arrived. Does nothing where it was not started. */
void payments_webhooks_stop(void);

#endif
