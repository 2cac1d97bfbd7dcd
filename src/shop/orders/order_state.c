/* The state machines of orders and fulfilments, each one table. Pure. */
#include "shop/orders/orders.h"

#include "base/check.h"

#define TO(state) (1u << ORDER_##state)

static const struct {
    const char *text;
    unsigned may_become;
} states[ORDER_STATE_COUNT] = {
    [ORDER_PENDING_PAYMENT] = {"pending_payment",
                               TO(CONFIRMED) | TO(PAYMENT_FAILED) | TO(EXPIRED) | TO(CANCELLED)},
    /* The shopper tries again, or a success comes late: stock and points are taken anew first. */
    [ORDER_PAYMENT_FAILED] = {"payment_failed", TO(PENDING_PAYMENT)},
    [ORDER_EXPIRED] = {"expired", TO(PENDING_PAYMENT)},
    [ORDER_CONFIRMED] = {"confirmed", TO(PROCESSING) | TO(CANCELLED) | TO(PARTIALLY_REFUNDED) | TO(REFUNDED)},
    [ORDER_PROCESSING] = {"processing", TO(SHIPPED) | TO(CANCELLED) | TO(PARTIALLY_REFUNDED) | TO(REFUNDED)},
    [ORDER_SHIPPED] = {"shipped", TO(DELIVERED) | TO(RETURNED) | TO(PARTIALLY_REFUNDED) | TO(REFUNDED)},
    [ORDER_DELIVERED] = {"delivered", TO(RETURNED) | TO(PARTIALLY_REFUNDED) | TO(REFUNDED)},
    [ORDER_RETURNED] = {"returned", TO(PARTIALLY_REFUNDED) | TO(REFUNDED)},
    /* An order that was paid and then cancelled is refunded; one that was not stays cancelled. */
    [ORDER_CANCELLED] = {"cancelled", TO(REFUNDED)},
    /* One part after the other, until nothing is left. */
    [ORDER_PARTIALLY_REFUNDED] = {"partially_refunded", TO(PARTIALLY_REFUNDED) | TO(REFUNDED)},
    [ORDER_REFUNDED] = {"refunded", 0},
};

const char *order_state_text(enum order_state state)
{
    CHECK((unsigned)state < ORDER_STATE_COUNT);
    return states[state].text;
}

bool order_state_parse(struct str text, enum order_state *state)
{
    for (unsigned i = 0; i < ORDER_STATE_COUNT; i++) {
        if (str_equal(text, str_from(states[i].text))) {
            *state = (enum order_state)i;
            return true;
        }
    }
    return false;
}

bool order_transition_allowed(enum order_state from, enum order_state to)
{
    CHECK((unsigned)from < ORDER_STATE_COUNT && (unsigned)to < ORDER_STATE_COUNT);
    return states[from].may_become & 1u << to;
}

#define PART_TO(state) (1u << FULFILMENT_##state)

/* Steps may be left out: the carrier's word that a parcel has arrived says that it was sent, too. */
static const struct {
    const char *text;
    unsigned may_become;
} parts[FULFILMENT_STATE_COUNT] = {
    [FULFILMENT_PENDING] = {"pending", PART_TO(PROCESSING) | PART_TO(SHIPPED) | PART_TO(DELIVERED) |
                                           PART_TO(RETURNED) | PART_TO(CANCELLED)},
    [FULFILMENT_PROCESSING] = {"processing", PART_TO(SHIPPED) | PART_TO(DELIVERED) | PART_TO(RETURNED) |
                                                 PART_TO(CANCELLED)},
    [FULFILMENT_SHIPPED] = {"shipped", PART_TO(DELIVERED) | PART_TO(RETURNED)},
    [FULFILMENT_DELIVERED] = {"delivered", PART_TO(RETURNED)},
    [FULFILMENT_RETURNED] = {"returned", 0},
    [FULFILMENT_CANCELLED] = {"cancelled", 0},
};

const char *fulfilment_state_text(enum fulfilment_state state)
{
    CHECK((unsigned)state < FULFILMENT_STATE_COUNT);
    return parts[state].text;
}

bool fulfilment_state_parse(struct str text, enum fulfilment_state *state)
{
    for (unsigned i = 0; i < FULFILMENT_STATE_COUNT; i++) {
        if (str_equal(text, str_from(parts[i].text))) {
            *state = (enum fulfilment_state)i;
            return true;
        }
    }
    return false;
}

bool fulfilment_advances(enum fulfilment_state from, enum fulfilment_state to)
{
    CHECK((unsigned)from < FULFILMENT_STATE_COUNT && (unsigned)to < FULFILMENT_STATE_COUNT);
    return parts[from].may_become & 1u << to;
}
