/* Admission: a thread takes what waits, groups it by sale and asks the counters with one script call a sale,
 * so that Redis is asked as seldom as the crowd is large. While a call is under way the next batch gathers;
 * there is no timer. Without Redis everybody is let in, and the engine alone decides. */
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "sale_sql.h"
#include "shop/sale/sale_internal.h"

#include <pthread.h>
#include <stdlib.h>

#define BATCH_MAX 512
#define WAITING_MAX 65536
#define RETURNS_MAX 4096

struct returned {
    struct sale_id sale_id;
    char record[SALE_RECORD_BYTES];
};

struct counts {
    int64_t asked, batches, admitted, refused_by_counters, without_counters, given_back, reloads;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct sale_admission *head, *tail;
    size_t waiting;
    struct returned *returns;
    size_t return_count;
    bool running, stopping;
    pthread_t thread;
    struct pg *db;
    struct redis *redis;
    struct arena *arena;
    struct counts counts;
    int64_t refused_by_board; /* atomic: counted on the loops */
} door = {.lock = PTHREAD_MUTEX_INITIALIZER, .work = PTHREAD_COND_INITIALIZER};

void sale_count_reload(void)
{
    pthread_mutex_lock(&door.lock);
    door.counts.reloads++;
    pthread_mutex_unlock(&door.lock);
}

/* What became of those who asked, for whoever reads the log of a sale afterwards. */
static void log_counts(void)
{
    const struct counts *counts = &door.counts;
    int64_t by_board = __atomic_load_n(&door.refused_by_board, __ATOMIC_RELAXED);
    if (counts->asked + by_board == 0)
        return;
    log_write(LOG_INFO, "admission to sales", LOG_INT("refused_by_board", by_board),
              LOG_INT("asked", counts->asked), LOG_INT("batches", counts->batches),
              LOG_INT("admitted", counts->admitted),
              LOG_INT("refused_by_counters", counts->refused_by_counters),
              LOG_INT("without_counters", counts->without_counters),
              LOG_INT("given_back", counts->given_back), LOG_INT("reloads", counts->reloads));
}

/* sale_refusal() for the crowd, without the fields of its answer. */
static enum error_code refuse(const struct sale_board_answer *answer, struct error *error)
{
    if (!answer->refused)
        return ERR_OK;
    __atomic_fetch_add(&door.refused_by_board, 1, __ATOMIC_RELAXED);
    if (sale_state(&answer->sale, answer->now_us) == SALE_SOLD_OUT)
        return sale_refusal_sold_out(error);
    enum error_code code = sale_refusal(&answer->sale, answer->now_us, 0, 1, error);
    CHECK(code); /* of the moment that it was refused for, when it was not open */
    return code;
}

enum error_code sale_refused_at_once(struct sale_id sale_id, const uint8_t key[SALE_KEY_BYTES],
                                     struct error *error)
{
    struct sale_board_answer answer;
    sale_board_ask(sale_id, key, &answer);
    return refuse(&answer, error);
}

enum error_code sale_admission_ask(struct sale_admission *admission)
{
    struct sale_board_answer answer;
    sale_board_ask(admission->sale_id, admission->key, &answer);
    enum error_code code = refuse(&answer, &admission->error);
    if (code)
        return code;
    admission->sale = answer.found ? answer.sale : (struct sale){.quantity = 0};
    admission->next = NULL;
    admission->counted = false;
    pthread_mutex_lock(&door.lock);
    if (!door.running || door.stopping || door.waiting >= WAITING_MAX) {
        pthread_mutex_unlock(&door.lock);
        return ERR_OVERLOADED;
    }
    if (door.head)
        door.tail->next = admission;
    else
        door.head = admission;
    door.tail = admission;
    if (door.waiting++ == 0)
        pthread_cond_signal(&door.work);
    door.counts.asked++;
    pthread_mutex_unlock(&door.lock);
    return ERR_OK;
}

void sale_admission_give_back(const struct sale_admission *admission)
{
    pthread_mutex_lock(&door.lock);
    if (door.running && !door.stopping && door.return_count < RETURNS_MAX) {
        struct returned *returned = &door.returns[door.return_count++];
        returned->sale_id = admission->sale_id;
        sale_record_write(admission, returned->record);
        door.counts.given_back++;
        pthread_cond_signal(&door.work);
    }
    pthread_mutex_unlock(&door.lock);
}

