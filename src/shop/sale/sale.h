/* Flash sales: so many units of one variant at one price, between two moments, so many to a customer. Owns
 * sale, sale_customer, sale_claim. See README.md here for the whole course.
 *
 * A buyer passes three gates, each cheaper than the next: the board (this process's picture of all sales,
 * asked on the event loop), the counters (Redis, one script for a batch of buyers), and the checkout engine,
 * which decides in the database. The first two only keep away those who would be refused; nothing depends on
 * them.
 *
 * Whoever writes sale_customer or sale_claim has locked the sale's row first. Order of locks in the shop:
 * order, ledger account, cart, sale, stock. */
#ifndef CATHAY_SHOP_SALE_SALE_H
#define CATHAY_SHOP_SALE_SALE_H

#include "base/arena.h"
#include "base/error.h"
#include "base/id.h"
#include "base/money.h"

#define SALE_QUANTITY_MAX 100000
#define SALE_PER_CUSTOMER_MAX 999
#define SALE_KEY_BYTES 16
/* When units come back to a sale that was sold out, they are sold from so much later on. A server's picture
 * of a sale is believed for a second, so by then none says "sold out" that does not know who has bought. The
 * second between the two is for clocks that differ. */
#define SALE_REOPEN_S 2
/* What those who are told "sold out" are asked to wait: unpaid units come back one by one. */
#define SALE_RETRY_S 5

struct sale {
    struct sale_id id;
    struct variant_id variant_id;
    struct currency currency;
    int64_t price_minor;
    int32_t quantity, sold, per_customer;
    int64_t starts_at_us, ends_at_us; /* open from the first up to, not including, the second */
    bool cancelled;
    int64_t version;
    int64_t reopens_at_us; /* sold out until then, although units came back */
};

/* From any generated row with the columns of a sale. */
#define SALE_OF_ROW(row)                                                                                     \
    ((struct sale){.id = (row)->id,                                                                          \
                   .variant_id = (row)->variant_id,                                                          \
                   .currency = sale_currency((row)->currency),                                               \
                   .price_minor = (row)->price_minor,                                                        \
                   .quantity = (row)->quantity,                                                              \
                   .sold = (row)->sold,                                                                      \
                   .per_customer = (row)->per_customer,                                                      \
                   .starts_at_us = (row)->starts_at,                                                         \
                   .ends_at_us = (row)->ends_at,                                                             \
                   .cancelled = (row)->cancelled,                                                            \
                   .version = (row)->version,                                                                \
                   .reopens_at_us = (row)->reopens_at})
/* A currency that the database holds: anything else is a bug. */
struct currency sale_currency(struct str text);

enum sale_state { SALE_UPCOMING, SALE_OPEN, SALE_SOLD_OUT, SALE_ENDED, SALE_CANCELLED };
/* Pure. The database's sale_state() says the same. */
enum sale_state sale_state(const struct sale *sale, int64_t now_us);

/* Pure. Whether a customer who has `taken` of the sale may have `quantity` more now. ERR_OK, or in this order
 * ERR_SALE_NOT_OPEN, ERR_SALE_ENDED, ERR_SALE_LIMIT, ERR_SALE_SOLD_OUT; error says it in words, and when to
 * come back. */
enum error_code sale_refusal(const struct sale *sale, int64_t now_us, int32_t taken, int32_t quantity,
                             struct error *error);

/* One buyer who asks to be let in. Belongs to the caller, who keeps it until `decided` has run. */
struct sale_admission {
    struct sale_id sale_id;
    struct user_id customer_id;
    int32_t quantity;
    uint8_t key[SALE_KEY_BYTES]; /* sale_admission_key */
    /* On a thread of this module; must be quick. ERR_OK: let in, `sale` is filled. ERR_NOT_FOUND: there is no
     * such sale. Otherwise as sale_refusal. */
    void (*decided)(struct sale_admission *admission, enum error_code code);
    void *context;
    struct sale sale;
    bool counted; /* the counters hold a place for it: given back if no order comes of it */
    struct error error;
    struct sale_admission *next; /* the module's own */
};

/* Tells a retry of a purchase from another purchase. */
void sale_admission_key(struct user_id customer_id, struct str idempotency_key, uint8_t key[SALE_KEY_BYTES]);

/* What the board refuses at once: asked before it is known who asks. ERR_OK: it does not; a purchase that was
 * made under this key has its answer. Thread-safe, never blocks, touches neither Redis nor the database. */
enum error_code sale_refused_at_once(struct sale_id sale_id, const uint8_t key[SALE_KEY_BYTES],
                                     struct error *error);

/* Asks the board, which may refuse at once: the code is returned and `decided` is not called. ERR_OK:
 * `decided` will be. ERR_OVERLOADED: too many wait. Thread-safe, never blocks, touches neither Redis nor the
 * database. A purchase that was made is never refused here: its answer is stored. */
enum error_code sale_admission_ask(struct sale_admission *admission);

/* No order came of it. Thread-safe, never blocks. May be lost in a crash: the counters are compared with the
 * database all the time. */
void sale_admission_give_back(const struct sale_admission *admission);

/* The board and the admission of one process, each a thread with a connection to database and Redis. */
enum error_code sale_start(const char *database_url, const char *redis_url, struct error *error);
/* Decides what waits, then joins the threads. */
void sale_stop(void);
/* For live_on_invalidate(): news of a sale; any other kind is ignored. Never blocks. */
void sale_invalidate(struct str kind, struct uuid id);

#endif
