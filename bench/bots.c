/* Bots at a flash sale: each connection is one that asks again as soon as it is answered, by turns
 *
 *   replay   the same purchase under the same key
 *   hammer   a purchase under a new key
 *   change   another body under the key of the first
 *   tamper   its own token with one character changed
 *   forge    a token for somebody else, signed with a key of its own
 *   late     its own token, which expired an hour ago
 *
 * until --seconds are over or SIGTERM. One line of JSON: answers by kind and status, and `got_in`: answers
 * other than refusals to tokens that are not good, which must be none. A bot whose connection is lost tries
 * again like anybody. */
#include "client.h"
#include "program.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/config.h"
#include "bench_sql.h"
#include "shop/accounts/accounts_token.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define BOTS_MAX 1024
#define RECONNECT_US 50000

enum kind { KIND_REPLAY, KIND_HAMMER, KIND_CHANGE, KIND_TAMPER, KIND_FORGE, KIND_LATE, KIND_COUNT };
static const char *const kind_names[] = {"replay", "hammer", "change", "tamper", "forge", "late"};

struct bot {
    char user[ID_TEXT_MAX];
    struct str token, tampered, forged, late;
    int64_t turn;
    enum kind kind; /* of the request in flight */
};

static struct {
    const char *sale;
    int64_t bots, first, victims, seconds;
} options = {.bots = 32, .victims = 1000, .seconds = 10};

static struct bot *bots;
static struct client *clients;
static int64_t counts[KIND_COUNT][STATUSES], got_in;

static void send_next(struct client *client)
{
    struct bot *bot = &bots[client - clients];
    bot->kind = (enum kind)(bot->turn++ % KIND_COUNT);
    struct str token = bot->kind == KIND_TAMPER  ? bot->tampered
                       : bot->kind == KIND_FORGE ? bot->forged
                       : bot->kind == KIND_LATE  ? bot->late
                                                 : bot->token;
    bool once = bot->kind == KIND_REPLAY || bot->kind == KIND_CHANGE;
    char body[256];
    int body_len = snprintf(body, sizeof body,
                            "{\"quantity\":1,%s\"address\":{\"name\":\"Bot\",\"line1\":\"1 Wire "
                            "Road\",\"city\":\"Hong Kong\",\"country\":\"HK\"}}",
                            bot->kind == KIND_CHANGE ? "\"points\":1," : "");
    int written =
        snprintf(client->request, CLIENT_REQUEST_MAX,
                 "POST /v1/sales/%s/orders HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                 "Authorization: Bearer %.*s\r\nIdempotency-Key: bot-%s-%lld\r\n"
                 "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                 options.sale, STR_ARG(token), bot->user, once ? 0LL : (long long)bot->turn, body_len, body);
    CHECK(written > 0 && (size_t)written < CLIENT_REQUEST_MAX);
    client_send(client, (size_t)written);
}

static void answered(struct client *client, int status)
{
    enum kind kind = bots[client - clients].kind;
    counts[kind][status]++;
    if (kind >= KIND_TAMPER && status >= 200 && status < 300)
        got_in++;
    if (status && !program_stopping())
        send_next(client);
}

static struct str sign(struct arena *arena, const struct token_keys *keys, struct user_id user_id,
                       int64_t from_s)
{
    struct token token = {
        .principal = {.role = ROLE_CUSTOMER, .user_id = user_id, .session_id = {user_id.uuid}},
        .issued_s = from_s,
        .expires_s = from_s + 900};
    return token_sign(arena, keys, str_from(config()->public_url), &token);
}

static void make_bot(struct bot *bot, struct arena *arena, struct user_id own, struct user_id victim)
{
    static struct token_keys keys, stolen;
    int64_t now_s = clock_wall_us() / 1000000;
    if (keys.count == 0) {
        CHECK(token_keys_parse(str_from(config()->token_keys), &keys, NULL) == ERR_OK);
        stolen = keys; /* the name of the shop's key, and another key behind it */
        crypto_sign_keypair(stolen.items[0].public_key, stolen.items[0].secret_key);
    }
    user_id_text(own, bot->user);
    bot->token = sign(arena, &keys, own, now_s);
    bot->late = sign(arena, &keys, own, now_s - 4500);
    bot->forged = sign(arena, &stolen, victim, now_s);
    char *tampered = arena_cstr(arena, bot->token);
    char *last = tampered + bot->token.len - 5;
    *last = *last == 'A' ? 'B' : 'A';
    bot->tampered = (struct str){tampered, bot->token.len};
}

static void prepare(const struct program *program)
{
    struct bench_buyers_rows own, victims;
    struct bench_buyers_args bots_wanted = {options.first, options.bots}, people = {0, options.victims};
    CHECK(bench_buyers(program->db, program->arena, bots_wanted, &own) == ERR_OK &&
          bench_buyers(program->db, program->arena, people, &victims) == ERR_OK);
    if (own.count < (size_t)options.bots || victims.count == 0)
        program_give_up(program, "bench/crowd.sql made fewer buyers than that");
    bots = calloc((size_t)options.bots, sizeof *bots);
    CHECK(bots);
    for (size_t i = 0; i < (size_t)options.bots; i++)
        make_bot(&bots[i], program->arena, own.items[i].user_id, victims.items[i % victims.count].user_id);
}

static void run(void)
{
    int64_t until_us = clock_monotonic_us() + options.seconds * 1000000, next_us = 0;
    clients = clients_connect((size_t)options.bots, answered);
    for (int64_t i = 0; i < options.bots; i++)
        send_next(&clients[i]);
    for (int64_t now_us; clients_waiting() > 0 || !program_stopping();) {
        clients_turn(RECONNECT_US);
        now_us = clock_monotonic_us();
        if (now_us > until_us)
            program_stop();
        if (now_us < next_us || program_stopping())
            continue;
        next_us = now_us + RECONNECT_US;
        for (int64_t i = 0; i < options.bots; i++)
            if (clients[i].socket < 0 && client_reconnect(&clients[i]))
                send_next(&clients[i]);
    }
}

static void report(void)
{
    printf("{\"got_in\":%lld", (long long)got_in);
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        printf(",\"%s\":", kind_names[kind]);
        statuses_print(counts[kind]);
    }
    puts("}");
}

int main(int argc, char **argv)
{
    static const struct argument table[] = {{"sale", .text = &options.sale},
                                            {"bots", &options.bots, 1, BOTS_MAX, NULL},
                                            {"first", &options.first, 0, 1000000, NULL},
                                            {"victims", &options.victims, 1, 100000, NULL},
                                            {"seconds", &options.seconds, 1, 600, NULL}};
    struct program program = program_begin(table, sizeof table / sizeof table[0], argc, argv);
    CHECK(options.sale);
    program_await_term();
    prepare(&program);
    run();
    report();
    clients_free(clients);
    free(bots);
    program_end(&program);
    return 0;
}
