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

/* KEYS: those of the limits; then, if there is an excuse, its key and the one that counts instead of the last
 * limit. ARGV: step and window of each limit. {1 or 0, what is used of each}. All are used, or none. */
static struct redis_script script = {
    .text =
        "local t = redis.call('TIME')\n"
        "local now = t[1] * 1000000 + t[2]\n"
        "local count = #ARGV / 2\n"
        "local keys = {unpack(KEYS, 1, count)}\n"
        "if #KEYS > count and redis.call('EXISTS', KEYS[count + 1]) == 1 then keys[count] = KEYS[count + 2] "
        "end\n"
        "local said, fits = {1}, true\n"
        "for i = 1, count do\n"
        "  local step, window = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])\n"
        "  local ahead = tonumber(redis.call('GET', keys[i]) or 0) - now\n"
        "  if ahead < 0 then ahead = 0 elseif ahead > window then ahead = window end\n"
        "  said[i + 1] = ahead\n"
        "  if ahead + step > window then fits = false end\n"
        "end\n"
        "if not fits then said[1] = 0 return said end\n"
        "for i = 1, count do\n"
        "  local ahead = said[i + 1] + tonumber(ARGV[2 * i - 1])\n"
        "  said[i + 1] = ahead\n"
        "  redis.call('SET', keys[i], string.format('%.0f', now + ahead), 'PX', math.ceil(ahead / 1000))\n"
        "end\n"
        "return said\n"};

enum state { STATE_AWAY, STATE_RESOLVING, STATE_CONNECTING, STATE_READY, STATE_CLOSED };

struct question {
    TAILQ_ENTRY(question) link;
    struct shared_limiter *limiter;
    void *context;
    bool waiting; /* the caller has not been told */
    bool again;   /* sent a second time, with the script's text */
    uint64_t asked_ms, asked_tick;
    struct shared_question what;
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
        log_write(LOG_WARN, "rate limits are local: redis is away", LOG_TEXT("during", during));
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
        log_write(LOG_INFO, "rate limits are shared: redis is back");
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

static void question_end(struct question *question, const struct shared_answer *answer)
{
    struct shared_limiter *limiter = question->limiter;
    void *context = question->context;
    bool waiting = question->waiting;
    TAILQ_REMOVE(&limiter->questions, question, link);
    limiter->question_count--;
    free(question);
    if (waiting)
        limiter->decided(context, answer);
}

static void on_answer(redisAsyncContext *redis, void *reply, void *context);

#define ARGUMENTS_MAX (3 + LIMITER_KEYS_MAX + 2 + 2 * LIMITER_KEYS_MAX)

struct arguments {
    int count;
    const char *values[ARGUMENTS_MAX];
    size_t lengths[ARGUMENTS_MAX];
    char numbers[2 * LIMITER_KEYS_MAX + 1][24];
    int number_count;
};

static void argument_add(struct arguments *arguments, const char *value, size_t len)
{
    CHECK(arguments->count < ARGUMENTS_MAX);
    arguments->values[arguments->count] = value;
    arguments->lengths[arguments->count++] = len;
}

static void number_add(struct arguments *arguments, int64_t number)
{
    char *text = arguments->numbers[arguments->number_count++];
    int len = snprintf(text, sizeof arguments->numbers[0], "%lld", (long long)number);
    argument_add(arguments, text, (size_t)len);
}

static bool question_send(redisAsyncContext *redis, struct question *question)
{
    const struct shared_question *what = &question->what;
    struct arguments arguments = {.count = 0};
    const char *command = question->again ? "EVAL" : "EVALSHA";
    const char *named = question->again ? script.text : script.sha1;
    argument_add(&arguments, command, strlen(command));
    argument_add(&arguments, named, strlen(named));
    number_add(&arguments, (int64_t)what->count + (what->excuse_len ? 2 : 0));
    for (size_t i = 0; i < what->count; i++)
        argument_add(&arguments, what->limits[i].name, what->limits[i].name_len);
    if (what->excuse_len) {
        argument_add(&arguments, what->excuse, what->excuse_len);
        argument_add(&arguments, what->instead, what->instead_len);
    }
    for (size_t i = 0; i < what->count; i++) {
        number_add(&arguments, what->limits[i].terms.step_us);
        number_add(&arguments, what->limits[i].terms.window_us);
    }
    return redisAsyncCommandArgv(redis, on_answer, question, arguments.count, arguments.values,
                                 arguments.lengths) == REDIS_OK;
}

static struct shared_answer answer_read(const redisReply *said, size_t count)
{
    struct shared_answer answer = {.known = said && said->type == REDIS_REPLY_ARRAY &&
                                            said->elements == 1 + count};
    for (size_t i = 0; answer.known && i <= count; i++)
        answer.known = said->element[i]->type == REDIS_REPLY_INTEGER;
    if (!answer.known)
        return answer;
    answer.allowed = said->element[0]->integer == 1;
    for (size_t i = 0; i < count; i++)
        answer.ahead_us[i] = said->element[i + 1]->integer;
    return answer;
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
    struct shared_answer answer = answer_read(said, question->what.count);
    /* An error of Redis (read only, out of memory): it will be the same for the next ones. */
    if (said && !answer.known)
        question->limiter->quiet_until_ms = uv_now(question->limiter->loop) + QUIET_MS;
    question_end(question, &answer);
}

bool shared_limiter_ask(struct shared_limiter *limiter, const struct shared_question *what, void *context)
{
    uint64_t now_ms = uv_now(limiter->loop);
    CHECK(what->count > 0 && what->count <= LIMITER_KEYS_MAX);
    if (limiter->state != STATE_READY || now_ms < limiter->quiet_until_ms ||
        limiter->question_count >= SHARED_LIMITER_PENDING_MAX)
        return false;
    struct question *question = malloc(sizeof *question);
    CHECK(question);
    *question = (struct question){.limiter = limiter,
                                  .context = context,
                                  .waiting = true,
                                  .asked_ms = now_ms,
                                  .asked_tick = limiter->tick,
                                  .what = *what};
    if (!question_send(limiter->redis, question)) {
        free(question);
        return false;
    }
    TAILQ_INSERT_TAIL(&limiter->questions, question, link);
    limiter->question_count++;
    timer_need(limiter);
    return true;
}

void shared_limiter_remember(struct shared_limiter *limiter, struct str name, int64_t time_s)
{
    if (limiter->state == STATE_READY)
        redisAsyncCommand(limiter->redis, NULL, NULL, "SET %b 1 EX %lld", name.ptr, name.len,
                          (long long)time_s);
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
            limiter->decided(question->context, &(struct shared_answer){.known = false});
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
