/* hiredis' blocking interface with the socket's time limits set: short by default, longer for the length of
 * one blocking command. Any failure closes the connection and starts the pause before the next try. */
#include "redis/redis.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

#include <openssl/sha.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

#define CONNECT_TIMEOUT_MS 50

struct redis {
    struct redis_address address;
    redisContext *context;
    int64_t next_try_us; /* monotonic; no connecting before */
    int64_t epoch;
    size_t queued;
    bool told_away;
    bool ping_open; /* a ping on a subscribed connection has not been answered */
};

static bool copy_part(char *out, size_t size, struct str part)
{
    if (part.len >= size || memchr(part.ptr ? part.ptr : "", '\0', part.len))
        return false;
    if (part.ptr)
        memcpy(out, part.ptr, part.len);
    out[part.len] = '\0';
    return true;
}

static bool parse_number(struct str text, int64_t least, int64_t most, int *out)
{
    int64_t value;
    if (!str_to_int64(text, &value) || value < least || value > most)
        return false;
    *out = (int)value;
    return true;
}

/* "user:password@" ahead of the host or path; password alone is ":password@". */
static bool take_credentials(struct str *rest, struct redis_address *address)
{
    const char *at = rest->ptr ? memrchr(rest->ptr, '@', rest->len) : NULL;
    if (!at)
        return true;
    struct str password = {rest->ptr, (size_t)(at - rest->ptr)};
    rest->len -= password.len + 1;
    rest->ptr = at + 1;
    struct str user = str_split(&password, ':');
    return copy_part(address->user, sizeof address->user, user) &&
           (!password.ptr || copy_part(address->password, sizeof address->password, password));
}

static bool parse_unix(struct str rest, struct redis_address *address)
{
    if (!take_credentials(&rest, address))
        return false;
    struct str path = str_split(&rest, '?');
    if (rest.ptr && (!str_starts_with(rest, STR("db=")) ||
                     !parse_number((struct str){rest.ptr + 3, rest.len - 3}, 0, 1000, &address->database)))
        return false;
    return path.len > 0 && path.ptr[0] == '/' && copy_part(address->path, sizeof address->path, path);
}

static bool parse_tcp(struct str rest, struct redis_address *address)
{
    if (!take_credentials(&rest, address))
        return false;
    struct str authority = str_split(&rest, '/');
    if (rest.len > 0 && !parse_number(rest, 0, 1000, &address->database))
        return false;
    address->port = 6379;
    struct str host = authority;
    if (host.len > 0 && host.ptr[0] == '[') { /* IPv6 */
        const char *end = memchr(host.ptr, ']', host.len);
        if (!end)
            return false;
        host = (struct str){host.ptr + 1, (size_t)(end - host.ptr) - 1};
        authority = (struct str){end + 1, authority.len - host.len - 2};
        if (authority.len > 0 && authority.ptr[0] != ':')
            return false;
        str_split(&authority, ':');
    } else {
        host = str_split(&authority, ':');
    }
    if (authority.ptr && authority.len > 0 && !parse_number(authority, 1, 65535, &address->port))
        return false;
    return host.len > 0 && copy_part(address->host, sizeof address->host, host);
}

enum error_code redis_url_parse(struct str url, struct redis_address *address, struct error *error)
{
    *address = (struct redis_address){.host = ""};
    bool right = false;
    if (str_starts_with(url, STR("redis://")))
        right = parse_tcp((struct str){url.ptr + 8, url.len - 8}, address);
    else if (str_starts_with(url, STR("unix://")))
        right = parse_unix((struct str){url.ptr + 7, url.len - 7}, address);
    if (right)
        return ERR_OK;
    return error_set(
        error, ERR_VALIDATION,
        "REDIS_URL should read redis://[:password@]host:port/database or unix:///path/of/socket");
}

/* hiredis writes with write(): to a server that is gone that would be the end of the process. */
static void ignore_sigpipe(void)
{
    signal(SIGPIPE, SIG_IGN);
}

struct redis *redis_new(const char *url)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, ignore_sigpipe);
    struct redis *redis = calloc(1, sizeof *redis);
    CHECK(redis);
    CHECK(redis_url_parse(str_from(url), &redis->address, NULL) == ERR_OK);
    return redis;
}

void redis_disconnect(struct redis *redis)
{
    if (redis->context)
        redisFree(redis->context);
    redis->context = NULL;
    redis->queued = 0;
    redis->ping_open = false;
}

void redis_free(struct redis *redis)
{
    if (!redis)
        return;
    redis_disconnect(redis);
    free(redis);
}

int64_t redis_epoch(const struct redis *redis)
{
    return redis->epoch;
}

