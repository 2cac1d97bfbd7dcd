/* Lanes: threads, each with a PostgreSQL connection, that work in batches off one queue. What arrives while
 * a batch is in flight forms the next one (natural batching): there is no timer, and alone an item is a batch
 * of one and waits for nobody. lanes.c opens with how lanes keep out of each other's way.
 *
 * lanes_submit does not block; an item belongs to the lanes until it was handed to run(). Everything here is
 * thread-safe. */
#ifndef CATHAY_WORK_LANES_H
#define CATHAY_WORK_LANES_H

#include "base/arena.h"
#include "base/error.h"
#include "base/id.h"
#include "pg/pg.h"

#define LANES_MAX 8

/* Plans made on empty tables would be poison, and rows are locked in index order only with these: what
 * connections of lanes are set to, before what a user of them adds. */
#define LANE_CONNECTION_SETTINGS                                                                             \
    "SET plan_cache_mode = force_generic_plan; SET enable_hashjoin = off; SET enable_mergejoin = off; "      \
    "SET enable_seqscan = off; SET jit = off; "

/* Stands first in what is submitted. touches: hashes of the rows that the item will lock; items that share
 * one are never in flight on two lanes at once. They have to live as long as the item. */
struct lane_item {
    const uint64_t *touches;
    size_t touch_count;
    struct str request_id; /* whose it is, for the report of a crash */
    /* the lanes' own */
    struct lane_item *next;
    int64_t queued_us;
};
/* Never 0. */
uint64_t lane_hash(struct uuid id);
uint64_t lane_hash_text(struct str text);

struct lanes_options {
    const char *database_url;
    const char *role;     /* of the connections, and the label of the metrics */
    const char *settings; /* of the connections, see pg_new() */
    int lanes;
    size_t batch_max;
    size_t queue_max;
    int64_t wait_max_ms; /* once the first in the queue has waited so long, new ones are refused */
    /* On a lane's thread. Every item has to be finished when it returns. The arena is the lane's: reset it
     * before each try. */
    void (*run)(int lane, struct pg *db, struct arena *arena, struct lane_item *const *items, size_t count);
};

struct lanes;
enum error_code lanes_start(const struct lanes_options *options, struct lanes **lanes, struct error *error);
/* Runs what was submitted, then joins the threads. NULL is nothing. */
void lanes_stop(struct lanes *lanes);
/* Whether an item that has waited for so long already would be refused now: the queue is full, or its first
 * one has waited for the rest of wait_max_ms. Takes no lock, so that a crowd can be asked to come again
 * before anything is spent on it; counts it as refused. */
bool lanes_refuse(struct lanes *lanes, int64_t waited_us);
/* ERR_OVERLOADED: refused as above, or the lanes are being stopped; the item is still the caller's. */
enum error_code lanes_submit(struct lanes *lanes, struct lane_item *item);
size_t lanes_queued(struct lanes *lanes);

#endif
