/* What news of a payment means: a pure function from what is locked and what the gateway says to the step to
 * take. No I/O, no clock. payments.c locks, asks this for one piece of news after the other, and acts. */
#ifndef CATHAY_SHOP_PAYMENTS_PAYMENT_DECIDE_H
#define CATHAY_SHOP_PAYMENTS_PAYMENT_DECIDE_H

#include "shop/payments/payments.h"

enum payment_state {
    PAYMENT_CREATED,
    PAYMENT_PENDING,
    PAYMENT_SUCCEEDED,
    PAYMENT_FAILED,
    PAYMENT_CANCELLED,
    PAYMENT_STATE_COUNT
};
/* As in the database. */
const char *payment_state_text(enum payment_state state);
bool payment_state_parse(struct str text, enum payment_state *state);

/* An attempt to pay, as it is locked. */
struct payment_facts {
    struct payment_id id;
    struct order_id order_id;
    int16_t attempt;
    enum payment_state state;
    struct money amount;
    struct str intent_id; /* absent: not noted yet */
    bool requested;       /* the gateway was asked for an intent */
};

/* Its order, as it is locked. */
struct payment_order_facts {
    enum order_state state;
    int64_t placed_at_us, expires_at_us; /* 0: does not expire */
    int16_t newest_attempt;
    size_t open_requested; /* attempts that the gateway may still turn into money */
};

enum payment_step {
    PAYMENT_STEP_NONE,
    PAYMENT_STEP_CONFIRM,   /* paid: the order that waited for it is confirmed */
    PAYMENT_STEP_REVIVE,    /* paid late: the order is begun anew and confirmed, or the money goes back */
    PAYMENT_STEP_SEND_BACK, /* paid for nothing: the money goes back, for the reason `why` */
    PAYMENT_STEP_END,       /* the attempt came to nothing, which does not matter to its order */
    PAYMENT_STEP_RELEASE    /* the attempt came to nothing: the order gives back what it holds */
};

struct payment_decision {
    enum payment_step step;
    enum payment_finding finding; /* once the step is taken */
    const char *why;
    bool close_others; /* other attempts must not take money as well */
};

/* payment, order: NULL where there is none. late_us: how long after its placing a late success still revives
 * an order. */
struct payment_decision payment_decide(const struct gateway_intent *intent,
                                       const struct payment_facts *payment,
                                       const struct payment_order_facts *order, int64_t now_us,
                                       int64_t late_us);

#endif