static void lost(struct redis *redis, const char *during)
{
    if (!redis->told_away) {
        log_write(LOG_WARN, "redis is away", LOG_TEXT("during", during),
                  LOG_TEXT("reason", redis->context ? redis->context->errstr : ""));
    }
    redis->told_away = true;
    redis_disconnect(redis);
    redis->next_try_us = clock_monotonic_us() + (int64_t)REDIS_BACKOFF_MS * 1000;
}

static struct timeval milliseconds(int ms)
{
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000L};
}

static bool read_queued(struct redis *redis, bool tells)
{
    bool accepted = true;
    size_t left = redis->queued;
    redis->queued = 0;
    for (; left > 0; left--) {
        void *reply;
        if (redisGetReply(redis->context, &reply) != REDIS_OK) {
            lost(redis, "flush");
            return false;
        }
        const redisReply *said = reply;
        if (said->type == REDIS_REPLY_ERROR && accepted) {
            accepted = false;
            if (tells)
                log_write(LOG_WARN, "redis refused a command",
                          LOG_STR("reason", ((struct str){said->str, said->len})));
        }
        freeReplyObject(reply);
    }
    return accepted;
}

static redisReply *call_connected(struct redis *redis, size_t count, const struct str *args)
{
    CHECK(count > 0 && count <= REDIS_ARGS_MAX);
    if (redis->queued)
        read_queued(redis, false);
    if (!redis->context)
        return NULL;
    const char *values[REDIS_ARGS_MAX];
    size_t lengths[REDIS_ARGS_MAX];
    for (size_t i = 0; i < count; i++) {
        values[i] = args[i].ptr ? args[i].ptr : "";
        lengths[i] = args[i].len;
    }
    redisReply *reply = redisCommandArgv(redis->context, (int)count, values, lengths);
    if (!reply)
        lost(redis, "call");
    return reply;
}

static bool say_hello(struct redis *redis, size_t count, const struct str *args)
{
    redisReply *reply = call_connected(redis, count, args);
    bool accepted = reply && reply->type != REDIS_REPLY_ERROR;
    if (reply && !accepted) {
        snprintf(redis->context->errstr, sizeof redis->context->errstr, "%.100s", reply->str);
        lost(redis, "sign-in");
    }
    freeReplyObject(reply);
    return accepted;
}

static bool connect_now(struct redis *redis)
{
    const struct redis_address *address = &redis->address;
    struct timeval limit = milliseconds(CONNECT_TIMEOUT_MS);
    redis->context = address->path[0] ? redisConnectUnixWithTimeout(address->path, limit)
                                      : redisConnectWithTimeout(address->host, address->port, limit);
    if (!redis->context || redis->context->err ||
        redisSetTimeout(redis->context, milliseconds(REDIS_TIMEOUT_MS)) != REDIS_OK) {
        lost(redis, "connect");
        return false;
    }
    struct str user = str_from(address->user), password = str_from(address->password);
    if (user.len && !say_hello(redis, 3, (struct str[]){STR("AUTH"), user, password}))
        return false;
    if (!user.len && password.len && !say_hello(redis, 2, (struct str[]){STR("AUTH"), password}))
        return false;
    if (address->database) {
        char number[16];
        snprintf(number, sizeof number, "%d", address->database);
        if (!say_hello(redis, 2, (struct str[]){STR("SELECT"), str_from(number)}))
            return false;
    }
    redis->epoch++;
    if (redis->told_away)
        log_write(LOG_INFO, "redis is back");
    redis->told_away = false;
    return true;
}

bool redis_connected(struct redis *redis)
{
    if (redis->context)
        return true;
    return clock_monotonic_us() >= redis->next_try_us && connect_now(redis);
}

redisReply *redis_call(struct redis *redis, size_t count, const struct str *args)
{
    return redis_connected(redis) ? call_connected(redis, count, args) : NULL;
}

redisReply *redis_call_blocking(struct redis *redis, int wait_ms, size_t count, const struct str *args)
{
    if (!redis_connected(redis))
        return NULL;
    if (redisSetTimeout(redis->context, milliseconds(wait_ms + REDIS_TIMEOUT_MS)) != REDIS_OK) {
        lost(redis, "time limit");
        return NULL;
    }
    redisReply *reply = call_connected(redis, count, args);
    if (reply && redisSetTimeout(redis->context, milliseconds(REDIS_TIMEOUT_MS)) != REDIS_OK)
        lost(redis, "time limit");
    return reply;
}

bool redis_reply_is_error(const redisReply *reply, const char *prefix)
{
    return reply && reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, prefix, strlen(prefix)) == 0;
}

struct str redis_reply_str(const redisReply *reply)
{
    if (!reply || (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_STATUS))
        return STR_NONE;
    return (struct str){reply->str, reply->len};
}

