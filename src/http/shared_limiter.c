/* hiredis' asynchronous interface on the loop. The algorithm is the local limiter's (generic cell rate):
 * Redis keeps one number per key, the moment at which the quota will be whole again, by Redis' clock, so that
 * the servers' clocks do not matter. The key lives as long as there is something to remember.
 *
 * One timer looks after everything that may take too long: connecting, questions, a server that hangs. It
 * runs only while there is something to look after. */
#include "http/shared_limiter.h"

#include "base/check.h"
#include "base/log.h"
#include "redis/redis.h"

#include <hiredis/adapters/libuv.h>
#include <hiredis/async.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>

#define CHECK_MS 5
#define CONNECT_MS 500 /* resolving included */
#define HANG_MS 500    /* without an answer the connection is given up */
#define PAUSE_MS 1000  /* before connecting again */
#define QUIET_MS 250   /* after an answer that came too late nobody is asked */

static struct redis_script script = {
    .text = "local t = redis.call('TIME')\n"
            "local now = t[1] * 1000000 + t[2]\n"
            "local step, window = tonumber(ARGV[1]), tonumber(ARGV[2])\n"
            "local full = tonumber(redis.call('GET', KEYS[1]) or 0)\n"
            "if full < now then full = now elseif full > now + window then full = now + window end\n"
            "if full + step - now > window then return {0, full - now} end\n"
            "full = full + step\n"
            "redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000))\n"
            "return {1, full - now}\n"};

enum state { STATE_AWAY, STATE_RESOLVING, STATE_CONNECTING, STATE_READY, STATE_CLOSED };

struct question {
    TAILQ_ENTRY(question) link;
    struct shared_limiter *limiter;
    void *context;
    bool waiting; /* the caller has not been told */
    bool again;   /* sent a second time, with the script's text */
    uint64_t asked_ms, asked_tick;
    struct limiter_terms terms;
    size_t key_len;
    char key[];
};

TAILQ_HEAD(questions, question);

struct shared_limiter {
    uv_loop_t *loop;
    struct redis_address address;
    shared_limiter_fn *decided;
    enum state state;
    bool tells, told_away;
    redisAsyncContext *redis;
    uv_getaddrinfo_t resolving;
    uv_timer_t timer;
    uint64_t since_ms; /* of the state */
    uint64_t quiet_until_ms;
    uint64_t tick;              /* counts the timer */
    struct questions questions; /* sent and not answered, oldest first */
    size_t question_count;
};

static void state_set(struct shared_limiter *limiter, enum state state)
{
    limiter->state = state;
    limiter->since_ms = uv_now(limiter->loop);
}

static void on_timer(uv_timer_t *timer);

static void timer_need(struct shared_limiter *limiter)
{
    if (limiter->state != STATE_CLOSED && !uv_is_active((uv_handle_t *)&limiter->timer))
        uv_timer_start(&limiter->timer, on_timer, CHECK_MS, CHECK_MS);
}

/* ---- coming and going ---- */

static void away(struct shared_limiter *limiter, const char *during)
{
    redisAsyncContext *redis = limiter->redis;
    limiter->redis = NULL;
    if (limiter->state != STATE_CLOSED)
        state_set(limiter, STATE_AWAY);
    if (limiter->tells && !limiter->told_away)
        log_write(LOG_WARN, "rate limits are local: redis is away", "\"during\":\"%s\"", during);
    limiter->told_away = true;
    timer_need(limiter);
    if (redis)
        redisAsyncFree(redis); /* answers all questions with nothing */
}

static void on_disconnect(const redisAsyncContext *redis, int status)
{
    struct shared_limiter *limiter = redis->data;
    (void)status;
    if (limiter->redis != redis)
        return;
    limiter->redis = NULL; /* hiredis frees it */
    away(limiter, "call");
}

static void on_connect(const redisAsyncContext *redis, int status)
{
    struct shared_limiter *limiter = redis->data;
    if (limiter->redis == redis && status != REDIS_OK) {
        limiter->redis = NULL;
        away(limiter, "connect");
    }
}

