/* Orders: life cycle, history, fulfilments. Owns orders, order_line, order_event, fulfilment. The state machine is one
 * table (order_transition_allowed); nobody else writes orders.state. Orders are placed by the checkout engine, through
 * the queue functions below; from then on everything happens by order_confirm, order_release and order_transition.
 *
 * Locks are taken in this order everywhere, so that nothing deadlocks: order, ledger account, cart, stock rows by
 * (variant, location). Functions that say "in a transaction" need one open and leave it open. All block. */
#ifndef CATHAY_SHOP_ORDERS_ORDERS_H
#define CATHAY_SHOP_ORDERS_ORDERS_H

#include "base/arena.h"
#include "base/error.h"
#include "base/id.h"
#include "base/money.h"
#include "pg/pg.h"

enum order_state {
    ORDER_PENDING_PAYMENT,
    ORDER_CONFIRMED,
    ORDER_PROCESSING,
    ORDER_SHIPPED,
    ORDER_DELIVERED,
    ORDER_PAYMENT_FAILED,
    ORDER_CANCELLED,
    ORDER_EXPIRED,
    ORDER_RETURNED,
    ORDER_PARTIALLY_REFUNDED,
    ORDER_REFUNDED,
    ORDER_STATE_COUNT
};
const char *order_state_text(enum order_state state); /* as in the database and on the wire */
bool order_state_parse(struct str text, enum order_state *state);
bool order_transition_allowed(enum order_state from, enum order_state to);

enum order_actor { ACTOR_CUSTOMER, ACTOR_STAFF, ACTOR_VENDOR, ACTOR_GATEWAY, ACTOR_CARRIER, ACTOR_SYSTEM };

/* Why and by whom something is done to an order. actor_id may be zero. reason: a short sentence. */
struct order_cause {
    enum order_actor actor;
    struct uuid actor_id;
    struct str reason;
};

/* An order as money and points see it, locked. */
struct order {
    struct order_id id;
    int64_t number;
    struct user_id customer_id;
    enum order_state state;
    int32_t sequence;
    struct money total, points_value, cash;
    struct points points, earn_points;
    struct uuid hold_id; /* zero: no points held */
    int32_t policy_version;
    int64_t expires_at_us; /* 0: does not expire */
};

/* In a transaction: reads and locks (FOR NO KEY UPDATE). ERR_NOT_FOUND. */
enum error_code order_lock(struct pg *db, struct arena *arena, struct order_id id, struct order *order);

/* In a transaction, with the order locked: one step of the state machine. Writes orders.state and sequence, an order_event
 * and the outbox event "order.<state>" (payload: order_id, number, customer_id, state, sequence, currency, cash_minor,
 * points, reason) and updates *order. ERR_TRANSITION when the table refuses it. */
enum error_code order_transition(struct pg *db, struct arena *arena, struct order *order, enum order_state to,
                                 const struct order_cause *cause);

/* In a transaction, with the order locked, from pending_payment: it is paid. Confirms its reservations, captures held
 * points, records what it will earn, makes its fulfilments (one per vendor and location), and moves it to confirmed. */
enum error_code order_confirm(struct pg *db, struct arena *arena, struct order *order, const struct order_cause *cause);

/* In a transaction, with the order locked, from pending_payment (or confirmed/processing for a cancellation before
 * anything was shipped): gives stock and held points back and moves to payment_failed, expired or cancelled. */
enum error_code order_release(struct pg *db, struct arena *arena, struct order *order, enum order_state to,
                              const struct order_cause *cause);

/* In a transaction, with the order locked, from payment_failed or expired: reserves its lines and holds its points anew
 * (at the frozen prices) and moves back to pending_payment with a new time limit; for a shopper who tries again, and for
 * a success that came late. ERR_OUT_OF_STOCK, ERR_POINTS_SHORT: nothing changed. */
enum error_code order_reacquire(struct pg *db, struct arena *arena, struct order *order, const struct order_cause *cause);

/* In a transaction, with the order locked: one fulfilment moved (by the carrier, the vendor or staff); the order follows:
 * processing when the first label is made, shipped when the first parcel is on its way (stock is consumed then), delivered
 * when all are. States that are behind the present one are ignored, so that late news does no harm. */
enum fulfilment_state { FULFILMENT_PENDING, FULFILMENT_PROCESSING, FULFILMENT_SHIPPED, FULFILMENT_DELIVERED, FULFILMENT_RETURNED, FULFILMENT_CANCELLED };
enum error_code order_fulfilment_advance(struct pg *db, struct arena *arena, struct order *order, int16_t fulfilment_no,
                                         enum fulfilment_state to, const struct order_cause *cause);

#endif