/* ── on the thread ── */

static void decide(struct sale_admission *admission, enum error_code code)
{
    admission->decided(admission, code);
}

/* Sales that the board did not know: made a moment ago, long over, or nobody's. One query for all of them. */
static void find_unknown(struct sale_admission **batch, size_t count)
{
    struct sale_id *ids = ARENA_ARRAY(door.arena, struct sale_id, count);
    size_t unknown = 0;
    for (size_t i = 0; i < count; i++)
        if (batch[i]->sale.quantity == 0)
            ids[unknown++] = batch[i]->sale_id;
    if (unknown == 0)
        return;
    struct sale_find_batch_rows rows;
    struct sale_find_batch_args args = {{ids, unknown}};
    enum error_code code = sale_find_batch(door.db, door.arena, args, &rows);
    if (code == ERR_DATABASE) /* the connection had been idle, and was lost meanwhile */
        code = sale_find_batch(door.db, door.arena, args, &rows);
    if (!code && rows.count > 0)
        sale_board_wake();
    for (size_t i = 0; i < count; i++) {
        struct sale_admission *admission = batch[i];
        if (admission->sale.quantity > 0)
            continue;
        for (size_t r = 0; !code && r < rows.count; r++) {
            const struct sale_find_batch_row *row = &rows.items[r];
            if (!uuid_equal(row->id.uuid, admission->sale_id.uuid))
                continue;
            admission->sale = SALE_OF_ROW(row);
        }
        if (admission->sale.quantity == 0) {
            batch[i] = NULL;
            decide(admission,
                   code ? code : error_set(&admission->error, ERR_NOT_FOUND, "There is no such sale"));
        }
    }
}

static void answer(struct sale_admission *admission, char verdict)
{
    const struct sale *sale = &admission->sale;
    enum error_code code = ERR_OK;
    admission->counted = verdict == SALE_ADMITTED;
    if (verdict == SALE_SAYS_EARLY)
        code = sale_refusal_not_open(sale, clock_wall_us(), &admission->error);
    else if (verdict == SALE_SAYS_ENDED)
        code = error_set(&admission->error, ERR_SALE_ENDED, "The sale is over");
    else if (verdict == SALE_SAYS_LIMIT)
        code = error_set(&admission->error, ERR_SALE_LIMIT, "This sale gives at most %d to a customer",
                         sale->per_customer);
    else if (verdict == SALE_SAYS_SOLD_OUT)
        code = sale_refusal_sold_out(&admission->error);
    decide(admission, code);
}

static bool is_refusal(char verdict)
{
    return verdict != SALE_ADMITTED && verdict != SALE_KNOWN;
}

/* Counters that were loaded while orders were under way do not know the keys of those. Before somebody is
 * refused, the database is asked whether he has bought: then the engine has his answer. Without the database
 * the counters are believed. */
static void spare_known(struct sale_id sale_id, struct sale_admission *const *buyers, char *verdicts,
                        size_t count)
{
    struct user_id *customers = ARENA_ARRAY(door.arena, struct user_id, count);
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        if (is_refusal(verdicts[i]) && verdicts[i] != SALE_SAYS_EARLY)
            customers[n++] = buyers[i]->customer_id;
    struct sale_claim_keys_of_rows rows;
    struct sale_claim_keys_of_args args = {sale_id, {customers, n}};
    if (n == 0 || sale_claim_keys_of(door.db, door.arena, args, &rows))
        return;
    for (size_t r = 0; r < rows.count; r++)
        for (size_t i = 0; i < count; i++)
            if (memcmp(rows.items[r].key.ptr, buyers[i]->key, SALE_KEY_BYTES) == 0)
                verdicts[i] = SALE_KNOWN;
}