static void on_loaded(redisAsyncContext *redis, void *reply, void *context)
{
    struct shared_limiter *limiter = redis->data;
    const redisReply *said = reply;
    (void)context;
    if (limiter->redis != redis || !said || limiter->state != STATE_CONNECTING)
        return;
    if (said->type == REDIS_REPLY_ERROR) {
        redisAsyncDisconnect(redis);
        return;
    }
    state_set(limiter, STATE_READY);
    if (limiter->tells && limiter->told_away)
        log_write(LOG_INFO, "rate limits are shared: redis is back", NULL);
    limiter->told_away = false;
}

/* What is refused here makes the script's loading fail as well. */
static void greet(struct shared_limiter *limiter)
{
    const struct redis_address *address = &limiter->address;
    if (address->user[0])
        redisAsyncCommand(limiter->redis, NULL, NULL, "AUTH %s %s", address->user, address->password);
    else if (address->password[0])
        redisAsyncCommand(limiter->redis, NULL, NULL, "AUTH %s", address->password);
    if (address->database)
        redisAsyncCommand(limiter->redis, NULL, NULL, "SELECT %d", address->database);
    redisAsyncCommand(limiter->redis, on_loaded, NULL, "SCRIPT LOAD %s", script.text);
}

static void connect_to(struct shared_limiter *limiter, const char *host)
{
    const struct redis_address *address = &limiter->address;
    state_set(limiter, STATE_CONNECTING);
    limiter->redis = host ? redisAsyncConnect(host, address->port) : redisAsyncConnectUnix(address->path);
    CHECK(limiter->redis);
    limiter->redis->data = limiter;
    if (limiter->redis->err || redisLibuvAttach(limiter->redis, limiter->loop) != REDIS_OK) {
        away(limiter, "connect");
        return;
    }
    redisAsyncSetConnectCallback(limiter->redis, on_connect);
    redisAsyncSetDisconnectCallback(limiter->redis, on_disconnect);
    greet(limiter);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct shared_limiter *limiter = request->data;
    char host[64] = "";
    if (limiter->state == STATE_RESOLVING) {
        if (status == 0 &&
            getnameinfo(found->ai_addr, found->ai_addrlen, host, sizeof host, NULL, 0, NI_NUMERICHOST) == 0)
            connect_to(limiter, host);
        else
            away(limiter, "resolve");
    }
    uv_freeaddrinfo(found);
}

static void begin_connecting(struct shared_limiter *limiter)
{
    timer_need(limiter);
    if (limiter->address.path[0]) {
        connect_to(limiter, NULL);
        return;
    }
    static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    state_set(limiter, STATE_RESOLVING);
    limiter->resolving.data = limiter;
    if (uv_getaddrinfo(limiter->loop, &limiter->resolving, on_resolved, limiter->address.host, NULL, &hints))
        away(limiter, "resolve");
}

/* ---- questions ---- */

static void question_end(struct question *question, bool known, bool allowed, int64_t ahead_us)
{
    struct shared_limiter *limiter = question->limiter;
    void *context = question->context;
    bool waiting = question->waiting;
    TAILQ_REMOVE(&limiter->questions, question, link);
    limiter->question_count--;
    free(question);
    if (waiting)
        limiter->decided(context, known, allowed, ahead_us);
}

static void on_answer(redisAsyncContext *redis, void *reply, void *context);

static bool question_send(redisAsyncContext *redis, struct question *question)
{
    char step[24], window[24];
    int step_len = snprintf(step, sizeof step, "%lld", (long long)question->terms.step_us);
    int window_len = snprintf(window, sizeof window, "%lld", (long long)question->terms.window_us);
    const char *args[] = {question->again ? "EVAL" : "EVALSHA",
                          question->again ? script.text : script.sha1,
                          "1",
                          question->key,
                          step,
                          window};
    size_t lengths[] = {strlen(args[0]),   strlen(args[1]),  1,
                        question->key_len, (size_t)step_len, (size_t)window_len};
    return redisAsyncCommandArgv(redis, on_answer, question, 6, args, lengths) == REDIS_OK;
}

static void on_answer(redisAsyncContext *redis, void *reply, void *context)
{
    struct question *question = context;
    const redisReply *said = reply;
    if (redis_reply_is_error(said, "NOSCRIPT") && !question->again) {
        question->again = true;
        if (question_send(redis, question))
            return;
    }
    bool known = said && said->type == REDIS_REPLY_ARRAY && said->elements == 2 &&
                 said->element[0]->type == REDIS_REPLY_INTEGER &&
                 said->element[1]->type == REDIS_REPLY_INTEGER;
    /* An error of Redis (read only, out of memory): it will be the same for the next ones. */
    if (said && !known)
        question->limiter->quiet_until_ms = uv_now(question->limiter->loop) + QUIET_MS;
    question_end(question, known, known && said->element[0]->integer == 1,
                 known ? said->element[1]->integer : 0);
}

