/* The gateway telling of payments: signed webhooks over HTTP, as many at a time as there are connections,
 * each signed when it is sent. One thread, epoll. Loopback only, bounded in count and time. Ends when the
 * database says that every order is confirmed, and prints one line of JSON.
 *
 * It stands in the server's configuration (DATABASE_URL, CATHAY_LISTEN_PORT, CATHAY_STRIPE_WEBHOOK_SECRET)
 * and reads what waits for payment from the database; bench/confirm.sql has given the payments their intents.
 */
#include "arguments.h"
#include "client.h"
#include "measure.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/hmac.h"
#include "bench_sql.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define POLL_US 20000

static struct {
    int64_t connections, most, wait_s, server, worker;
} options = {.connections = 256, .most = 1000000, .wait_s = 60};

static struct bench_payments_rows payments;
static struct histogram latencies;
static struct client *clients;
static int64_t sent_us[CLIENTS_MAX];
static size_t next_payment;
static int64_t statuses[600];

/* An event with the members that Stripe sends, as the sandbox does. */
static size_t make_body(const struct bench_payments_row *payment, int64_t now_s, char *out, size_t size)
{
    char order[ID_TEXT_MAX], id[ID_TEXT_MAX];
    order_id_text(payment->order_id, order);
    payment_id_text(payment->payment_id, id);
    char currency[4] = {payment->currency.ptr[0] | 32, payment->currency.ptr[1] | 32,
                        payment->currency.ptr[2] | 32, 0};
    int len = snprintf(
        out, size,
        "{\"id\":\"evt_%s\",\"object\":\"event\",\"api_version\":\"2024-06-20\",\"created\":%lld,\"data\":{"
        "\"object\":{\"id\":\"%.*s\",\"object\":\"payment_intent\",\"amount\":%lld,\"amount_capturable\":0,"
        "\"amount_details\":{\"tip\":{}},\"amount_received\":%lld,\"application\":null,"
        "\"application_fee_amount\":null,\"automatic_payment_methods\":null,\"canceled_at\":null,"
        "\"cancellation_reason\":null,\"capture_method\":\"automatic\","
        "\"client_secret\":\"%.*s_secret_9XbYpQ2m\",\"confirmation_method\":\"automatic\",\"created\":%lld,"
        "\"currency\":\"%s\",\"customer\":null,\"description\":\"Order %lld\",\"invoice\":null,"
        "\"last_payment_error\":null,\"latest_charge\":\"ch_%s\",\"livemode\":false,"
        "\"metadata\":{\"order_id\":\"%s\",\"payment_id\":\"%s\"},\"next_action\":null,\"on_behalf_of\":null,"
        "\"payment_method\":\"pm_%s\",\"payment_method_options\":{},\"payment_method_types\":[\"alipay\"],"
        "\"processing\":null,\"receipt_email\":null,\"review\":null,\"setup_future_usage\":null,"
        "\"shipping\":null,\"source\":null,\"statement_descriptor\":null,"
        "\"statement_descriptor_suffix\":null,\"status\":\"succeeded\",\"transfer_data\":null,"
        "\"transfer_group\":null}},\"livemode\":false,\"pending_webhooks\":1,\"request\":{\"id\":null,"
        "\"idempotency_key\":null},\"type\":\"payment_intent.succeeded\"}",
        id, (long long)now_s, STR_ARG(payment->intent_id), (long long)payment->amount_minor,
        (long long)payment->amount_minor, STR_ARG(payment->intent_id), (long long)now_s, currency,
        (long long)payment->number, id, order, id, id);
    CHECK(len > 0 && (size_t)len < size);
    return (size_t)len;
}

static size_t make_request(char *out, const struct bench_payments_row *payment)
{
    char body[4096], seconds[24], signature[HMAC_HEX_LEN + 1];
    int64_t now_s = clock_wall_us() / 1000000;
    size_t len = make_body(payment, now_s, body, sizeof body);
    snprintf(seconds, sizeof seconds, "%lld", (long long)now_s);
    struct str pieces[] = {str_from(seconds), STR("."), {body, len}};
    hmac_sha256_hex(str_from(config()->stripe_webhook_secret), pieces, 3, signature);
    int written = snprintf(out, CLIENT_REQUEST_MAX,
                           "POST /v1/webhooks/stripe HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                           "Stripe-Signature: t=%s,v1=%s\r\nContent-Type: application/json\r\n"
                           "Content-Length: %zu\r\n\r\n%.*s",
                           seconds, signature, len, (int)len, body);
    CHECK(written > 0 && written < CLIENT_REQUEST_MAX);
    return (size_t)written;
}

