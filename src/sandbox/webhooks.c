/* One thread takes what is due and sends it with curl's multi interface, up to WEBHOOKS_AT_ONCE at a time. A
 * delivery that is under way is a row whose due time was moved ahead: if the process dies, it is due again.
 */
#include "sandbox/webhooks.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"
#include "base/thread.h"
#include "sandbox/sandbox.h"
#include "sandbox_sql.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define LOOK_MS 200 /* how often it looks when nobody wakes it */

struct sending;

static struct {
    CURLM *multi;
    pthread_t thread;
    bool started;
    atomic_bool stopping;
    int under_way;
    struct sending *sendings[WEBHOOKS_AT_ONCE];
    struct pg *db;
    struct arena *arena;
} sender;

struct sending {
    struct sending **place; /* among those under way */
    int64_t id;
    int32_t attempt;
    char *url, *body;
    struct curl_slist *headers;
    CURL *easy;
};

/* ---- publishing ---- */

enum error_code sandbox_event_publish(struct pg *db, struct arena *arena, const char *partner,
                                      struct str event_id, struct str type, struct str object_id,
                                      struct str body)
{
    CHECK(pg_in_transaction(db));
    struct sandbox_event_insert_args event = {event_id, str_from(partner), type, object_id, body};
    enum error_code code = sandbox_event_insert(db, event, NULL);
    if (code)
        return code;
    enum { DROP, DELAY, DUPLICATE };
    struct sandbox_use uses[] = {{.fault = "webhook_drop"},
                                 {.fault = "webhook_delay", .value = 0},
                                 {.fault = "webhook_duplicate", .value = 1}};
    sandbox_faults_take(db, arena, partner, uses, 3);
    struct sandbox_delivery_insert_args args = {
        .partner = str_from(partner),
        .event_id = event_id,
        .type = type,
        .state = uses[DROP].fails ? STR("dropped") : STR("waiting"),
        .delay_ms = uses[DELAY].value,
        .copies = uses[DUPLICATE].value,
    };
    return sandbox_delivery_insert(db, args, NULL);
}

enum error_code sandbox_endpoint_from_settings(struct pg *db, const char *partner, const char *path,
                                               const char *secret, const char *const *events)
{
    const char *base =
        config()->sandbox_webhook_url[0] ? config()->sandbox_webhook_url : config()->public_url;
    struct arena *arena = arena_new();
    struct str types[32];
    size_t count = 0;
    for (; events[count]; count++) {
        CHECK(count < 32);
        types[count] = str_from(events[count]);
    }
    struct sandbox_endpoint_put_args args = {
        .id = arena_printf(arena, "we_settings_%s", partner),
        .partner = str_from(partner),
        .url = arena_printf(arena, "%s%s", base, path),
        .secret = str_from(secret),
        .events = {types, count},
        .from_settings = true,
    };
    enum error_code code = sandbox_endpoint_put(db, args, NULL);
    arena_free(arena);
    return code;
}

/* ---- sending ---- */

static size_t body_ignored(char *bytes, size_t size, size_t count, void *context)
{
    (void)bytes;
    (void)context;
    return size * count;
}

static char *copy_of(struct str s)
{
    char *copy = strndup(s.ptr ? s.ptr : "", s.len);
    CHECK(copy);
    return copy;
}

static const struct sandbox_part *part_of(struct str partner)
{
    for (size_t i = 0; sandbox_parts[i]; i++)
        if (str_equal(str_from(sandbox_parts[i]->name), partner))
            return sandbox_parts[i];
    return NULL;
}

static struct curl_slist *signed_headers(const struct sandbox_delivery_claim_row *row)
{
    struct curl_slist *list = curl_slist_append(NULL, "Content-Type: application/json; charset=utf-8");
    list = curl_slist_append(list, "Expect:");
    const struct sandbox_part *part = part_of(row->partner);
    if (!part || !part->sign)
        return list;
    struct buf headers = buf_new(4096);
    part->sign(row->secret, row->body, clock_wall_us(), &headers);
    CHECK(!headers.overflow);
    struct str rest = buf_str(&headers);
    while (rest.ptr) {
        struct str line = str_split(&rest, '\n');
        if (line.len == 0)
            continue;
        char *text = copy_of(line);
        list = curl_slist_append(list, text);
        free(text);
    }
    buf_free(&headers);
    return list;
}

static void sending_start(const struct sandbox_delivery_claim_row *row)
{
    struct sending *sending = calloc(1, sizeof *sending);
    CHECK(sending);
    *sending = (struct sending){
        .id = row->id, .attempt = row->attempt, .url = copy_of(row->url), .body = copy_of(row->body)};
    sending->headers = signed_headers(row);
    sending->easy = curl_easy_init();
    CHECK(sending->easy);
    CURL *easy = sending->easy;
    curl_easy_setopt(easy, CURLOPT_URL, sending->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, sending->body);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)row->body.len);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, sending->headers);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "cathay-sandbox");
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)WEBHOOK_TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, body_ignored);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, sending);
    CHECK(curl_multi_add_handle(sender.multi, easy) == CURLM_OK);
    sending->place = sender.sendings;
    while (*sending->place)
        sending->place++;
    *sending->place = sending;
    sender.under_way++;
}

