/* The gateway telling of payments: signed webhooks over HTTP, as many at a time as there are connections,
 * each signed when it is sent. One thread, epoll. Loopback only, bounded in count and time. Ends when the
 * database says that every order is confirmed, and prints one line of JSON: what it took until the last
 * answer, or, where that was not all, until then; looking for orders that wait is not in it.
 *
 * It tells of what waits for payment in the database when it begins; bench/confirm.sql has given these
 * payments their intents. With --follow it tells of orders as they are placed, --after-ms after each, until
 * SIGTERM; then of the rest. The shop has not noted an intent for these: their metadata say whose they are.
 *
 * It stands in the server's configuration (program.h, CATHAY_STRIPE_WEBHOOK_SECRET). */
#include "client.h"
#include "program.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/hmac.h"
#include "bench_sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define POLL_US 20000

static struct {
    int64_t connections, most, wait_s, server, worker, follow, after_ms;
} options = {.connections = 256, .most = 1000000, .wait_s = 60, .after_ms = 500};

static const struct bench_payments_row **payments; /* to tell of, in the order of placing */
static size_t payment_count, next_payment;
static struct histogram latencies, behind; /* of a webhook, and since its order was placed */
static struct client *clients;
static struct sent {
    int64_t at_us;
    const struct bench_payments_row *payment;
} sent[CLIENTS_MAX];
static size_t idle[CLIENTS_MAX], idle_count; /* clients without a webhook */
static int64_t told, statuses[STATUSES];

#define BODY_MAX 4096

/* An event with the members that Stripe sends, as the sandbox does. What is behind it. */
static char *put_body(char *at, const struct bench_payments_row *payment, int64_t now_s)
{
    char order[ID_TEXT_MAX], id[ID_TEXT_MAX];
    struct str order_id = {order, order_id_text(payment->order_id, order)};
    struct str payment_id = {id, payment_id_text(payment->payment_id, id)};
    char currency[3] = {payment->currency.ptr[0] | 32, payment->currency.ptr[1] | 32,
                        payment->currency.ptr[2] | 32};
    at = str_put(str_put(at, STR("{\"id\":\"evt_")), payment_id);
    at = str_put(at, STR("\",\"object\":\"event\",\"api_version\":\"2024-06-20\",\"created\":"));
    at = str_put(str_put_number(at, now_s), STR(",\"data\":{\"object\":{\"id\":\""));
    at = str_put(at, payment->intent_id);
    at = str_put(at, STR("\",\"object\":\"payment_intent\",\"amount\":"));
    at = str_put_number(at, payment->amount_minor);
    at = str_put(at, STR(",\"amount_capturable\":0,\"amount_details\":{\"tip\":{}},\"amount_received\":"));
    at = str_put_number(at, payment->amount_minor);
    at = str_put(at, STR(",\"application\":null,\"application_fee_amount\":null,"
                         "\"automatic_payment_methods\":null,\"canceled_at\":null,"
                         "\"cancellation_reason\":null,\"capture_method\":\"automatic\","
                         "\"client_secret\":\""));
    at = str_put(str_put(at, payment->intent_id), STR("_secret_9XbYpQ2m\","));
    at = str_put(at, STR("\"confirmation_method\":\"automatic\",\"created\":"));
    at = str_put(str_put_number(at, now_s), STR(",\"currency\":\""));
    at = str_put(at, (struct str){currency, sizeof currency});
    at = str_put(at, STR("\",\"customer\":null,\"description\":\"Order "));
    at = str_put_number(at, payment->number);
    at = str_put(at, STR("\",\"invoice\":null,\"last_payment_error\":null,\"latest_charge\":\"ch_"));
    at = str_put(str_put(at, payment_id), STR("\",\"livemode\":false,\"metadata\":{\"order_id\":\""));
    at = str_put(str_put(at, order_id), STR("\",\"payment_id\":\""));
    at = str_put(str_put(at, payment_id), STR("\"},\"next_action\":null,\"on_behalf_of\":null,"));
    at = str_put(str_put(at, STR("\"payment_method\":\"pm_")), payment_id);
    return str_put(
        at, STR("\",\"payment_method_options\":{},\"payment_method_types\":[\"alipay\"],"
                "\"processing\":null,\"receipt_email\":null,\"review\":null,\"setup_future_usage\":null,"
                "\"shipping\":null,\"source\":null,\"statement_descriptor\":null,"
                "\"statement_descriptor_suffix\":null,\"status\":\"succeeded\",\"transfer_data\":null,"
                "\"transfer_group\":null}},\"livemode\":false,\"pending_webhooks\":1,\"request\":{\"id\":"
                "null,\"idempotency_key\":null},\"type\":\"payment_intent.succeeded\"}"));
}