/* All buyers of one sale in the batch; takes them out of it. */
static void admit_sale(struct sale_admission **batch, size_t count, size_t first)
{
    struct sale sale = batch[first]->sale;
    struct sale_admission **buyers = ARENA_ARRAY(door.arena, struct sale_admission *, count);
    char *records = arena_alloc(door.arena, count * SALE_RECORD_BYTES);
    char *verdicts = arena_alloc(door.arena, count);
    size_t n = 0;
    for (size_t i = first; i < count; i++)
        if (batch[i] && uuid_equal(batch[i]->sale_id.uuid, sale.id.uuid)) {
            sale_record_write(batch[i], records + n * SALE_RECORD_BYTES);
            buyers[n++] = batch[i];
            batch[i] = NULL;
        }
    enum sale_counted counted = sale_counters_admit(door.redis, sale.id, records, n, verdicts);
    if (counted == SALE_COUNTERS_EMPTY &&
        sale_counters_load(door.redis, door.db, door.arena, &sale) == ERR_OK)
        counted = sale_counters_admit(door.redis, sale.id, records, n, verdicts);
    if (counted != SALE_COUNTED)
        memset(verdicts, SALE_KNOWN, n); /* the engine alone decides */
    spare_known(sale.id, buyers, verdicts, n);
    int64_t admitted = 0, refused = 0;
    bool sold_out = false;
    for (size_t i = 0; i < n; i++) {
        bool in = !is_refusal(verdicts[i]);
        sold_out = sold_out || verdicts[i] == SALE_SAYS_SOLD_OUT;
        admitted += in;
        refused += !in;
        answer(buyers[i], verdicts[i]);
    }
    if (sold_out) /* if the database says so too, the loops need not send us any more */
        sale_board_wake();
    pthread_mutex_lock(&door.lock);
    door.counts.batches++;
    door.counts.admitted += admitted;
    door.counts.refused_by_counters += refused;
    door.counts.without_counters += counted == SALE_COUNTED ? 0 : (int64_t)n;
    pthread_mutex_unlock(&door.lock);
}

static void give_back(const struct returned *returns, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sale_counters_give_back(door.redis, returns[i].sale_id, returns[i].record, 1);
}

/* Under the lock. */
static size_t take_batch(struct sale_admission **batch)
{
    size_t count = 0;
    while (door.head && count < BATCH_MAX) {
        batch[count++] = door.head;
        door.head = door.head->next;
    }
    door.waiting -= count;
    return count;
}

static void *door_main(void *argument)
{
    (void)argument;
    static struct sale_admission *batch[BATCH_MAX];
    static struct returned returns[RETURNS_MAX];
    pthread_mutex_lock(&door.lock);
    for (;;) {
        while (!door.head && !door.return_count && !door.stopping)
            pthread_cond_wait(&door.work, &door.lock);
        if (!door.head && !door.return_count)
            break;
        size_t count = take_batch(batch), return_count = door.return_count;
        memcpy(returns, door.returns, return_count * sizeof *returns);
        door.return_count = 0;
        pthread_mutex_unlock(&door.lock);
        arena_reset(door.arena);
        give_back(returns, return_count);
        find_unknown(batch, count);
        for (size_t i = 0; i < count; i++)
            if (batch[i])
                admit_sale(batch, count, i);
        pthread_mutex_lock(&door.lock);
    }
    pthread_mutex_unlock(&door.lock);
    return NULL;
}

enum error_code sale_start(const char *database_url, const char *redis_url, struct error *error)
{
    CHECK(!door.running);
    door.db = pg_new(database_url, "cathay sale door", NULL);
    door.redis = redis_new(redis_url);
    door.arena = arena_new();
    door.returns = calloc(RETURNS_MAX, sizeof *door.returns);
    CHECK(door.returns);
    door.stopping = false;
    if (!thread_start(&door.thread, "sale-door", door_main, NULL))
        return error_set(error, ERR_INTERNAL, "a thread for the admission to sales could not be made");
    door.running = true;
    return sale_board_start(database_url, redis_url, error);
}

void sale_stop(void)
{
    sale_board_stop();
    if (!door.running)
        return;
    pthread_mutex_lock(&door.lock);
    door.stopping = true;
    pthread_cond_signal(&door.work);
    pthread_mutex_unlock(&door.lock);
    pthread_join(door.thread, NULL);
    pthread_mutex_lock(&door.lock);
    door.running = false;
    pthread_mutex_unlock(&door.lock);
    log_counts();
    pg_free(door.db);
    redis_free(door.redis);
    arena_free(door.arena);
    free(door.returns);
}
