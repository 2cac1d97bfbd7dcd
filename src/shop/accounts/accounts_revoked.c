/* What this process knows of sessions that have ended. A thread asks PostgreSQL every session_poll_ms for
 * those that are new, by one query on an index of a small table, and the request that ends sessions asks at
 * once. A message of Redis would come no sooner than the bound that holds without it, so there is none.
 *
 * What was known when the last answer was asked for is trusted for session_trust_ms. When it is older,
 * because PostgreSQL is away or slow or this process had no time, nothing is taken for granted: each request
 * asks for its own session, and is answered 503 where nobody can tell. So an ended session is good for
 * session_trust_ms at most, on every server. */
#include "shop/accounts/accounts_session_set.h"

#include "accounts_sql.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"
#include "base/metrics.h"
#include "shop/accounts/accounts.h"
#include "shop/accounts/accounts_token.h"
#include "work/stop.h"

#include <pthread.h>
#include <stdatomic.h>

/* Plans made while the table was empty would outlive that. Who hangs is given up for a new connection. */
#define SETTINGS "SET enable_seqscan = off; SET statement_timeout = '5s'"
#define ENTRIES_MAX ((size_t)1024 * 1024)
#define CLOCKS_S 120 /* beyond a token's life: TOKEN_SKEW_S, and clocks that differ */
#define EXPIRE_EVERY_US ((int64_t)60 * 1000000)

static struct {
    struct session_set *set;
    _Atomic int64_t since;    /* the oldest transaction that was under way at the last answer; 0: none yet */
    _Atomic int64_t known_us; /* when that was asked for, monotonic; 0: never */
    _Atomic int64_t full_until_us;
    bool running;
    pthread_t thread;
    struct stop stop;
    struct pg *db;
    struct arena *arena;
} revoked;

static int64_t window_s(void)
{
    return config()->access_token_s + CLOCKS_S;
}

static void remember(const struct session_id_array *sessions, int64_t now_us)
{
    int64_t until_s = now_us / 1000000 + window_s();
    for (size_t i = 0; i < sessions->count; i++) {
        if (session_set_add(revoked.set, sessions->items[i], until_s))
            continue;
        log_write(LOG_ERROR, "more sessions have ended than are kept in memory: requests ask individually",
                  LOG_INT("entries", (int64_t)ENTRIES_MAX));
        atomic_store(&revoked.full_until_us, now_us + window_s() * 1000000);
        return;
    }
}

static enum error_code read_since(struct pg *db, struct arena *arena, int64_t *next)
{
    int64_t now_us = clock_monotonic_us();
    struct revoked_since_args args = {atomic_load(&revoked.since), window_s()};
    struct revoked_since_row row;
    bool found;
    enum error_code code = revoked_since(db, arena, args, &row, &found);
    if (code)
        return code;
    CHECK(found);
    remember(&row.sessions, now_us);
    *next = row.next;
    return ERR_OK;
}

enum error_code accounts_revoked_read(struct pg *db, struct arena *arena)
{
    int64_t next;
    return revoked.running ? read_since(db, arena, &next) : ERR_OK;
}

enum session_word accounts_session(const struct principal *principal)
{
    if (!revoked.running || principal->role == ROLE_ANONYMOUS)
        return SESSION_OPEN;
    if (session_set_has(revoked.set, principal->session_id))
        return SESSION_ENDED;
    int64_t now_us = clock_monotonic_us(), known_us = atomic_load(&revoked.known_us);
    bool known = known_us && now_us - known_us <= config()->session_trust_ms * 1000 &&
                 now_us >= atomic_load(&revoked.full_until_us);
    return known ? SESSION_OPEN : SESSION_UNSURE;
}

static void poll_database(void)
{
    int64_t now_us = clock_monotonic_us(), next;
    if (read_since(revoked.db, revoked.arena, &next)) {
        /* Behind the next connection may be another server, whose transactions have other numbers. */
        pg_disconnect(revoked.db);
        atomic_store(&revoked.since, 0);
    } else {
        atomic_store(&revoked.since, next);
        atomic_store(&revoked.known_us, now_us);
    }
    arena_reset(revoked.arena);
}

static void *revoked_main(void *unused)
{
    (void)unused;
    int64_t expire_at_us = clock_monotonic_us() + EXPIRE_EVERY_US;
    while (!stop_requested(&revoked.stop)) {
        poll_database();
        int64_t now_us = clock_monotonic_us();
        if (now_us >= expire_at_us) {
            session_set_expire(revoked.set, now_us / 1000000);
            expire_at_us = now_us + EXPIRE_EVERY_US;
        }
        stop_wait(&revoked.stop, (int)config()->session_poll_ms);
    }
    return NULL;
}

static int64_t count_revoked(void *unused)
{
    (void)unused;
    return (int64_t)session_set_count(revoked.set);
}

void accounts_revoked_start(void)
{
    CHECK(!revoked.running);
    revoked.set = session_set_new(ENTRIES_MAX);
    revoked.db = pg_new(config()->database_url, "cathay sessions", SETTINGS);
    revoked.arena = arena_new();
    atomic_store(&revoked.since, 0);
    atomic_store(&revoked.known_us, 0);
    atomic_store(&revoked.full_until_us, 0);
    stop_init(&revoked.stop);
    metric_gauge_read("cathay_sessions_revoked", "Ended sessions whose access tokens this server refuses",
                      NULL, count_revoked, NULL);
    revoked.running = true;
    CHECK(pthread_create(&revoked.thread, NULL, revoked_main, NULL) == 0);
}

void accounts_revoked_stop(void)
{
    if (!revoked.running)
        return;
    stop_request(&revoked.stop);
    pthread_join(revoked.thread, NULL);
    revoked.running = false;
    stop_destroy(&revoked.stop);
    pg_free(revoked.db);
    arena_free(revoked.arena);
    session_set_free(revoked.set);
    revoked.set = NULL;
}
