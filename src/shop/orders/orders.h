/* Orders: life cycle, history, fulfilments. Owns orders, order_line, order_event, fulfilment. The state
 * machine is one table (order_transition_allowed); nobody else writes orders.state. Orders are placed by the
 * checkout engine, through the queue functions of orders.sql (order_insert_batch, order_line_insert_batch,
 * order_event_insert_batch); from then on everything happens by order_confirm, order_release and
 * order_transition.
 *
 * Locks are taken in this order everywhere, so that nothing deadlocks: order, customer, ledger account, cart,
 * sale, stock rows by (variant, location). Functions that say "in a transaction" need one open and leave it
 * open. All block. */
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
/* Pure. As in the database and on the wire. */
const char *order_state_text(enum order_state state);
bool order_state_parse(struct str text, enum order_state *state);
/* Pure. The state machine (ORD-1): the one place that says which steps there are. */
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
    struct uuid hold_id; /* root of the newest hold; zero: the order takes no points */
    int32_t policy_version;
    int64_t expires_at_us; /* 0: does not expire */
    bool of_sale;          /* bought in a flash sale: once it came to nothing it cannot be begun anew */
};

/* The payload of the order's events as order_transition publishes it; the checkout engine publishes the same
 * as "order.placed" (sequence 1, reason absent). In the arena. A JSON object: order_id, number, customer_id
 * (wire identifiers), state, sequence, currency, cash_minor, points, reason where there is one. */
struct str order_event_payload(struct arena *arena, const struct order *order, struct str reason);

/* In a transaction: reads and locks (FOR NO KEY UPDATE). ERR_NOT_FOUND. */
enum error_code order_lock(struct pg *db, struct arena *arena, struct order_id id, struct order *order);
/* For qsort: the order in which orders are locked. */
int order_id_compare(const void *a, const void *b);
/* As order_lock for many, as one statement of a pipeline (pg/pg.h): locked in key order, and read by fetch in
 * that order. ids: sorted; those that do not exist are left out. */
enum error_code order_lock_queue(struct pg *db, const struct order_id *ids, size_t count);
enum error_code order_lock_fetch(struct pg *db, struct arena *arena, struct order **orders, size_t *count);

/* In a transaction, with the order locked: one step of the state machine. Writes orders.state and sequence,
 * an order_event and the outbox event "order.<state>" (payload: order_id, number, customer_id, state,
 * sequence, currency, cash_minor, points, reason) and updates *order. ERR_TRANSITION when the table refuses
 * it. To refunded: what has no label yet will not be shipped: its fulfilments are cancelled and its stock is
 * given back. What has one waits for the carrier's word (order_fulfilment_cancel). */
enum error_code order_transition(struct pg *db, struct arena *arena, struct order *order, enum order_state to,
                                 const struct order_cause *cause);

/* In a transaction, with the order locked, from pending_payment: it is paid. Confirms its reservations,
 * captures held points, records what it will earn, makes its fulfilments (one per vendor and location), and
 * moves it to confirmed. For an order that has been confirmed before nothing happens (ERR_OK), whatever came
 * of it since; ERR_TRANSITION from payment_failed and expired (order_reacquire first) and from cancelled. */
enum error_code order_confirm(struct pg *db, struct arena *arena, struct order *order,
                              const struct order_cause *cause);
/* The same for many at once, all in pending_payment, none twice, for one cause, as parts of two pipelines of
 * the caller's (pg/pg.h), first move, then settle, and `between` outside of both; by at most
 * ORDER_CONFIRM_STATEMENTS statements whatever their number. What is given lives until the last fetch.
 * traceparents: of each order's event, or NULL: that of the task or request in hand. move_fetch:
 * ERR_CONFLICT: the points of one were given back. settle refuses nothing: the same pipeline may commit. */
#define ORDER_CONFIRM_STATEMENTS 12
struct order_confirming;
typedef enum error_code order_confirm_fn(struct order_confirming *confirming);
struct order_confirming *order_confirm_begin(struct pg *db, struct arena *arena, struct order *const *orders,
                                             size_t count, const struct str *traceparents,
                                             const struct order_cause *cause);
order_confirm_fn order_confirm_move_queue, order_confirm_move_fetch, order_confirm_between;
order_confirm_fn order_confirm_settle_queue, order_confirm_settle_fetch;

/* In a transaction, with the order locked, from pending_payment (or confirmed/processing for a cancellation
 * before anything was shipped): gives stock (of what has no label yet) and held points back, and moves to
 * payment_failed, expired or cancelled. Points that were captured and cash come back by a refund, not here.
 * An order that is in that state already is left alone (ERR_OK). ERR_TRANSITION. */
