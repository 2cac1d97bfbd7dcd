/* The rate limits of a request: whose quotas bind it, and who is asked.
 *
 * Whatever is asked uses the quota of the client's address: cached answers, addresses that are none, what
 * cannot be read, webhooks. It is asked before a request is looked at, locally only, and told when little is
 * left. Beyond it, by class of operation:
 *
 * Who is signed in is bound by a quota of her own and by one of her address, which all customers there share;
 * strangers by one of their address. Who signs in is also bound by the account that is named: attempts from
 * many addresses meet in one quota. So that a stranger who uses it up does not lock the owner out, a success
 * makes the address known to the account, and from there another quota counts, that of account and address
 * together. Who gives the current password of the account that she is signed in to guesses as well: such
 * attempts have a quota of that account, whatever the address and the session. Names of accounts are hashed
 * with a key of the shop's: Redis does not hold them.
 *
 * The local limiter is asked for every request, as soon as the head is there. What it refuses the shared one
 * would refuse as well, since this server's requests are a part of all; so a flood costs Redis nothing, and
 * when Redis goes away the local one knows its callers already. The account is the exception: only Redis
 * knows of known addresses, so there the local verdict counts only without Redis. */
#include "api.h"
#include "base/check.h"
#include "base/config.h"
#include "http/server_internal.h"

#include <sodium.h>
#include <stdio.h>

#define ACCOUNT_KNOWN_S ((int64_t)30 * 24 * 3600)

struct limiter_options limits_configured(void)
{
    const struct config *settings = config();
    return (struct limiter_options){.scale_percent = settings->limit_scale_percent,
                                    .requests = {[API_LIMIT_NONE] = settings->limit_address,
                                                 [API_LIMIT_READ] = settings->limit_read,
                                                 [API_LIMIT_WRITE] = settings->limit_write,
                                                 [API_LIMIT_SIGN_IN] = settings->limit_sign_in,
                                                 [API_LIMIT_CHECKOUT] = settings->limit_checkout,
                                                 [API_LIMIT_PAYMENT] = settings->limit_payment},
                                    .address_times = settings->limit_address_times,
                                    .account_attempts = settings->limit_account_attempts};
}

static bool is_limited(const struct http_exchange *x)
{
    return x->server->limiter && config()->limit_scale_percent > 0 && x->req.route->limit != API_LIMIT_NONE;
}

static void key_add(struct http_exchange *x, enum limiter_scope scope, const void *bytes, size_t len)
{
    struct str who = {bytes, len};
    CHECK(x->limit_key_count < LIMITER_KEYS_MAX);
    x->limit_keys[x->limit_key_count++] = (struct limiter_key){x->req.route->limit, scope, who};
}

static enum error_code limit_apply(struct http_exchange *x, struct limiter_verdict verdict)
{
    struct request *req = &x->req;
    x->limit = verdict;
    if (verdict.allowed)
        return ERR_OK;
    counter_add(&x->loop->metrics.limits_refused, 1);
    req->error.retry_after_s = verdict.retry_after_s;
    return error_set(&req->error, ERR_RATE_LIMITED, "At most %lld requests of %s in %lld s",
                     (long long)verdict.quota, req->route ? "this kind" : "any kind from one address",
                     (long long)verdict.window_s);
}

enum error_code limits_address(struct http_exchange *x)
{
    const struct http_server *server = x->server;
    if (!server->limiter || config()->limit_scale_percent == 0 ||
        (server->exempt.count && address_set_has(&server->exempt, &x->client)))
        return ERR_OK;
    struct limiter_key key = {.limit = API_LIMIT_NONE,
                              .scope = LIMITER_EVERYTHING,
                              .who = {(const char *)x->network.bytes, sizeof x->network.bytes}};
    struct limiter_verdict verdict;
    if (limiter_passes(server->limiter, &key, x->req.started_us, &verdict))
        return ERR_OK;
    return limit_apply(x, verdict);
}

enum error_code limits_head(struct http_exchange *x)
{
    struct request *req = &x->req;
    req->phase = PHASE_RATE_LIMIT;
    if (!is_limited(x))
        return ERR_OK;
    if (uuid_is_zero(req->principal.user_id.uuid)) {
        key_add(x, LIMITER_STRANGER, x->network.bytes, sizeof x->network.bytes);
    } else {
        key_add(x, LIMITER_CUSTOMER, req->principal.user_id.uuid.bytes, 16);
        key_add(x, LIMITER_ADDRESS, x->network.bytes, sizeof x->network.bytes);
    }
    return limit_apply(x,
                       limiter_ask(x->server->limiter, x->limit_keys, x->limit_key_count, req->started_us));
}

/* ---- accounts ---- */

struct account_hash {
    unsigned char bytes[16];
};

