/* The board: this process's picture of the sales, read from the database and swapped whole. The event loop
 * asks it first, so that "not open", "sold out" and "over" cost neither Redis nor the database.
 *
 * When is it safe to say sold out from a picture? The picture holds the keys of all purchases that had been
 * made when it was taken, read after the sale's row: a retry of one of them is passed on, so that it gets its
 * stored answer. Everybody else could get nothing at that moment. A unit that came back since is news, which
 * makes the thread read again; a picture older than a second is not believed (the news may be lost), and
 * units that came back are not sold before that second is over (SALE_REOPEN_S), so no purchase is unknown to
 * a picture that is believed. That a sale has not begun is in its row, which never changes; that it is over
 * is believed from a picture that was taken when the last orders had been decided.
 *
 * The same thread is the reconciler: while a sale is on, it compares the counters in Redis with the database
 * and reloads them when they stay apart: places of buyers whose server died, units that came back, a Redis
 * that was flushed. */
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "sale_sql.h"
#include "shop/sale/sale_internal.h"

#include <pthread.h>
#include <stdlib.h>

#define SALES_MAX 1000
#define ROUND_LIVE_MS 300
#define ROUND_IDLE_MS 60000
#define ROUND_GAP_MS 40 /* between two readings, however much news there is */
#define FRESH_US 1000000
#define AHEAD_US 1000000
#define SETTLING_US 10000000 /* after its end orders may still be on their way */
#define FINAL_US 5000000     /* after its end: no order is being decided any more */
/* Counters that differ in so many rounds running are reloaded; sooner where nothing is being sold. */
#define DRIFT_ROUNDS_MAX 6
#define DRIFT_ROUNDS_QUIET 2

struct key {
    uint8_t bytes[SALE_KEY_BYTES];
};

struct entry {
    struct sale sale;
    bool final; /* nothing can be had: keys holds every purchase */
    int64_t read_wall_us;
    struct key *keys; /* sorted; owned */
    size_t key_count;
    int drift_rounds;
    int32_t drift_sold;
};

static struct {
    pthread_rwlock_t lock; /* of entries, count, read_us */
    struct entry *entries; /* by id */
    size_t count;
    int64_t read_us; /* monotonic: when the reading began */
    pthread_mutex_t wake_lock;
    pthread_cond_t wake;
    bool woken, stopping, running;
    pthread_t thread;
    struct pg *db;
    struct redis *redis;
    struct arena *arena;
} board = {.lock = PTHREAD_RWLOCK_INITIALIZER, .wake_lock = PTHREAD_MUTEX_INITIALIZER};

static int compare_keys(const void *a, const void *b)
{
    return memcmp(a, b, SALE_KEY_BYTES);
}

static int compare_entries(const void *a, const void *b)
{
    return uuid_compare(((const struct entry *)a)->sale.id.uuid, ((const struct entry *)b)->sale.id.uuid);
}

static struct entry *find(struct entry *entries, size_t count, struct sale_id sale_id)
{
    struct entry key = {.sale.id = sale_id};
    return count ? bsearch(&key, entries, count, sizeof key, compare_entries) : NULL;
}

static bool refuses(const struct entry *entry, const uint8_t key[SALE_KEY_BYTES], bool fresh, int64_t now_us)
{
    enum sale_state state = sale_state(&entry->sale, now_us);
    if (state == SALE_UPCOMING)
        return true;
    if (state == SALE_OPEN || !entry->final)
        return false;
    if (state == SALE_SOLD_OUT && !fresh)
        return false;
    if (state == SALE_ENDED && entry->read_wall_us < entry->sale.ends_at_us + FINAL_US)
        return false;
    return !entry->key_count ||
           !bsearch(key, entry->keys, entry->key_count, sizeof *entry->keys, compare_keys);
}

void sale_board_ask(struct sale_id sale_id, const uint8_t key[SALE_KEY_BYTES],
                    struct sale_board_answer *answer)
{
    pthread_rwlock_rdlock(&board.lock);
    const struct entry *entry = find(board.entries, board.count, sale_id);
    *answer = (struct sale_board_answer){.found = entry != NULL, .now_us = clock_wall_us()};
    if (entry) {
        bool fresh = clock_monotonic_us() - board.read_us <= FRESH_US;
        answer->sale = entry->sale;
        answer->refused = refuses(entry, key, fresh, answer->now_us);
    }
    pthread_rwlock_unlock(&board.lock);
}