bool redis_queue(struct redis *redis, size_t count, const struct str *args)
{
    CHECK(count > 0 && count <= REDIS_ARGS_MAX);
    /* After a loss in the middle of a batch the rest of it is refused as well, by the pause before
     * reconnecting. */
    if (!redis_connected(redis))
        return false;
    const char *values[REDIS_ARGS_MAX];
    size_t lengths[REDIS_ARGS_MAX];
    for (size_t i = 0; i < count; i++) {
        values[i] = args[i].ptr ? args[i].ptr : "";
        lengths[i] = args[i].len;
    }
    if (redisAppendCommandArgv(redis->context, (int)count, values, lengths) != REDIS_OK) {
        lost(redis, "queue");
        return false;
    }
    redis->queued++;
    return true;
}

bool redis_flush(struct redis *redis)
{
    return redis->context && read_queued(redis, true);
}

bool redis_push(struct redis *redis)
{
    for (int done = 0; redis->context && !done;)
        if (redisBufferWrite(redis->context, &done) != REDIS_OK)
            lost(redis, "push");
    return redis->context != NULL;
}

void redis_script_prepare(struct redis_script *script)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    if (__atomic_load_n(&script->ready, __ATOMIC_ACQUIRE))
        return;
    pthread_mutex_lock(&lock);
    if (!script->ready) {
        unsigned char digest[SHA_DIGEST_LENGTH];
        SHA1((const unsigned char *)script->text, strlen(script->text), digest);
        for (size_t i = 0; i < sizeof digest; i++)
            snprintf(script->sha1 + 2 * i, 3, "%02x", digest[i]);
        __atomic_store_n(&script->ready, 1, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&lock);
}

redisReply *redis_script_run(struct redis *redis, struct redis_script *script, size_t key_count, size_t count,
                             const struct str *args)
{
    CHECK(count + 3 <= REDIS_ARGS_MAX && key_count <= count);
    redis_script_prepare(script);
    char keys[24];
    snprintf(keys, sizeof keys, "%zu", key_count);
    struct str all[REDIS_ARGS_MAX] = {STR("EVALSHA"), str_from(script->sha1), str_from(keys)};
    if (count > 0)
        memcpy(all + 3, args, count * sizeof *args);
    redisReply *reply = redis_call(redis, count + 3, all);
    if (!redis_reply_is_error(reply, "NOSCRIPT"))
        return reply;
    freeReplyObject(reply);
    all[0] = STR("EVAL");
    all[1] = str_from(script->text);
    return redis_call(redis, count + 3, all);
}

bool redis_subscribe(struct redis *redis, size_t count, const struct str *channels)
{
    struct str args[REDIS_ARGS_MAX] = {STR("SUBSCRIBE")};
    CHECK(count > 0 && count < REDIS_ARGS_MAX);
    memcpy(args + 1, channels, count * sizeof *channels);
    if (!redis_queue(redis, count + 1, args))
        return false;
    redis->queued = count; /* SUBSCRIBE answers once for each channel */
    return redis_flush(redis);
}

enum redis_wait redis_next_message(struct redis *redis, int wait_ms, redisReply **reply, struct str *channel,
                                   struct str *payload)
{
    *reply = NULL;
    if (!redis->context)
        return REDIS_AWAY;
    int64_t until_us = clock_monotonic_us() + (int64_t)wait_ms * 1000;
    for (;;) {
        void *got = NULL;
        if (redisGetReplyFromReader(redis->context, &got) != REDIS_OK)
            break;
        redisReply *said = got;
        if (said)
            redis->ping_open = false;
        if (said && said->type == REDIS_REPLY_ARRAY && said->elements == 3 &&
            str_equal(redis_reply_str(said->element[0]), STR("message"))) {
            *reply = said;
            *channel = redis_reply_str(said->element[1]);
            *payload = redis_reply_str(said->element[2]);
            return REDIS_MESSAGE;
        }
        if (said) {
            freeReplyObject(said);
            continue;
        }
        int64_t left_ms = (until_us - clock_monotonic_us()) / 1000;
        if (left_ms < 0)
            return REDIS_QUIET;
        struct pollfd wait = {.fd = redis->context->fd, .events = POLLIN};
        if (poll(&wait, 1, (int)left_ms + 1) > 0 && redisBufferRead(redis->context) != REDIS_OK)
            break;
    }
    lost(redis, "subscription");
    return REDIS_AWAY;
}

bool redis_ping_subscribed(struct redis *redis)
{
    if (!redis->context)
        return false;
    int done = 0;
    if (redis->ping_open || redisAppendCommand(redis->context, "PING") != REDIS_OK ||
        redisBufferWrite(redis->context, &done) != REDIS_OK) {
        lost(redis, "sign of life");
        return false;
    }
    redis->ping_open = true;
    return true;
}
