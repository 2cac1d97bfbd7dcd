/* The frame: schema, routes of all parts in one table, start and stop. */
#include "sandbox/sandbox.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"
#include "http/server.h"
#include "pg/migrate.h"
#include "sandbox/page.h"
#include "sandbox/sandbox_hooks.h"
#include "sandbox/webhooks.h"
#include "sandbox_sql.h"

#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

extern const struct migration sandbox_schema[];
extern const size_t sandbox_schema_count;

#define SANDBOX_WORKERS 16 /* some may hang by a fault while others answer */
#define SANDBOX_ROUTES_MAX 128
#define SCHEMA_LOCK "2117350431"

struct sandbox {
    struct http_server *server;
    struct api_route *routes;
    size_t started; /* parts */
};

static atomic_bool stopping;

const char *sandbox_database(void)
{
    return config()->sandbox_database_url[0] ? config()->sandbox_database_url : config()->database_url;
}

bool sandbox_is_stopping(void)
{
    return atomic_load(&stopping);
}

void sandbox_sleep_ms(int64_t ms)
{
    int64_t until_us = clock_monotonic_us() + ms * 1000;
    while (!sandbox_is_stopping() && clock_monotonic_us() < until_us)
        nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
}

bool sandbox_decode(const struct api_input *input, struct arena *arena, void **out, struct error *error)
{
    (void)error;
    struct sandbox_input *in = ARENA_NEW(arena, struct sandbox_input);
    in->param_count = input->path_param_count;
    for (size_t i = 0; i < input->path_param_count; i++)
        in->params[i] = input->path_params[i];
    in->query = input->query;
    in->body = input->body;
    *out = in;
    return true;
}

struct str sandbox_id(struct arena *arena, const char *prefix)
{
    char hex[32];
    uuid_hex(uuid_new(), hex);
    return arena_printf(arena, "%s_%.32s", prefix, hex);
}

struct str sandbox_origin(const struct request *req)
{
    struct str host = request_header(req, STR("host"));
    return arena_printf(req->arena, "http://%.*s", STR_ARG(host));
}

void sandbox_faults_take(struct pg *db, struct arena *arena, const char *partner, struct sandbox_use *uses,
                         size_t count)
{
    struct str *names = ARENA_ARRAY(arena, struct str, count);
    for (size_t i = 0; i < count; i++) {
        names[i] = str_from(uses[i].fault);
        uses[i].fails = false;
    }
    struct sandbox_fault_use_args args = {str_from(partner), {names, count}};
    struct sandbox_fault_use_rows rows;
    if (sandbox_fault_use(db, arena, args, &rows) != ERR_OK)
        return;
    for (size_t i = 0; i < rows.count; i++)
        for (size_t u = 0; u < count; u++)
            if (str_equal(rows.items[i].name, names[u])) {
                uses[u].fails = true;
                uses[u].value = rows.items[i].value;
            }
}

enum sandbox_fault sandbox_fault_of_call(struct pg *db, struct arena *arena, const char *partner, int *status)
{
    enum { HANG, ERROR, LOST, REFUSE };
    struct sandbox_use uses[] = {
        {.fault = "api_hang"}, {.fault = "api_error"}, {.fault = "api_lost"}, {.fault = "api_refuse"}};
    sandbox_faults_take(db, arena, partner, uses, 4);
    *status = uses[REFUSE].value >= 400 && uses[REFUSE].value < 500 ? (int)uses[REFUSE].value : 400;
    if (uses[HANG].fails)
        sandbox_sleep_ms(uses[HANG].value);
    if (uses[ERROR].fails)
        return SANDBOX_FAULT_ERROR;
    if (uses[REFUSE].fails)
        return SANDBOX_FAULT_REFUSED;
    return uses[LOST].fails ? SANDBOX_FAULT_LOST : SANDBOX_FAULT_NONE;
}

/* ---- schema ---- */

