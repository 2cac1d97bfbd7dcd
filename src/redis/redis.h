/* Redis (and what speaks its protocol), over hiredis. It carries messages and holds copies; it never holds
 * the truth: every caller must do right, if slower, when it is away. A connection belongs to one thread at a
 * time.
 *
 * Connects at first use and again after a loss, at most once in REDIS_BACKOFF_MS. While Redis is away a call
 * returns NULL at once; a call that finds it hanging returns NULL after REDIS_TIMEOUT_MS (connecting
 * included; a host name is resolved by the system's resolver, which has time limits of its own). Nothing here
 * logs personal data; a loss and a return are logged once each. */
#ifndef CATHAY_REDIS_REDIS_H
#define CATHAY_REDIS_REDIS_H

#include "base/error.h"
#include "base/str.h"

#include <hiredis/hiredis.h>

#define REDIS_TIMEOUT_MS 100
#define REDIS_BACKOFF_MS 1000
#define REDIS_ARGS_MAX 64

struct redis;

/* What a URL says: redis://[[user]:password@]host[:port][/database] or unix://[[user]:password@]/path[?db=n].
 */
struct redis_address {
    char host[256]; /* empty for a Unix socket */
    int port;
    char path[108];
    char user[64], password[256];
    int database;
};
/* ERR_VALIDATION with one clear line (without the password) when the URL is wrong. error may be NULL. */
enum error_code redis_url_parse(struct str url, struct redis_address *address, struct error *error);

/* The URL has been checked by redis_url_parse(); a wrong one is a bug. Does not connect yet. From the first
 * call on the process ignores SIGPIPE. */
struct redis *redis_new(const char *url);
void redis_free(struct redis *redis);
/* Connects if it is time to. Blocks up to REDIS_TIMEOUT_MS. */
bool redis_connected(struct redis *redis);
/* Counts connections made: a change tells that messages may have been missed, or that a flushed server came
 * back. */
int64_t redis_epoch(const struct redis *redis);
void redis_disconnect(struct redis *redis);

/* One command, sent as it is (binary safe). NULL: away. An error of Redis itself is a reply of type
 * REDIS_REPLY_ERROR. The reply belongs to the caller: freeReplyObject(), which takes NULL. */
redisReply *redis_call(struct redis *redis, size_t count, const struct str *args);
/* The same for commands that wait on the server up to wait_ms (BLOCK): the time limit is that much longer. */
redisReply *redis_call_blocking(struct redis *redis, int wait_ms, size_t count, const struct str *args);
#define REDIS_CALL(redis, ...)                                                                               \
    redis_call((redis), sizeof((struct str[]){__VA_ARGS__}) / sizeof(struct str), (struct str[]){__VA_ARGS__})
bool redis_reply_is_error(const redisReply *reply, const char *prefix);
/* The text of a string or status reply; absent for anything else. Valid as long as the reply. */
struct str redis_reply_str(const redisReply *reply);

/* Many commands in one round trip whose replies do not matter. false: away, or some were refused (logged
 * once). After false the queue is empty. Send some hundred at a time, not more. */
bool redis_queue(struct redis *redis, size_t count, const struct str *args);
bool redis_flush(struct redis *redis);
/* Sends what is queued and waits for nothing: the replies are thrown away before the next call. false: away.
 */
bool redis_push(struct redis *redis);

/* Lua scripts: sent by hash, by text when the server does not know it. One struct per script, static; any
 * thread. */
struct redis_script {
    const char *text;
    char sha1[41]; /* filled in at first use */
    int ready;
};
/* Fills in the hash, for those who send the command themselves. */
void redis_script_prepare(struct redis_script *script);
/* args: keys first. NULL: away. */
redisReply *redis_script_run(struct redis *redis, struct redis_script *script, size_t key_count, size_t count,
                             const struct str *args);

/* Publish and subscribe. A connection that has subscribed does nothing else. */
bool redis_subscribe(struct redis *redis, size_t count, const struct str *channels);
enum redis_wait { REDIS_MESSAGE, REDIS_QUIET, REDIS_AWAY };
/* Waits up to wait_ms for the next message. channel and payload point into *reply, which the caller frees. */
enum redis_wait redis_next_message(struct redis *redis, int wait_ms, redisReply **reply, struct str *channel,
                                   struct str *payload);
/* On a subscribed connection: asks for a sign of life. false, and the connection is closed, when the one
 * asked for before has not come: call it about once a second. */
bool redis_ping_subscribed(struct redis *redis);

#endif
