/* Invariants of payments for `cathay verify`; the statements are in payments_check.sql. */
#include "payments_check_sql.h"
#include "shop/payments/payments_internal.h"

#define NEWEST_MAX 50000
#define REFUND_LATE_S 86400
#define WEBHOOK_LATE_S 600
#define OPEN_LATE_S 3600

/* The checks differ in their statements and in what a row is about. */
#define CHECK_FUNCTION(name, kind, member, ...)                                                              \
    static enum error_code name(struct pg *db, struct arena *arena, struct violations *violations)           \
    {                                                                                                        \
        struct check_##name##_rows rows;                                                                     \
        enum error_code code = check_##name(db, arena, (struct check_##name##_args){__VA_ARGS__}, &rows);    \
        for (size_t i = 0; code == ERR_OK && i < rows.count; i++) {                                          \
            char id[ID_TEXT_MAX];                                                                            \
            kind##_id_text(rows.items[i].member, id);                                                        \
            violation_add(violations, id, "%.*s", STR_ARG(rows.items[i].what));                              \
        }                                                                                                    \
        return code;                                                                                         \
    }

CHECK_FUNCTION(payment_amounts, payment, id, NEWEST_MAX, VIOLATIONS_MAX)
CHECK_FUNCTION(payment_refunds, payment, id, NEWEST_MAX, VIOLATIONS_MAX)
CHECK_FUNCTION(payment_of_order, order, order_id, NEWEST_MAX, VIOLATIONS_MAX)
CHECK_FUNCTION(payment_waiting, order, order_id, NEWEST_MAX, VIOLATIONS_MAX)
CHECK_FUNCTION(payment_kept, payment, id, NEWEST_MAX, VIOLATIONS_MAX)
CHECK_FUNCTION(payment_open, payment, id, OPEN_LATE_S, VIOLATIONS_MAX)
CHECK_FUNCTION(payment_unclosed, payment, id, OPEN_LATE_S, VIOLATIONS_MAX)
CHECK_FUNCTION(refund_state, refund, id, REFUND_LATE_S, VIOLATIONS_MAX)
CHECK_FUNCTION(webhook_waiting, webhook, id, WEBHOOK_LATE_S, VIOLATIONS_MAX)

const struct invariant payment_invariants[] = {
    {"payment_amounts", "a payment takes exactly the cash of its order", payment_amounts},
    {"payment_refunds", "refunds never exceed what was captured, and the payment counts them",
     payment_refunds},
    {"payment_of_order", "an order that is confirmed or beyond has taken its cash", payment_of_order},
    {"payment_waiting", "an order that waits for cash has an open payment", payment_waiting},
    {"payment_kept", "money is kept only for an order that is paid with it, once", payment_kept},
    {"payment_open", "no payment stays open, begun or not, for an order that does not wait", payment_open},
    {"payment_unclosed", "what failed here cannot be paid at the gateway for long", payment_unclosed},
    {"refund_state", "every refund reaches the shopper within a day", refund_state},
    {"webhook_waiting", "no webhook waits for long", webhook_waiting},
    {NULL},
};
