/* Threads: clients, event loops, workers, streams, asynchronous answers and the cache at once; run under
 * ThreadSanitizer too. And the partners' client against a server that fails. */
#include "http/server.h"

#include "echo_routes.h"
#include "api.h"
#include "base/check.h"
#include "base/clock.h"
#include "http/client.h"
#include "http/redact.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static int connect_to(int port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    return fd;
}

/* Reads until `count` answers have begun, or the end. */
static int read_answers(int fd, int count)
{
    static _Thread_local char text[1 << 20];
    size_t len = 0;
    int seen = 0;
    while (seen < count && len < sizeof text - 1) {
        ssize_t n = read(fd, text + len, sizeof text - 1 - len);
        if (n <= 0)
            break;
        len += (size_t)n;
        text[len] = '\0';
        seen = 0;
        for (const char *at = text; (at = strstr(at, "HTTP/1.1 200")); at++)
            seen++;
    }
    return seen;
}

struct storm {
    int port, seed;
    _Atomic int *answers;
};

static void *client_main(void *context)
{
    static const char *const targets[] = {"/hello", "/work",    "/later",  "/cached/%d",
                                          "/about", "/metrics", "/slow/1", "/big/5000"};
    const struct storm *storm = context;
    unsigned random = (unsigned)storm->seed;
    for (int round = 0; round < 12; round++) {
        int fd = connect_to(storm->port), count = 1 + rand_r(&random) % 6;
        char text[4096];
        int len = 0;
        for (int i = 0; i < count; i++) {
            char target[32];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            snprintf(target, sizeof target, targets[rand_r(&random) % 8], rand_r(&random) % 5);
#pragma GCC diagnostic pop
            len +=
                snprintf(text + len, sizeof text - (size_t)len, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", target);
        }
        CHECK(write(fd, text, (size_t)len) == len);
        if (rand_r(&random) % 4) /* the others leave without waiting */
            *storm->answers += read_answers(fd, count);
        close(fd);
    }
    return NULL;
}

static void *invalidator_main(void *stop)
{
    while (!atomic_load((_Atomic bool *)stop)) {
        for (int i = 0; i < 5; i++) {
            char name[4];
            int len = snprintf(name, sizeof name, "%d", i);
            http_cache_invalidate(STR("thing"),
                                  uuid_derived((struct uuid){{0}}, (struct str){name, (size_t)len}));
        }
        usleep(500);
    }
    return NULL;
}

static void *listener_main(void *context)
{
    const struct storm *storm = context;
    for (int i = 0; i < 4; i++) {
        int fd = connect_to(storm->port);
        static const char ask[] = "GET /events HTTP/1.1\r\nHost: x\r\n\r\n";
        CHECK(write(fd, ask, sizeof ask - 1) == sizeof ask - 1);
        *storm->answers += read_answers(fd, 1);
        usleep(5000);
        close(fd);
    }
    return NULL;
}

static struct http_server *start(struct http_server_options options)
{
    struct http_server *server = NULL;
    struct error error = {.code = ERR_OK};
    if (http_server_start(&options, &server, &error))
        fail_msg("%s", error.detail);
    return server;
}

static void test_storm(void **state)
{
    (void)state;
    struct http_server_options options = echo_options();
    options.loops = 3;
    options.rate_limits = false;
    struct http_server *server = start(options);
    _Atomic int answers = 0;
    _Atomic bool stop = false;
    pthread_t threads[9];
    struct storm storms[8];
    for (int i = 0; i < 8; i++) {
        storms[i] = (struct storm){http_server_port(server), i + 1, &answers};
        assert_int_equal(pthread_create(&threads[i], NULL, i < 6 ? client_main : listener_main, &storms[i]),
                         0);
    }
    assert_int_equal(pthread_create(&threads[8], NULL, invalidator_main, (void *)&stop), 0);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    stop = true;
    pthread_join(threads[8], NULL);
    assert_true(answers > 50);
    http_server_stop(server);
    echo_end();
}

static void test_stop_under_load(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        struct http_server_options options = echo_options();
        options.loops = 2;
        options.rate_limits = false;
        struct http_server *server = start(options);
        int fds[20];
        for (int i = 0; i < 20; i++) {
            fds[i] = connect_to(http_server_port(server));
            static const char ask[] =
                "GET /slow/20 HTTP/1.1\r\nHost: x\r\n\r\nGET /later HTTP/1.1\r\nHost: x\r\n\r\n";
            CHECK(write(fds[i], ask, sizeof ask - 1) == sizeof ask - 1);
        }
        usleep((useconds_t)round * 10000);
        http_server_stop(server);
        echo_end();
        for (int i = 0; i < 20; i++) {
            assert_true(read_answers(fds[i], 2) >= 1); /* the connection was accepted, so it is answered */
            close(fds[i]);
        }
    }
}

/* ---- the partners' client ---- */

static _Atomic int partner_calls, partner_failures_left;

static bool partner(struct request *req)
{
    partner_calls++;
    if (str_equal(req->path, STR("/hang"))) {
        usleep(400 * 1000);
        respond_json(req, 200, STR("{}"));
        return true;
    }
    if (partner_failures_left > 0) {
        partner_failures_left--;
        respond_json(req, 500, STR("{\"error\":true}"));
        return true;
    }
    struct buf out = buf_new(4096);
    buf_printf(&out, "%.*s %.*s|%.*s|%.*s|%.*s", STR_ARG(req->method), STR_ARG(req->path),
               STR_ARG(request_header(req, STR("authorization"))),
               STR_ARG(request_header(req, STR("idempotency-key"))), STR_ARG(req->body));
    respond_buf(req, str_equal(req->path, STR("/missing")) ? 404 : 200, &out);
    return true;
}