static void schema_checksum(char out[65])
{
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    for (size_t i = 0; i < sandbox_schema_count; i++)
        crypto_hash_sha256_update(&state, (const unsigned char *)sandbox_schema[i].checksum,
                                  strlen(sandbox_schema[i].checksum));
    unsigned char hash[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_final(&state, hash);
    sodium_bin2hex(out, 65, hash, sizeof hash);
}

static enum error_code schema_make(struct pg *db, void *context)
{
    const char *checksum = context;
    enum error_code code = pg_execute(db, "SELECT pg_advisory_xact_lock(" SCHEMA_LOCK ")");
    struct arena *arena = arena_new();
    struct sandbox_schema_applied_row row = {STR_NONE};
    bool found;
    if (code == ERR_OK)
        code = sandbox_schema_applied(db, arena, &row, &found);
    bool there = code == ERR_OK && str_equal(row.checksum, str_from(checksum));
    if (code == ERR_OK && !there) {
        log_write(LOG_INFO, "sandbox schema is made");
        code = pg_execute(db, "DROP SCHEMA IF EXISTS sandbox CASCADE; "
                              "CREATE SCHEMA sandbox");
        for (size_t i = 0; code == ERR_OK && i < sandbox_schema_count; i++)
            code = pg_execute(db, sandbox_schema[i].sql);
        /* Constant but for the checksum, which is hex digits; COMMENT takes no parameters. */
        struct str comment = arena_printf(arena, "COMMENT ON SCHEMA sandbox IS '%s'", checksum);
        if (code == ERR_OK)
            code = pg_execute(db, comment.ptr);
    }
    arena_free(arena);
    return code;
}

enum error_code sandbox_schema_apply(struct pg *db, struct error *error)
{
    char checksum[65];
    schema_checksum(checksum);
    enum error_code code = pg_transaction(db, schema_make, checksum);
    if (code != ERR_OK)
        return error_set(error, code, "sandbox: its schema could not be made: %s", pg_error(db)->detail);
    return ERR_OK;
}

/* ---- whom it answers ---- */

static bool name_is_listed(struct str name, struct str list)
{
    while (list.ptr && list.len > 0)
        if (str_equal_ignoring_case(str_trim(str_split(&list, ',')), name))
            return true;
    return false;
}

bool sandbox_answers_to(struct str host, const char *listens_on, const char *names)
{
    struct str rest = host, name;
    if (str_starts_with(host, STR("["))) {
        name = str_split(&rest, ']');
        name.len += name.len < host.len; /* the bracket stays */
    } else {
        name = str_split(&rest, ':');
    }
    return str_equal_ignoring_case(name, STR("localhost")) || str_equal(name, STR("127.0.0.1")) ||
           str_equal(name, STR("[::1]")) || str_equal_ignoring_case(name, str_from(listens_on)) ||
           name_is_listed(name, str_from(names));
}

/* A page elsewhere whose name is made to lead to this machine (DNS rebinding) would read the mailbox and
 * press buttons; its requests say their host. */
static enum error_code own_host_only(struct request *req, struct str bearer, struct principal *principal)
{
    (void)bearer, (void)principal; /* partners know keys, not people */
    if (sandbox_answers_to(request_header(req, STR("host")), config()->sandbox_host, config()->sandbox_names))
        return ERR_OK;
    return error_set(&req->error, ERR_FORBIDDEN,
                     "the sandbox answers to localhost, 127.0.0.1 and CATHAY_SANDBOX_NAMES");
}

/* ---- start and stop ---- */

static size_t routes_append(struct sandbox *sandbox, size_t count, const struct api_route *table)
{
    for (; table->path; table++) {
        CHECK(count < SANDBOX_ROUTES_MAX);
        memcpy(&sandbox->routes[count++], table, sizeof *table);
    }
    return count;
}

static size_t routes_gather(struct sandbox *sandbox)
{
    sandbox->routes = calloc(SANDBOX_ROUTES_MAX, sizeof *sandbox->routes);
    CHECK(sandbox->routes);
    size_t count = routes_append(sandbox, 0, page_index_routes);
    count = routes_append(sandbox, count, sandbox_hook_routes);
    for (size_t i = 0; sandbox_parts[i]; i++)
        for (size_t t = 0; sandbox_parts[i]->routes && sandbox_parts[i]->routes[t]; t++)
            count = routes_append(sandbox, count, sandbox_parts[i]->routes[t]);
    return count;
}

static enum error_code parts_start(struct sandbox *sandbox, struct error *error)
{
    struct pg *db = pg_new(sandbox_database(), "cathay sandbox", NULL);
    enum error_code code = sandbox_schema_apply(db, error);
    for (size_t i = 0; code == ERR_OK && sandbox_parts[i]; i++) {
        if (sandbox_parts[i]->start)
            code = sandbox_parts[i]->start(db, error);
        sandbox->started += code == ERR_OK;
    }
    pg_free(db);
    return code;
}

enum error_code sandbox_start(struct sandbox **out, struct error *error)
{
    struct sandbox *sandbox = calloc(1, sizeof *sandbox);
    CHECK(sandbox && sodium_init() >= 0);
    atomic_store(&stopping, false);
    *out = NULL;
    enum error_code code = parts_start(sandbox, error);
    if (code == ERR_OK)
        code = sandbox_webhooks_start(error);
    if (code == ERR_OK) {
        struct http_server_options options = {
            .host = config()->sandbox_host,
            .port = (int)config()->sandbox_port,
            .route_count = routes_gather(sandbox),
            .loops = 1,
            .workers = SANDBOX_WORKERS,
            .authenticate = own_host_only,
            .database_url = sandbox_database(),
        };
        options.routes = sandbox->routes;
        code = http_server_start(&options, &sandbox->server, error);
    }
    if (code != ERR_OK) {
        sandbox_stop(sandbox);
        return code;
    }
    log_write(LOG_INFO, "sandbox is ready", LOG_INT("port", sandbox_port(sandbox)));
    *out = sandbox;
    return ERR_OK;
}

int sandbox_port(const struct sandbox *sandbox)
{
    return http_server_port(sandbox->server);
}

void sandbox_stop(struct sandbox *sandbox)
{
    if (!sandbox)
        return;
    atomic_store(&stopping, true);
    if (sandbox->server)
        http_server_stop(sandbox->server);
    sandbox_webhooks_stop();
    for (size_t i = sandbox->started; i > 0; i--)
        if (sandbox_parts[i - 1]->stop)
            sandbox_parts[i - 1]->stop();
    free(sandbox->routes);
    free(sandbox);
}

struct str sandbox_key_sent(struct request *req)
{
    struct str rest = request_header(req, STR("authorization"));
    struct str scheme = str_split(&rest, ' ');
    struct str value = str_trim(rest);
    if (!value.ptr || str_equal_ignoring_case(scheme, STR("bearer")))
        return value;
    if (!str_equal_ignoring_case(scheme, STR("basic")))
        return STR_NONE;
    char *bytes = arena_bytes(req->arena, value.len + 1);
    size_t len = 0;
    if (sodium_base642bin((unsigned char *)bytes, value.len, value.ptr, value.len, NULL, &len, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0)
        return STR_NONE;
    struct str pair = {bytes, len};
    return str_split(&pair, ':');
}

bool sandbox_key_fits(struct str key, const char *set, struct str form)
{
    struct str ours = str_from(set);
    if (ours.len == 0)
        return str_starts_with(key, form);
    return key.len == ours.len && sodium_memcmp(key.ptr, ours.ptr, key.len) == 0;
}