void sale_board_wake(void)
{
    pthread_mutex_lock(&board.wake_lock);
    board.woken = true;
    if (board.running)
        pthread_cond_signal(&board.wake);
    pthread_mutex_unlock(&board.wake_lock);
}

void sale_invalidate(struct str kind, struct uuid id)
{
    (void)id;
    if (kind.len == 0 || str_equal(kind, STR("sale")))
        sale_board_wake();
}

/* ── reading ── */

static void read_entry(const struct sale_board_list_row *row, struct entry *entry, int64_t now_us)
{
    *entry = (struct entry){.read_wall_us = now_us};
    entry->sale = SALE_OF_ROW(row);
}

/* The purchases of a sale where nothing else can be had: from the last picture, if nothing was sold since. */
static enum error_code read_keys(struct entry *entry, struct entry *before, int64_t now_us)
{
    enum sale_state state = sale_state(&entry->sale, now_us);
    if (state == SALE_UPCOMING || state == SALE_OPEN)
        return ERR_OK;
    if (before && before->final && before->sale.version == entry->sale.version) {
        entry->keys = before->keys;
        entry->key_count = before->key_count;
        before->keys = NULL;
        entry->final = true;
        return ERR_OK;
    }
    struct sale_claim_keys_rows rows;
    enum error_code code =
        sale_claim_keys(board.db, board.arena, (struct sale_claim_keys_args){entry->sale.id}, &rows);
    if (code)
        return code;
    entry->keys = calloc(rows.count ? rows.count : 1, sizeof *entry->keys);
    CHECK(entry->keys);
    for (size_t i = 0; i < rows.count; i++) {
        CHECK(rows.items[i].key.len == SALE_KEY_BYTES);
        memcpy(entry->keys[i].bytes, rows.items[i].key.ptr, SALE_KEY_BYTES);
    }
    entry->key_count = rows.count;
    entry->final = true;
    return ERR_OK;
}

static void free_entries(struct entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(entries[i].keys);
    free(entries);
}

/* Only this thread writes, so it reads the present entries without the lock. The database is asked outside
 * the lock: it may be slow, and the loops must not wait for it. */
static void read_board(void)
{
    int64_t began_us = clock_monotonic_us(), now_us = clock_wall_us();
    arena_reset(board.arena);
    struct sale_board_list_rows rows;
    if (sale_board_list(board.db, board.arena, (struct sale_board_list_args){SALES_MAX}, &rows))
        return; /* the picture grows old, and is not believed */
    struct entry *entries = calloc(rows.count + 1, sizeof *entries);
    CHECK(entries);
    enum error_code code = ERR_OK;
    for (size_t i = 0; i < rows.count; i++) {
        struct entry *before = find(board.entries, board.count, rows.items[i].id);
        read_entry(&rows.items[i], &entries[i], now_us);
        if (before) {
            entries[i].drift_rounds = before->drift_rounds;
            entries[i].drift_sold = before->drift_sold;
        }
    }
    struct entry *old = board.entries;
    size_t old_count = board.count;
    struct entry *copies = calloc(old_count + 1, sizeof *copies);
    CHECK(copies);
    if (old_count)
        memcpy(copies, old, old_count * sizeof *copies);
    for (size_t i = 0; !code && i < rows.count; i++)
        code = read_keys(&entries[i], find(copies, old_count, entries[i].sale.id), now_us);
    if (code) { /* lists that were lent from the old picture stay with it */
        for (size_t i = 0; i < rows.count; i++) {
            struct entry *lender = find(old, old_count, entries[i].sale.id);
            if (lender && lender->keys == entries[i].keys)
                entries[i].keys = NULL;
        }
        free_entries(entries, rows.count);
        free(copies);
        return;
    }
    pthread_rwlock_wrlock(&board.lock);
    board.entries = entries;
    board.count = rows.count;
    board.read_us = began_us;
    pthread_rwlock_unlock(&board.lock);
    free_entries(copies, old_count); /* of the copies: what was lent is NULL there */
    free(old);
}

/* ── the reconciler ── */

static bool is_on(const struct sale *sale, int64_t now_us)
{
    return !sale->cancelled && now_us >= sale->starts_at_us - AHEAD_US && now_us < sale->ends_at_us;
}