static void test_partner_client(void **state)
{
    (void)state;
    struct http_server_options options = {.host = "127.0.0.1", .loops = 1, .workers = 1, .fallback = partner};
    struct http_server *server = start(options);
    char base[64];
    snprintf(base, sizeof base, "http://127.0.0.1:%d/", http_server_port(server));
    struct http_partner *shop = http_partner_new("test", base, "Bearer sk_secret", 200);
    struct arena *arena = arena_new();
    struct http_answer answer;
    struct error error = {.code = ERR_OK};
    struct http_call get = {.method = STR("GET"), .path = STR("/v1/things?x=1")};
    assert_int_equal(http_partner_call(shop, NULL, &get, arena, &answer, &error), ERR_OK);
    assert_true(str_equal(answer.body, STR("GET /v1/things|Bearer sk_secret||")));
    struct http_call post = {.method = STR("POST"),
                             .path = STR("/v1/things"),
                             .content_type = STR("text/plain"),
                             .body = STR("a=b"),
                             .idempotency_key = STR("key-1")};
    partner_failures_left = 2;
    partner_calls = 0;
    assert_int_equal(http_partner_call(shop, NULL, &post, arena, &answer, &error), ERR_OK);
    assert_int_equal(partner_calls, 3);
    assert_true(str_equal(answer.body, STR("POST /v1/things|Bearer sk_secret|key-1|a=b")));
    post.idempotency_key = STR_NONE; /* not repeatable */
    partner_failures_left = 1;
    partner_calls = 0;
    assert_int_equal(http_partner_call(shop, NULL, &post, arena, &answer, &error), ERR_PARTNER);
    assert_int_equal(partner_calls, 1);
    get.path = STR("/missing");
    assert_int_equal(http_partner_call(shop, NULL, &get, arena, &answer, &error), ERR_OK);
    assert_int_equal(answer.status, 404);
    post.path = STR("/hang");
    assert_int_equal(http_partner_call(shop, NULL, &post, arena, &answer, &error), ERR_PARTNER_TIMEOUT);
    arena_free(arena);
    http_partner_free(shop);
    http_server_stop(server);
}

static void test_circuit_opens_and_closes(void **state)
{
    (void)state;
    struct http_server_options options = {.host = "127.0.0.1", .loops = 1, .workers = 1, .fallback = partner};
    struct http_server *server = start(options);
    char base[64];
    snprintf(base, sizeof base, "http://127.0.0.1:%d", http_server_port(server));
    struct http_partner *shop = http_partner_new("circuit", base, NULL, 1000);
    struct arena *arena = arena_new();
    struct http_answer answer;
    struct error error = {.code = ERR_OK};
    struct http_call post = {.method = STR("POST"), .path = STR("/v1/things"), .body = STR("x")};
    partner_failures_left = 1000;
    partner_calls = 0;
    for (int i = 0; i < 10; i++)
        assert_int_equal(http_partner_call(shop, NULL, &post, arena, &answer, &error), ERR_PARTNER);
    assert_int_equal(partner_calls, 5); /* then nobody was called */
    assert_true(error.retry_after_s > 0);
    partner_failures_left = 0;
    enum error_code code = ERR_PARTNER;
    for (int i = 0; i < 200 && code; i++) {
        usleep(50 * 1000);
        code = http_partner_call(shop, NULL, &post, arena, &answer, &error);
    }
    assert_int_equal(code, ERR_OK);
    assert_int_equal(partner_calls, 6);
    arena_free(arena);
    http_partner_free(shop);
    http_server_stop(server);
}

static void test_bodies_in_logs_hold_no_secrets(void **state)
{
    (void)state;
    static const struct {
        const char *body, *wanted;
    } cases[] = {
        {"{\"id\":\"pi_1\",\"client_secret\":\"pi_1_secret_2\",\"amount\":5}",
         "{\"id\":\"pi_1\",\"client_secret\":\"[removed]\",\"amount\":5}"},
        {"{\"card\": {\"number\":\"4242\",\"x\":[1,{\"y\":2}]},\"a\":1}", "{\"card\":\"[removed]\",\"a\":1}"},
        {"{\"deep\":[{\"api_key\":\"k\",\"ok\":\"a \\\" b\"}]}",
         "{\"deep\":[{\"api_key\":\"[removed]\",\"ok\":\"a \\\" b\"}]}"},
        {"{\"CVC\":123,\"z\":null}", "{\"CVC\":\"[removed]\",\"z\":null}"},
        {"amount=5&payment_method_data[card][number]=4242&currency=hkd",
         "amount=5&payment_method_data[card][number]=[removed]&currency=hkd"},
        {"{\"secret\":\"never ends", "{\"secret\":\"[removed]\""},
        {"{\"secret\":", "{\"secret\":\"[removed]\""},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf out = buf_new(4096);
        redact_body(&out, str_from(cases[i].body), 1024);
        buf_char(&out, '\0');
        assert_string_equal(out.ptr, cases[i].wanted);
        buf_free(&out);
    }
    struct buf out = buf_new(4096);
    redact_body(&out, STR("a=0123456789"), 5);
    assert_int_equal(out.len, 5);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_storm),
        cmocka_unit_test(test_stop_under_load),
        cmocka_unit_test(test_partner_client),
        cmocka_unit_test(test_circuit_opens_and_closes),
        cmocka_unit_test(test_bodies_in_logs_hold_no_secrets),
    };
    return cmocka_run_group_tests_name("http_server", tests, NULL, NULL);
}