static size_t make_request(char *out, const struct bench_payments_row *payment)
{
    char body[BODY_MAX], seconds[24], signature[HMAC_HEX_LEN + 1];
    int64_t now_s = clock_wall_us() / 1000000;
    CHECK(payment->intent_id.len < BODY_MAX / 8);
    struct str text = {body, (size_t)(put_body(body, payment, now_s) - body)};
    struct str at_s = {seconds, (size_t)(str_put_number(seconds, now_s) - seconds)};
    hmac_sha256_hex(str_from(config()->stripe_webhook_secret), (struct str[]){at_s, STR("."), text}, 3,
                    signature);
    char *at = str_put(out, STR("POST /v1/webhooks/stripe HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                                "Stripe-Signature: t="));
    at = str_put(str_put(at, at_s), STR(",v1="));
    at = str_put(at, (struct str){signature, HMAC_HEX_LEN});
    at = str_put(at, STR("\r\nContent-Type: application/json\r\nContent-Length: "));
    at = str_put(str_put_number(at, (int64_t)text.len), STR("\r\n\r\n"));
    return (size_t)(str_put(at, text) - out);
}

static void send_next(size_t number)
{
    if (next_payment == payment_count) {
        idle[idle_count++] = number;
        return;
    }
    sent[number] = (struct sent){clock_monotonic_us(), payments[next_payment++]};
    client_send(&clients[number], make_request(clients[number].request, sent[number].payment));
}

static void answered(struct client *client, int status)
{
    size_t number = (size_t)(client - clients);
    if (status != 200 && statuses[status] == 0)
        fprintf(stderr, "confirm: %.*s\n", (int)client->answer_len, client->answer);
    statuses[status]++;
    told++;
    histogram_add(&latencies, clock_monotonic_us() - sent[number].at_us);
    histogram_add(&behind,
                  clock_wall_us() - (int64_t)uuid_time_ms(sent[number].payment->payment_id.uuid) * 1000);
    if (client->socket >= 0)
        send_next(number);
}

/* What waits behind the last one that is known, and was placed so long ago. */
static void learn(const struct program *program, int64_t after_ms)
{
    struct payment_id last = {0};
    if (payment_count > 0)
        last = payments[payment_count - 1]->payment_id;
    struct bench_payments_rows rows;
    struct bench_payments_args args = {last, after_ms, options.most - (int64_t)payment_count};
    if (bench_payments(program->db, program->arena, args, &rows))
        program_give_up(program, "payments cannot be read");
    for (size_t i = 0; i < rows.count; i++)
        payments[payment_count++] = &rows.items[i];
}

static void send_all(void)
{
    while (idle_count > 0 && next_payment < payment_count)
        send_next(idle[--idle_count]);
}

static bool all_confirmed(const struct program *program)
{
    struct bench_waiting_args args = {payments[payment_count - 1]->payment_id};
    struct bench_waiting_row row;
    bool found;
    CHECK(bench_waiting(program->db, program->arena, args, &row, &found) == ERR_OK);
    return !row.waiting;
}

/* Tells of orders while others place them. */
static void follow(const struct program *program, int64_t until_us)
{
    for (int64_t next_us = 0, now_us; !program_stopping() && (now_us = clock_monotonic_us()) < until_us;) {
        if (now_us >= next_us) {
            learn(program, options.after_ms);
            send_all();
            next_us = now_us + POLL_US;
        }
        clients_turn(next_us - now_us);
    }
}

/* Tells of all that waits; whether every order was confirmed in time. `after` is of before that was asked. */
static bool finish(const struct program *program, int64_t until_us, struct sample *after)
{
    send_all();
    while (clients_waiting() > 0 && clock_monotonic_us() < until_us)
        clients_turn(100000);
    for (;;) {
        CHECK(sample_take(program->db, (pid_t)options.server, after) == ERR_OK);
        if (all_confirmed(program))
            return true;
        if (clock_monotonic_us() >= until_us)
            return false;
        usleep(POLL_US);
    }
}

static double ms(const struct histogram *histogram, double share)
{
    return (double)histogram_quantile_us(histogram, share) / 1e3;
}

static void report(const struct course *course, bool done, int64_t told_before, double caught_up_ms,
                   int64_t worker_us)
{
    printf("{\"connections\":%lld,\"payments\":%zu,\"all_confirmed\":%s,\"worker_cpu_us\":%.2f,"
           "\"p50_ms\":%.2f,\"p99_ms\":%.2f,",
           (long long)options.connections, payment_count, done ? "true" : "false",
           (double)worker_us / (double)payment_count, ms(&latencies, 0.5), ms(&latencies, 0.99));
    if (options.follow)
        printf("\"told_meanwhile\":%lld,\"behind_p50_ms\":%.1f,\"behind_p99_ms\":%.1f,\"caught_up_ms\":%.1f,",
               (long long)told_before, ms(&behind, 0.5), ms(&behind, 0.99), caught_up_ms);
    sample_print(&course->before, &course->after, (int64_t)payment_count);
    fputs(",\"statuses\":", stdout);
    statuses_print(statuses);
    puts("}");
}

int main(int argc, char **argv)
{
    static const struct argument table[] = {{"connections", &options.connections, 1, CLIENTS_MAX, NULL},
                                            {"most", &options.most, 1, 10000000, NULL},
                                            {"wait", &options.wait_s, 1, 600, NULL},
                                            {"server", &options.server, 0, INT32_MAX, NULL},
                                            {"worker", &options.worker, 0, INT32_MAX, NULL},
                                            {"follow", &options.follow, 0, 1, NULL},
                                            {"after-ms", &options.after_ms, 0, 60000, NULL}};
    struct program program = program_begin(table, sizeof table / sizeof table[0], argc, argv);
    /* Payments are read by their key, from the last one on, also while nothing is known of the new table. */
    CHECK(pg_execute(program.db,
                     "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off; "
                     "SET enable_hashjoin = off; SET enable_mergejoin = off") == ERR_OK);
    program_await_term();
    payments = calloc((size_t)options.most, sizeof(const struct bench_payments_row *));
    CHECK(payments);
    clients = clients_connect((size_t)options.connections, answered);
    while (idle_count < (size_t)options.connections) {
        idle[idle_count] = idle_count;
        idle_count++;
    }
    if (!options.follow)
        learn(&program, 0);
    pid_t server = (pid_t)options.server, worker = (pid_t)options.worker;
    struct course course = {0};
    CHECK(sample_take(program.db, server, &course.before) == ERR_OK);
    int64_t until_us = course.before.at_us + options.wait_s * 1000000;
    int64_t worker_us = worker ? process_cpu_us(worker, false) : 0;
    if (options.follow)
        follow(&program, until_us);
    int64_t told_meanwhile = told;
    if (options.follow)
        learn(&program, 0);
    if (payment_count == 0)
        program_give_up(&program, "there are no payments that wait");
    bool done = finish(&program, until_us, &course.after);
    int64_t asked_us = clock_monotonic_us() - course.after.at_us; /* since then */
    double caught_up_ms = (double)(clock_wall_us() - asked_us) / 1e3 -
                          (double)uuid_time_ms(payments[payment_count - 1]->payment_id.uuid);
    report(&course, done, told_meanwhile, caught_up_ms,
           worker ? process_cpu_us(worker, false) - worker_us : 0);
    clients_free(clients);
    free(payments);
    program_end(&program);
    return 0;
}
