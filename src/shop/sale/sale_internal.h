/* What the files of this module share: the board, the counters. */
#ifndef CATHAY_SHOP_SALE_SALE_INTERNAL_H
#define CATHAY_SHOP_SALE_SALE_INTERNAL_H

#include "pg/pg.h"
#include "redis/redis.h"
#include "shop/sale/sale.h"
#include "work/work.h"

extern const struct task_definition sale_tasks[];
extern const struct invariant sale_invariants[];

/* ── the board: this process's picture of all sales ── */

/* What the board says of one sale and purchase. Any thread; does not block. */
struct sale_board_answer {
    bool found;
    struct sale sale; /* as of the last reading */
    /* Nothing can be had, and nothing was bought under this key: an answer to be given at once. */
    bool refused;
    int64_t now_us; /* the moment of which that is said */
};
void sale_board_ask(struct sale_id sale_id, const uint8_t key[SALE_KEY_BYTES],
                    struct sale_board_answer *answer);
/* Has it read again soon. */
void sale_board_wake(void);
enum error_code sale_board_start(const char *database_url, const char *redis_url, struct error *error);
void sale_board_stop(void);

/* ── the counters: what Redis holds of one sale. Blocking; each thread with its own connections ── */

/* A buyer as the scripts read it: customer, key, three digits of quantity. */
#define SALE_RECORD_BYTES (16 + SALE_KEY_BYTES + 3)
void sale_record_write(const struct sale_admission *admission, char record[SALE_RECORD_BYTES]);

/* One verdict a buyer, in their order. */
enum sale_verdict {
    SALE_ADMITTED = 'A',
    SALE_KNOWN = 'K', /* let in before under this key, not counted again */
    SALE_SAYS_EARLY = 'N',
    SALE_SAYS_ENDED = 'E',
    SALE_SAYS_LIMIT = 'L',
    SALE_SAYS_SOLD_OUT = 'S'
};
enum sale_counted { SALE_COUNTED, SALE_COUNTERS_EMPTY, SALE_COUNTERS_AWAY };
/* SALE_COUNTED: verdicts has `count` letters. SALE_COUNTERS_EMPTY: Redis does not know the sale; load it. */
enum sale_counted sale_counters_admit(struct redis *redis, struct sale_id sale_id, const char *records,
                                      size_t count, char *verdicts);
void sale_counters_give_back(struct redis *redis, struct sale_id sale_id, const char *records, size_t count);
/* Makes the counters what the database says of the sale. What was let in and is no order yet is forgotten:
 * the engine decides about it all the same. */
enum error_code sale_counters_load(struct redis *redis, struct pg *db, struct arena *arena,
                                   const struct sale *sale);
/* What is left by the counters; false: unknown or away. */
bool sale_counters_left(struct redis *redis, struct sale_id sale_id, int64_t *left, bool *away);

/* In words, with the time to come back. */
enum error_code sale_refusal_not_open(const struct sale *sale, int64_t now_us, struct error *error);
enum error_code sale_refusal_sold_out(struct error *error);

/* Counted in sale_admission.c. */
void sale_count_reload(void);

#endif