bool shared_limiter_ask(struct shared_limiter *limiter, struct str key, struct limiter_terms terms,
                        void *context)
{
    uint64_t now_ms = uv_now(limiter->loop);
    if (limiter->state != STATE_READY || now_ms < limiter->quiet_until_ms ||
        limiter->question_count >= SHARED_LIMITER_PENDING_MAX)
        return false;
    struct question *question = malloc(sizeof *question + key.len);
    CHECK(question);
    *question = (struct question){.limiter = limiter,
                                  .context = context,
                                  .waiting = true,
                                  .asked_ms = now_ms,
                                  .asked_tick = limiter->tick,
                                  .terms = terms,
                                  .key_len = key.len};
    memcpy(question->key, key.ptr, key.len);
    if (!question_send(limiter->redis, question)) {
        free(question);
        return false;
    }
    TAILQ_INSERT_TAIL(&limiter->questions, question, link);
    limiter->question_count++;
    timer_need(limiter);
    return true;
}

/* ---- time ---- */

/* Those that have waited long enough are decided locally; their answers, should they come, are ignored. The
 * timer must have ticked as often, too: between two ticks the loop reads what has arrived, so that a loop
 * that was busy itself does not take Redis for slow. Deciding one may ask another, which goes to the tail. */
static void questions_expire(struct shared_limiter *limiter, uint64_t now_ms)
{
    struct question *question = TAILQ_FIRST(&limiter->questions);
    while (question && now_ms - question->asked_ms >= SHARED_LIMITER_DEADLINE_MS &&
           limiter->tick - question->asked_tick >= SHARED_LIMITER_DEADLINE_MS / CHECK_MS) {
        if (question->waiting) {
            question->waiting = false;
            limiter->quiet_until_ms = now_ms + QUIET_MS;
            limiter->decided(question->context, false, false, 0);
        }
        question = TAILQ_NEXT(question, link);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct shared_limiter *limiter = timer->data;
    uint64_t now_ms = uv_now(limiter->loop), in_state_ms = now_ms - limiter->since_ms;
    limiter->tick++;
    questions_expire(limiter, now_ms);
    const struct question *oldest = TAILQ_FIRST(&limiter->questions);
    if (limiter->state == STATE_READY && oldest && now_ms - oldest->asked_ms >= HANG_MS)
        away(limiter, "hang");
    else if (limiter->state == STATE_CONNECTING && in_state_ms >= CONNECT_MS)
        away(limiter, "connect");
    else if (limiter->state == STATE_AWAY && in_state_ms >= PAUSE_MS)
        begin_connecting(limiter);
    else if (limiter->state == STATE_READY && !oldest)
        uv_timer_stop(timer);
}

/* ---- beginning and end ---- */

struct shared_limiter *shared_limiter_new(uv_loop_t *loop, const char *redis_url, bool tells,
                                          shared_limiter_fn *decided)
{
    struct shared_limiter *limiter = calloc(1, sizeof *limiter);
    CHECK(limiter);
    CHECK(redis_url_parse(str_from(redis_url), &limiter->address, NULL) == ERR_OK);
    redis_script_prepare(&script);
    limiter->loop = loop;
    limiter->tells = tells;
    limiter->decided = decided;
    TAILQ_INIT(&limiter->questions);
    limiter->timer.data = limiter;
    CHECK(uv_timer_init(loop, &limiter->timer) == 0);
    begin_connecting(limiter);
    return limiter;
}

void shared_limiter_close(struct shared_limiter *limiter)
{
    redisAsyncContext *redis = limiter->redis;
    if (limiter->state == STATE_RESOLVING)
        uv_cancel((uv_req_t *)&limiter->resolving);
    state_set(limiter, STATE_CLOSED);
    limiter->redis = NULL;
    uv_close((uv_handle_t *)&limiter->timer, NULL);
    if (redis)
        redisAsyncFree(redis);
}

void shared_limiter_free(struct shared_limiter *limiter)
{
    if (!limiter)
        return;
    CHECK(limiter->question_count == 0);
    free(limiter);
}