static void send_next(struct client *client)
{
    if (next_payment == payments.count)
        return;
    size_t len = make_request(client->request, &payments.items[next_payment++]);
    sent_us[client - clients] = clock_monotonic_us();
    client_send(client, len);
}

static void answered(struct client *client, int status)
{
    if (status != 200 && statuses[status]++ == 0)
        fprintf(stderr, "confirm: %.*s\n", (int)client->answer_len, client->answer);
    else if (status == 200)
        statuses[status]++;
    histogram_add(&latencies, clock_monotonic_us() - sent_us[client - clients]);
    if (client->socket >= 0)
        send_next(client);
}

static bool all_confirmed(struct pg *db, struct arena *arena)
{
    struct bench_waiting_args args = {payments.items[payments.count - 1].payment_id};
    struct bench_waiting_row row;
    bool found;
    CHECK(bench_waiting(db, arena, args, &row, &found) == ERR_OK);
    return !row.waiting;
}

/* Sends all of them; whether every order was confirmed in time. */
static bool tell(struct pg *db, struct arena *arena, int64_t until_us)
{
    for (int64_t i = 0; i < options.connections; i++)
        send_next(&clients[i]);
    while (clients_waiting() > 0 && clock_monotonic_us() < until_us)
        clients_turn(100000);
    bool done = all_confirmed(db, arena);
    while (!done && clock_monotonic_us() < until_us) {
        usleep(POLL_US);
        done = all_confirmed(db, arena);
    }
    return done;
}

static void report(const struct sample *before, const struct sample *after, bool done, int64_t worker_us)
{
    printf("{\"connections\":%lld,\"payments\":%zu,\"all_confirmed\":%s,\"worker_cpu_us\":%.2f,"
           "\"p50_ms\":%.2f,\"p99_ms\":%.2f,",
           (long long)options.connections, payments.count, done ? "true" : "false",
           (double)worker_us / (double)payments.count, (double)histogram_quantile_us(&latencies, 0.5) / 1e3,
           (double)histogram_quantile_us(&latencies, 0.99) / 1e3);
    sample_print(before, after, (int64_t)payments.count);
    fputs(",\"statuses\":{", stdout);
    for (int i = 0, any = 0; i < 600; i++)
        if (statuses[i])
            printf("%s\"%d\":%lld", any++ ? "," : "", i, (long long)statuses[i]);
    puts("}}");
}

int main(int argc, char **argv)
{
    static const struct argument table[] = {{"connections", &options.connections, 1, CLIENTS_MAX, NULL},
                                            {"most", &options.most, 1, 10000000, NULL},
                                            {"wait", &options.wait_s, 1, 600, NULL},
                                            {"server", &options.server, 0, INT32_MAX, NULL},
                                            {"worker", &options.worker, 0, INT32_MAX, NULL}};
    CHECK(sodium_init() >= 0);
    arguments_read(table, sizeof table / sizeof table[0], argc, argv);
    struct error error = {.code = ERR_OK};
    struct arena *arena = arena_new();
    struct pg *db = pg_new(config_load(&error) ? "" : config()->database_url, "bench", NULL);
    if (error.code || bench_payments(db, arena, (struct bench_payments_args){options.most}, &payments) ||
        payments.count == 0) {
        fprintf(stderr, "confirm: %s\n", error.code ? error.detail : "there are no payments that wait");
        return 2;
    }
    clients = clients_connect((size_t)options.connections, answered);
    pid_t worker = (pid_t)options.worker;
    struct sample before, after;
    CHECK(sample_take(db, (pid_t)options.server, &before) == ERR_OK);
    int64_t worker_us = worker ? process_cpu_us(worker, false) : 0;
    bool done = tell(db, arena, before.at_us + options.wait_s * 1000000);
    CHECK(sample_take(db, (pid_t)options.server, &after) == ERR_OK);
    report(&before, &after, done, worker ? process_cpu_us(worker, false) - worker_us : 0);
    clients_free(clients);
    pg_free(db);
    arena_free(arena);
    return 0;
}