static void reconcile(struct entry *entry)
{
    int64_t left = 0;
    bool away;
    bool known = sale_counters_left(board.redis, entry->sale.id, &left, &away);
    if (away || (known && left == entry->sale.quantity - entry->sale.sold)) {
        entry->drift_rounds = 0;
        return;
    }
    bool quiet = entry->drift_sold == entry->sale.sold;
    entry->drift_sold = entry->sale.sold;
    entry->drift_rounds++;
    if (known && entry->drift_rounds < (quiet ? DRIFT_ROUNDS_QUIET : DRIFT_ROUNDS_MAX))
        return;
    entry->drift_rounds = 0;
    char id[ID_TEXT_MAX];
    sale_id_text(entry->sale.id, id);
    log_write(LOG_INFO, "counters of a sale loaded", LOG_TEXT("sale", id), LOG_BOOL("known", known),
              LOG_INT("left", left), LOG_INT("sold", entry->sale.sold));
    sale_counters_load(board.redis, board.db, board.arena, &entry->sale);
}

static void reconcile_all(void)
{
    int64_t now_us = clock_wall_us();
    for (size_t i = 0; i < board.count; i++)
        if (is_on(&board.entries[i].sale, now_us))
            reconcile(&board.entries[i]);
}

/* ── the thread ── */

static int64_t pause_ms(void)
{
    int64_t now_us = clock_wall_us(), pause = ROUND_IDLE_MS;
    for (size_t i = 0; i < board.count; i++) {
        const struct sale *sale = &board.entries[i].sale;
        if (sale->cancelled || now_us >= sale->ends_at_us + SETTLING_US)
            continue;
        int64_t until_ms = (sale->starts_at_us - AHEAD_US - now_us) / 1000;
        int64_t wanted = until_ms > ROUND_LIVE_MS ? until_ms : ROUND_LIVE_MS;
        pause = wanted < pause ? wanted : pause;
    }
    return pause;
}

/* False: stop. */
static bool wait_for_round(int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t nanoseconds = until.tv_nsec + ms % 1000 * 1000000;
    until.tv_sec += ms / 1000 + nanoseconds / 1000000000;
    until.tv_nsec = nanoseconds % 1000000000;
    pthread_mutex_lock(&board.wake_lock);
    while (!board.woken && !board.stopping &&
           pthread_cond_timedwait(&board.wake, &board.wake_lock, &until) == 0)
        continue;
    board.woken = false;
    bool go_on = !board.stopping;
    pthread_mutex_unlock(&board.wake_lock);
    return go_on;
}

static void *board_main(void *argument)
{
    (void)argument;
    int64_t last_us = 0;
    do {
        int64_t since_ms = (clock_monotonic_us() - last_us) / 1000;
        if (since_ms < ROUND_GAP_MS) {
            struct timespec gap = {.tv_nsec = (ROUND_GAP_MS - since_ms) * 1000000};
            nanosleep(&gap, NULL);
        }
        last_us = clock_monotonic_us();
        read_board();
        reconcile_all();
    } while (wait_for_round(pause_ms()));
    return NULL;
}

enum error_code sale_board_start(const char *database_url, const char *redis_url, struct error *error)
{
    CHECK(!board.running);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&board.wake, &monotonic);
    board.db = pg_new(database_url, "cathay sales", NULL);
    board.redis = redis_new(redis_url);
    board.arena = arena_new();
    board.stopping = false;
    if (!thread_start(&board.thread, "sale-board", board_main, NULL))
        return error_set(error, ERR_INTERNAL, "a thread for the board of sales could not be made");
    board.running = true;
    return ERR_OK;
}

void sale_board_stop(void)
{
    if (!board.running)
        return;
    pthread_mutex_lock(&board.wake_lock);
    board.stopping = true;
    pthread_cond_signal(&board.wake);
    pthread_mutex_unlock(&board.wake_lock);
    pthread_join(board.thread, NULL);
    pthread_mutex_lock(&board.wake_lock);
    board.running = false;
    pthread_mutex_unlock(&board.wake_lock);
    free_entries(board.entries, board.count);
    board.entries = NULL;
    board.count = 0;
    pg_free(board.db);
    redis_free(board.redis);
    arena_free(board.arena);
}