enum error_code order_release(struct pg *db, struct arena *arena, struct order *order, enum order_state to,
                              const struct order_cause *cause);

/* In a transaction, with the order locked, from payment_failed or expired: a shopper who tries again. As
 * order_reacquire, and what the order takes is examined as that of a new one, with its stock locked: goods
 * that are not sold any more, prices and a worth of its points that are not the frozen ones are told in
 * `error` line by line (ERR_CHECKOUT_REJECTED), and the transaction has to be rolled back.
 * ERR_RETRY_OVER: it was placed more than payment_retry_s ago. */
enum error_code order_retry(struct pg *db, struct arena *arena, struct order *order,
                            const struct order_cause *cause, struct error *error);

/* In a transaction, with the order locked, from payment_failed or expired: reserves its lines and holds its
 * points anew (at the frozen prices) and moves back to pending_payment with a new time limit; by itself for a
 * success that came late. ERR_SALE_RELEASED: it was bought in a flash sale, whose units are sold again as
 * soon as an order has come to nothing. ERR_OUT_OF_STOCK (also for goods that are not sold any more),
 * ERR_POINTS_SHORT: nothing changed, the transaction may go on. ERR_TRANSITION. */
enum error_code order_reacquire(struct pg *db, struct arena *arena, struct order *order,
                                const struct order_cause *cause);

/* An address as it is stored with an order: JSON, the members that the shopper gave, in one order. In the
 * arena. */
struct api_address;
struct str order_address_json(const struct api_address *address, struct arena *arena);
/* In a transaction, with the order locked, before anything was shipped: it goes to another address. Publishes
 * order.address_changed. The caller has made sure that no label bears the old one. ERR_TRANSITION. */
enum error_code order_address_change(struct pg *db, struct arena *arena, const struct order *order,
                                     const struct api_address *address);

/* In a transaction, with the order locked: one fulfilment moved (by the carrier, the vendor or staff); the
 * order follows: processing when the first label is made, shipped when the first parcel is on its way (stock
 * is consumed then), delivered when all are. States that are behind the present one are ignored, so that late
 * news does no harm. */
enum fulfilment_state {
    FULFILMENT_PENDING,
    FULFILMENT_PROCESSING,
    FULFILMENT_SHIPPED,
    FULFILMENT_DELIVERED,
    FULFILMENT_RETURNED,
    FULFILMENT_CANCELLED,
    FULFILMENT_STATE_COUNT
};
const char *fulfilment_state_text(enum fulfilment_state state);
bool fulfilment_state_parse(struct str text, enum fulfilment_state *state);
/* Pure. True when news of `to` moves a fulfilment that is in `from`; false: it is behind or comes too late.
 */
bool fulfilment_advances(enum fulfilment_state from, enum fulfilment_state to);
enum error_code order_fulfilment_advance(struct pg *db, struct arena *arena, struct order *order,
                                         int16_t fulfilment_no, enum fulfilment_state to,
                                         const struct order_cause *cause);

/* ---- what waits for payment ----
 *
 * A customer's orders that wait for payment, and the units in them, are bounded (unpaid_orders_max,
 * unpaid_units_max), those of flash sales apart. Whoever adds one locks the customer first, before accounts;
 * then the number that is read stands until the end of the transaction, on whatever server. */
struct order_unpaid {
    struct user_id customer_id;
    int64_t orders, units;
};
bool order_unpaid_is_limited(void);
/* In a transaction, as statements of a pipeline. customers: sorted, each once. */
enum error_code order_unpaid_lock_queue(struct pg *db, const struct user_id *customers, size_t count);
enum error_code order_unpaid_lock_fetch(struct pg *db, struct arena *arena);
enum error_code order_unpaid_queue(struct pg *db, const struct user_id *customers, size_t count);
/* Those who have any, in no order. */
enum error_code order_unpaid_fetch(struct pg *db, struct arena *arena, struct order_unpaid **unpaid,
                                   size_t *count);
/* Pure but for settings: ERR_UNPAID_LIMIT with its field where one more order of so many units is too much.
 */
enum error_code order_unpaid_refusal(const struct order_unpaid *unpaid, int64_t units, struct error *error);
/* In a transaction, with the order locked, which does not wait for payment: whether it may again. */
enum error_code order_unpaid_check(struct pg *db, struct arena *arena, const struct order *order,
                                   struct error *error);

/* In a transaction, with the order locked, which is cancelled or refunded: a part of it whose label is void
 * will not be sent. Its stock is free again. One that has left stays as it is. */
enum error_code order_fulfilment_cancel(struct pg *db, struct arena *arena, const struct order *order,
                                        int16_t fulfilment_no);

#endif