static int64_t pause_after(int32_t attempt)
{
    int64_t pause_ms = config()->sandbox_webhook_retry_ms;
    for (int32_t i = 1; i < attempt && pause_ms < WEBHOOK_PAUSE_MAX_MS; i++)
        pause_ms *= 2;
    return pause_ms < WEBHOOK_PAUSE_MAX_MS ? pause_ms : WEBHOOK_PAUSE_MAX_MS;
}

static void sending_free(struct sending *sending)
{
    curl_multi_remove_handle(sender.multi, sending->easy);
    curl_easy_cleanup(sending->easy);
    curl_slist_free_all(sending->headers);
    *sending->place = NULL;
    free(sending->url);
    free(sending->body);
    free(sending);
    sender.under_way--;
}

static void sending_end(struct sending *sending, CURLcode result)
{
    long status = 0;
    curl_easy_getinfo(sending->easy, CURLINFO_RESPONSE_CODE, &status);
    bool accepted = result == CURLE_OK && status >= 200 && status < 300;
    bool last = sending->attempt >= WEBHOOK_ATTEMPTS_MAX;
    struct sandbox_delivery_finish_args args = {
        .id = sending->id,
        .state = accepted ? STR("done")
                 : last   ? STR("dead")
                          : STR("waiting"),
        .pause_ms = accepted ? 0 : pause_after(sending->attempt),
        .status = {result == CURLE_OK, (int32_t)status},
        .error = result == CURLE_OK ? STR_NONE : str_from(curl_easy_strerror(result)),
    };
    /* Where this fails the row stays under way and is sent again: at least once is what partners promise. */
    if (sandbox_delivery_finish(sender.db, args, NULL) != ERR_OK)
        log_write(LOG_WARN, "sandbox delivery could not be recorded", LOG_INT("delivery", sending->id));
    sending_free(sending);
}

static void take_due(void)
{
    int64_t room = WEBHOOKS_AT_ONCE - sender.under_way;
    struct sandbox_delivery_claim_rows rows;
    if (room <= 0 ||
        sandbox_delivery_claim(sender.db, sender.arena, (struct sandbox_delivery_claim_args){room}, &rows))
        return;
    for (size_t i = 0; i < rows.count; i++)
        sending_start(&rows.items[i]);
    arena_reset(sender.arena);
}

static void *sender_main(void *unused)
{
    (void)unused;
    bool look = true;
    while (!atomic_load(&sender.stopping)) {
        if (look)
            take_due();
        int running, moved = 0;
        curl_multi_perform(sender.multi, &running);
        bool ended = false;
        int left;
        for (CURLMsg *message; (message = curl_multi_info_read(sender.multi, &left));) {
            if (message->msg != CURLMSG_DONE)
                continue;
            struct sending *sending = NULL;
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&sending);
            sending_end(sending, message->data.result);
            ended = true;
        }
        int64_t before_us = clock_monotonic_us();
        if (!ended)
            curl_multi_poll(sender.multi, NULL, 0, LOOK_MS, &moved);
        /* Woken without a socket that moved, the time is over, or a place is free: look for more. */
        look = ended || moved == 0 || clock_monotonic_us() - before_us >= LOOK_MS * 1000;
    }
    return NULL;
}

void sandbox_webhooks_wake(void)
{
    if (sender.started)
        curl_multi_wakeup(sender.multi);
}

enum error_code sandbox_webhooks_start(struct error *error)
{
    CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    sender.multi = curl_multi_init();
    /* Not flushed: what a crash of PostgreSQL takes back is sent again. */
    sender.db = pg_new(sandbox_database(), "cathay sandbox webhooks", "SET synchronous_commit = off");
    sender.arena = arena_new();
    sender.under_way = 0;
    atomic_store(&sender.stopping, false);
    CHECK(sender.multi);
    enum error_code code = sandbox_delivery_revive(sender.db, NULL);
    if (code)
        error_set(error, code, "sandbox: %s", pg_error(sender.db)->detail);
    else
        CHECK(thread_start(&sender.thread, "sender", sender_main, NULL));
    sender.started = code == ERR_OK;
    return code;
}

void sandbox_webhooks_stop(void)
{
    if (!sender.multi)
        return;
    if (sender.started) {
        atomic_store(&sender.stopping, true);
        curl_multi_wakeup(sender.multi);
        pthread_join(sender.thread, NULL);
    }
    sender.started = false;
    /* What is under way is due again at the next start. */
    for (size_t i = 0; i < WEBHOOKS_AT_ONCE; i++)
        if (sender.sendings[i])
            sending_free(sender.sendings[i]);
    curl_multi_cleanup(sender.multi);
    pg_free(sender.db);
    arena_free(sender.arena);
    sender.multi = NULL;
}