/* The contract has brought the address into its one form (x-text: email). */
static struct account_hash account_hash(const struct http_exchange *x, bool with_address)
{
    bool own = x->req.route->limit_caller;
    const struct uuid *user = &x->req.principal.user_id.uuid;
    struct str name = own ? (struct str){(const char *)user->bytes, sizeof user->bytes}
                          : x->req.route->limit_account(x->input);
    struct account_hash hash, key;
    const char *secret = config()->token_keys;
    crypto_generichash(key.bytes, sizeof key.bytes, (const unsigned char *)secret, strlen(secret), NULL, 0);
    crypto_generichash_state state;
    crypto_generichash_init(&state, key.bytes, sizeof key.bytes, sizeof hash.bytes);
    unsigned char which = own ? 2 : with_address;
    crypto_generichash_update(&state, &which, 1);
    crypto_generichash_update(&state, (const unsigned char *)name.ptr, name.len);
    if (with_address)
        crypto_generichash_update(&state, x->network.bytes, sizeof x->network.bytes);
    crypto_generichash_final(&state, hash.bytes, sizeof hash.bytes);
    return hash;
}

static size_t account_name(char name[SHARED_LIMITER_NAME_MAX], const char *prefix,
                           const struct account_hash *hash)
{
    char hex[2 * sizeof hash->bytes + 1];
    sodium_bin2hex(hex, sizeof hex, hash->bytes, sizeof hash->bytes);
    int len = snprintf(name, SHARED_LIMITER_NAME_MAX, "limit:%s:%s", prefix, hex);
    CHECK(len > 0 && len < SHARED_LIMITER_NAME_MAX);
    return (size_t)len;
}

static bool names_account(const struct http_exchange *x)
{
    return is_limited(x) && (x->req.route->limit_account || x->req.route->limit_caller);
}

/* The account's key joins the others. */
static void account_join(struct http_exchange *x)
{
    struct account_hash *hash = ARENA_NEW(x->req.arena, struct account_hash);
    *hash = account_hash(x, false);
    key_add(x, LIMITER_ACCOUNT, hash->bytes, sizeof hash->bytes);
    x->account_limit =
        limiter_ask(x->server->limiter, &x->limit_keys[x->limit_key_count - 1], 1, x->req.started_us);
}

/* The last key is the account's. */
static void account_question(const struct http_exchange *x, struct shared_question *question)
{
    struct account_hash here = account_hash(x, true);
    question->excuse_len = account_name(question->excuse, "known", &here);
    question->instead_len = account_name(question->instead, "sign-in-account", &here);
}

void limits_succeeded(struct http_exchange *x)
{
    if (!x->loop->shared_limiter || !x->req.route || !names_account(x) || !x->input ||
        x->req.route->limit_caller)
        return;
    char name[SHARED_LIMITER_NAME_MAX];
    struct account_hash here = account_hash(x, true);
    size_t len = account_name(name, "known", &here);
    shared_limiter_remember(x->loop->shared_limiter, (struct str){name, len}, ACCOUNT_KNOWN_S);
}

/* ---- the shared limiter ---- */

/* "limit:checkout:0192…", "limit:checkout-address:203.0.113.7", "limit:sign-in-account:4f1c…" */
static void limit_name(const struct http_exchange *x, const struct limiter_key *key,
                       struct shared_limit *limit)
{
    char text[64];
    size_t len = 32;
    limit->terms = limiter_terms(x->server->limiter, key->limit, key->scope);
    if (key->scope == LIMITER_CUSTOMER)
        uuid_hex(x->req.principal.user_id.uuid, text);
    else if (key->scope == LIMITER_ACCOUNT)
        sodium_bin2hex(text, sizeof text, (const unsigned char *)key->who.ptr, key->who.len);
    else
        len = address_format(&x->network, text);
    int written =
        snprintf(limit->name, sizeof limit->name, "limit:%s:%.*s", limit->terms.policy, (int)len, text);
    CHECK(written > 0 && (size_t)written < sizeof limit->name);
    limit->name_len = (size_t)written;
}

static bool shared_asked(struct http_exchange *x)
{
    if (!x->loop->shared_limiter || !limiter_is_shared(x->server->limiter, x->req.route->limit)) {
        counter_add(&x->loop->metrics.limits_local, 1);
        return false;
    }
    struct shared_question question = {.count = x->limit_key_count};
    for (size_t i = 0; i < x->limit_key_count; i++)
        limit_name(x, &x->limit_keys[i], &question.limits[i]);
    if (names_account(x) && !x->req.route->limit_caller)
        account_question(x, &question);
    x->away = shared_limiter_ask(x->loop->shared_limiter, &question, x);
    if (!x->away)
        counter_add(&x->loop->metrics.limits_fallback, 1);
    return x->away;
}

enum error_code limits_message(struct http_exchange *x, bool *asked)
{
    *asked = false;
    if (!is_limited(x))
        return ERR_OK;
    if (names_account(x)) {
        enum error_code code = phases_decode(x);
        if (code)
            return code;
        account_join(x);
    }
    *asked = shared_asked(x);
    return !*asked && names_account(x) ? limit_apply(x, x->account_limit) : ERR_OK;
}

enum error_code limits_decided(struct http_exchange *x, const struct shared_answer *answer)
{
    counter_add(answer->known ? &x->loop->metrics.limits_redis : &x->loop->metrics.limits_fallback, 1);
    if (answer->known)
        return limit_apply(x, limiter_verdict(x->server->limiter, x->limit_keys, answer->ahead_us,
                                              x->limit_key_count, answer->allowed));
    return names_account(x) ? limit_apply(x, x->account_limit) : ERR_OK;
}
