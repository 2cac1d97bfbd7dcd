/* Checkout: places orders. The engine decides orders in batches, each batch one transaction: what arrives
 * while one is in flight forms the next. See README.md here for how, and decide.h for the rules.
 *
 * checkout_submit is thread-safe and does not block; a command belongs to the engine until its finish
 * callback runs, on a lane's thread. */
#ifndef CATHAY_SHOP_CHECKOUT_CHECKOUT_H
#define CATHAY_SHOP_CHECKOUT_CHECKOUT_H

#include "shop/checkout/decide.h"
#include "work/lanes.h"

struct checkout_command {
    struct lane_item item; /* the engine's own */
    /* The caller sets what is asked (decide.h); ids, number and times are made by the engine. */
    struct checkout_order order;
    struct arena *arena; /* the answer goes here */
    /* ERR_OK: answer is the placed order as JSON, replayed says that it is a stored one. Another code:
     * order.error. */
    void (*finish)(struct checkout_command *command, enum error_code code);
    void *context;
    struct str answer;
    bool replayed;
};

struct checkout_options {
    const char *database_url;
    int lanes;
    size_t batch_max;
    size_t queue_max;
    int64_t wait_max_ms;   /* of the first order in the queue, past which new ones are refused */
    int64_t reservation_s; /* time to pay */
};

/* One engine in a process. */
enum error_code checkout_engine_start(const struct checkout_options *options, struct error *error);
/* Finishes what was submitted, then joins the lanes. */
void checkout_engine_stop(void);
/* Whether an order that came waited_us ago is refused, before anything is spent on it. Lock-free. */
bool checkout_overloaded(int64_t waited_us);
/* ERR_OVERLOADED: too many wait, or for too long; finish is not called. */
enum error_code checkout_submit(struct checkout_command *command);

struct checkout_counters {
    int64_t batches, orders, accepted, rejected, replayed, retried_batches;
    int64_t queued;
    int64_t largest_batch;
};
void checkout_counters(struct checkout_counters *counters);

#endif
